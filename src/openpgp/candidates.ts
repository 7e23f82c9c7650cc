/**
 * The session keys that a keyring gets out of a message's session-key packets.
 *
 * Candidates, because a version 4 packet opened with a wrong passphrase can look right; the caller tries them against a
 * key check or against the message itself. One packet and one secret at a time, since one Argon2 takes 64 MiB.
 */
import type { PrivateKey } from "openpgp";
import { isZferryError, ZferryError } from "../errors.ts";
import type { SessionKeyPacket } from "./keys.ts";
import {
  isAddressed,
  openWithPassphrase,
  openWithPrivateKey,
  parseCertificates,
  parsePrivateKeys,
  parseSessionKeyPacket,
  unlock,
} from "./keys.ts";
import { readHeader, readSmallBody, tags } from "./packets.ts";
import { ByteReader } from "./reader.ts";

/** An armored private key and what unlocks it; `passphrase` is null when the key is not locked. */
export interface PrivateKeyEntry {
  readonly armored: string;
  readonly passphrase: string | null;
}

/** What may open a message. Every passphrase and key is tried. */
export interface Keyring {
  readonly passphrases: readonly string[];
  readonly privateKeys: readonly PrivateKeyEntry[];
}

/** A session key that may be the right one. */
export interface Candidate {
  readonly sessionKey: Buffer;
  /**
   * True when the key can be no other than the message's: the caller vouches for it, or the session-key packet
   * authenticated it. If it then does not fit, the message is damaged. A version 4 packet proves nothing: one wrong
   * passphrase in about 128 passes it, and every one passes a packet without an encrypted key.
   */
  readonly isProven: boolean;
}

/**
 * Which packets count: those of version 6 belong to a version 2 encrypted packet, all others to the rest (RFC 9580
 * §10.3.2.1).
 */
export type SessionKeyFormat = "v6" | "older" | "any";

const maxPacketBytes = 2 ** 16;

/**
 * Every candidate, as it is found: passphrases first, then private keys.
 *
 * @throws ZferryError `message-invalid` for malformed packets or when none is of a known kind; at the end, when nothing
 * was found, `key-missing` if nothing in the keyring applies to the packets and `key-wrong` if what applies does not
 * fit; `secret-unusable` for a private key that cannot be read
 */
export async function* findCandidates(
  packets: Buffer,
  { keyring, format }: { readonly keyring: Keyring; readonly format: SessionKeyFormat },
): AsyncGenerator<Candidate> {
  const found = await readSessionKeyPackets(packets, format);
  let candidateCount = 0;
  for await (const candidate of byPassphrase(found, keyring)) {
    candidateCount += 1;
    yield candidate;
  }
  const state: PrivateKeyState = { appliesCount: 0, failure: null };
  for await (const candidate of byPrivateKey(found, keyring, state)) {
    candidateCount += 1;
    yield candidate;
  }
  if (candidateCount > 0) return;
  if (state.failure !== null) throw state.failure;
  const hasPassphrase = keyring.passphrases.length > 0 && found.some(({ kind }) => kind === "passphrase");
  throw hasPassphrase || state.appliesCount > 0 ? keyWrong() : keyMissing(found);
}

/** Who a session-key packet is for. */
export type KeyHolder = Pick<SessionKeyPacket, "kind" | "keyIds">;

/**
 * Who `packets` are for, in their order; those of unknown versions are left out.
 *
 * @throws ZferryError `message-invalid` for malformed packets, and when none is of a known kind
 */
export async function holdersOf(packets: Buffer): Promise<readonly KeyHolder[]> {
  return (await readSessionKeyPackets(packets, "any")).map(({ kind, keyIds }) => ({ kind, keyIds }));
}

/** Whether each certificate in these armored texts is among the holders. @throws ZferryError `secret-unusable` */
export async function areHolders(certificates: readonly string[], holders: readonly KeyHolder[]): Promise<boolean> {
  const ids = new Set(holders.flatMap(({ keyIds }) => keyIds));
  const wanted = (await Promise.all(certificates.map(parseCertificates))).flat();
  return wanted.every((certificate) => certificate.getKeyIDs().some((id) => ids.has(id.toHex())));
}

