/**
 * The stream inside an OpenPGP message: ours, and what gpg (1.4 to 2.4), rnp and openpgp.js write, as long as it is not signed.
 *
 * A message is any number of session-key packets, one encrypted packet, and nothing else. The end of the iteration says
 * that all of it was there and authentic. With tag 20 and version 2 packets every byte released was authenticated; with a
 * version 1 packet (`cfb`) that is known only at the end (cfb.ts).
 */
import type { LentSource } from "../bytes.ts";
import type { Candidate, Keyring } from "./candidates.ts";
import { gatherCandidates } from "./candidates.ts";
import { openCfb } from "./cfb.ts";
import { readLiteral, skipMeaningless } from "./literal.ts";
import { openOcb } from "./ocb.ts";
import type { PacketHeader } from "./packets.ts";
import { packet, readBody, readHeader, readSmallBody, tags } from "./packets.ts";
import { ByteReader } from "./reader.ts";
import { openRfc9580 } from "./rfc9580.ts";
import type { PacketKind } from "./session.ts";
import { evenSlices } from "./slices.ts";

/** All session-key packets together; a packet for one recipient has 48 to 1,100 bytes. */
const maxSessionKeyBytes = 2 ** 20;

export type DecryptionKeys = { readonly sessionKey: Buffer } | { readonly keyring: Keyring } | { readonly candidate: Candidate };

/** What opens a message, as far as its beginning tells. */
export interface MessageKeys {
  readonly kind: PacketKind;
  /** Its session-key packets, with headers of the new format. */
  readonly packets: Buffer;
  /** One at least; which of them is the right one shows when the message is decrypted. */
  readonly candidates: readonly Candidate[];
}

/**
 * Reads a message as far as its session keys.
 *
 * @throws ZferryError `message-invalid`, `key-missing`, `key-wrong`, `secret-unusable`
 */
export async function messageKeys(source: LentSource, keyring: Keyring): Promise<MessageKeys> {
  const reader = new ByteReader(source, "message");
  try {
    const { sessionKeyPackets, header } = await readBeginning(reader);
    const body = new ByteReader(readBody(reader, header), "encrypted packet");
    const kind = await readKind(body, header);
    return { kind, packets: sessionKeyPackets, candidates: await candidatesFor({ keyring }, sessionKeyPackets, kind) };
  } finally {
    await reader.close();
  }
}

/**
 * The content of the literal packet in `source`, lent. Holds one AEAD chunk of the size the message says (refused over 256
 * MiB), and the first one twice, or, for version 1, 64 KiB.
 *
 * @throws ZferryError `message-invalid` with the offset of what is damaged, missing, left over or not supported;
 * `key-missing` and `key-wrong` as `openSessionKey` does, and `key-wrong` when the beginning fits no key
 */
export async function* decrypt(source: LentSource, keys: DecryptionKeys): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source, "message");
  try {
    const { sessionKeyPackets, header } = await readBeginning(reader);
    const body = new ByteReader(evenSlices(readBody(reader, header)), "encrypted packet");
    const plaintext = await open(body, { header, sessionKeyPackets, keys });
    yield* readLiteral(new ByteReader(plaintext, "plaintext"));
    if (!(await reader.atEnd())) throw reader.invalid("something follows the encrypted packet");
  } finally {
    await reader.close();
  }
}

interface Beginning {
  readonly sessionKeyPackets: Buffer;
  /** Of the encrypted packet; the reader stands on its body. */
  readonly header: PacketHeader;
}

async function readBeginning(reader: ByteReader): Promise<Beginning> {
  const sessionKeyPackets: Buffer[] = [];
  let restBytes = maxSessionKeyBytes;
  for (;;) {
    const header = await readHeader(reader);
    if (header.tag === tags.integrityProtected || header.tag === tags.ocbEncrypted) {
      return { sessionKeyPackets: Buffer.concat(sessionKeyPackets), header };
    }
    if (await skipMeaningless(reader, header)) continue;
    if (header.tag !== tags.passphraseSessionKey && header.tag !== tags.publicKeySessionKey) {
      throw refuseBeginning(reader, header);
    }
    const body = await readSmallBody(reader, header, restBytes);
    restBytes -= body.length;
    sessionKeyPackets.push(packet(header.tag, body));
  }
}

function refuseBeginning(reader: ByteReader, { tag }: PacketHeader): Error {
  switch (tag) {
    case tags.encryptedWithoutIntegrity:
      return reader.invalid("it is encrypted without integrity protection, which is not supported", "decrypt it with gpg");
    case tags.compressed:
    case tags.literal:
    case tags.onePassSignature:
    case tags.signature:
      return reader.invalid("it is not encrypted", "decrypt reads encrypted messages only");
    default:
      return reader.invalid(`a packet of type ${tag} where an encrypted message begins`);
  }
}

interface Opening {
  readonly header: PacketHeader;
  readonly sessionKeyPackets: Buffer;
  readonly keys: DecryptionKeys;
}

async function open(body: ByteReader, { header, sessionKeyPackets, keys }: Opening): Promise<AsyncGenerator<Buffer>> {
  const kind = await readKind(body, header);
  const candidates = await candidatesFor(keys, sessionKeyPackets, kind);
  return openers[kind](body, candidates);
}

async function readKind(body: ByteReader, { tag }: PacketHeader): Promise<PacketKind> {
  const version = (await body.take(1)).readUInt8(0);
  const kind = kindOf(tag, version);
  if (kind === null) throw body.invalid(`an encrypted packet of type ${tag} and unknown version ${version}`);
  return kind;
}

type Opener = (body: ByteReader, candidates: readonly Candidate[]) => AsyncGenerator<Buffer>;

const openers: Readonly<Record<PacketKind, Opener>> = {
  ocb: openOcb,
  cfb: openCfb,
  rfc9580: openRfc9580,
};

function kindOf(tag: number, version: number): PacketKind | null {
  if (tag === tags.ocbEncrypted) return version === 1 ? "ocb" : null;
  return version === 1 ? "cfb" : version === 2 ? "rfc9580" : null;
}

async function candidatesFor(
  keys: DecryptionKeys,
  sessionKeyPackets: Buffer,
  kind: PacketKind,
): Promise<readonly Candidate[]> {
  if ("sessionKey" in keys) return [{ sessionKey: keys.sessionKey, isProven: true }];
  if ("candidate" in keys) return [keys.candidate];
  return gatherCandidates(sessionKeyPackets, { keyring: keys.keyring, format: kind === "rfc9580" ? "v6" : "older" });
}