/** All candidates of {@link findCandidates}, at least one. */
export async function gatherCandidates(
  packets: Buffer,
  options: { readonly keyring: Keyring; readonly format: SessionKeyFormat },
): Promise<readonly Candidate[]> {
  const candidates: Candidate[] = [];
  for await (const candidate of findCandidates(packets, options)) candidates.push(candidate);
  return candidates;
}

/** The error when the beginning of the encrypted data fits none of the candidates. */
export function noneFits(candidates: readonly Candidate[]): ZferryError {
  if (!candidates.some(({ isProven }) => isProven)) return keyWrong();
  return new ZferryError("message-invalid", "the OpenPGP message is not valid: its beginning does not fit its session key", {
    hint: "the data is damaged, or the session key is that of another message",
  });
}

/** The error when a keyring has something for a message, and none of it opens it. */
export function keyWrong(): ZferryError {
  return new ZferryError("key-wrong", "no passphrase or private key given opens the OpenPGP message", {
    hint: "check the passphrase; if it is certainly right, the beginning of the message is damaged",
  });
}

function keyMissing(found: readonly SessionKeyPacket[]): ZferryError {
  const wanted = [
    ...(found.some(({ kind }) => kind === "passphrase") ? ["a passphrase"] : []),
    ...found.flatMap(({ keyIds }) => keyIds.map((id) => `the private key "${id}"`)),
  ].join(" or ");
  return new ZferryError("key-missing", `the OpenPGP message needs ${wanted}, and none was given`, {
    hint: "give the passphrase or the private key of one of the recipients",
  });
}

async function* byPassphrase(found: readonly SessionKeyPacket[], keyring: Keyring): AsyncGenerator<Candidate> {
  for (const packet of found) {
    if (packet.kind !== "passphrase") continue;
    for (const passphrase of keyring.passphrases) {
      const sessionKeys = await openWithPassphrase(packet, passphrase);
      yield* sessionKeys.map((sessionKey) => ({ sessionKey, isProven: packet.version > 4 }));
    }
  }
}

interface PrivateKeyState {
  /** How often a private key was the addressee of a packet. */
  appliesCount: number;
  /** The first private key that could not be unlocked: matters only when no other secret opens the message. */
  failure: ZferryError | null;
}

async function* byPrivateKey(
  found: readonly SessionKeyPacket[],
  keyring: Keyring,
  state: PrivateKeyState,
): AsyncGenerator<Candidate> {
  for (const { armored, passphrase } of keyring.privateKeys) {
    for (const locked of await parsePrivateKeys(armored)) {
      const addressed = found.filter((packet) => packet.kind === "private-key" && isAddressed(packet, locked));
      state.appliesCount += addressed.length;
      yield* openAddressed(addressed, { locked, passphrase, state });
    }
  }
}

interface LockedKey {
  readonly locked: PrivateKey;
  readonly passphrase: string | null;
  readonly state: PrivateKeyState;
}

async function* openAddressed(
  addressed: readonly SessionKeyPacket[],
  { locked, passphrase, state }: LockedKey,
): AsyncGenerator<Candidate> {
  try {
    const privateKey = addressed.length === 0 ? null : await unlock(locked, passphrase);
    if (privateKey === null) return;
    for (const packet of addressed) {
      const sessionKeys = await openWithPrivateKey(packet, privateKey);
      yield* sessionKeys.map((sessionKey) => ({ sessionKey, isProven: true }));
    }
  } catch (error) {
    if (!isZferryError(error, "key-wrong", "key-missing")) throw error;
    state.failure ??= error;
  }
}

async function readSessionKeyPackets(packets: Buffer, format: SessionKeyFormat): Promise<readonly SessionKeyPacket[]> {
  const reader = new ByteReader([packets], "message");
  const found: SessionKeyPacket[] = [];
  while (!(await reader.atEnd())) {
    const header = await readHeader(reader);
    if (header.tag !== tags.passphraseSessionKey && header.tag !== tags.publicKeySessionKey) {
      throw reader.invalid(`a packet of type ${header.tag} among the session-key packets`);
    }
    const body = await readSmallBody(reader, header, maxPacketBytes);
    const packet = await parseSessionKeyPacket(header.tag, body);
    if (packet === "malformed") throw reader.invalid("a session-key packet is malformed");
    if (packet !== "unknown" && (format === "any" || (format === "v6") === (packet.version === 6))) found.push(packet);
  }
  if (found.length === 0) throw reader.invalid("it has no session-key packet of a known version for its encrypted packet");
  return found;
}
