/**
 * The session key of a message: made, wrapped for its recipients, unwrapped again, and what else is derived from it.
 *
 * `ocb` and `cfb` take version 4 (passphrase) and version 3 (certificate) packets, which every OpenPGP program since 2001
 * reads; `rfc9580` takes version 6 (RFC 9580 §5.1, §5.3; `docs/format.md`). All but the first kind (`passphrase.ts`) are the
 * openpgp library's work, which is loaded when it is needed.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import type { encryptSessionKey, PartialConfig, PublicKey } from "openpgp";
import { ZferryError } from "../errors.ts";
import type { Keyring } from "./candidates.ts";
import { findCandidates, keyWrong } from "./candidates.ts";
import { parseCertificates } from "./keys.ts";
import { packet as wholePacket, tags } from "./packets.ts";
import { wrapForPassphrase } from "./passphrase.ts";

export type { Keyring } from "./candidates.ts";

/** How the stream is encrypted (design §3): tag 20, tag 18 version 1, tag 18 version 2. */
export type PacketKind = "ocb" | "cfb" | "rfc9580";

/** Who can open a message: anyone with one of these. */
export interface Recipients {
  readonly passphrases: readonly string[];
  /** ASCII-armored OpenPGP certificates; one block may hold several. */
  readonly certificates: readonly string[];
}

/**
 * What makes a message's ciphertext what it is. Never to be used for two different streams. The files of one run share the
 * session key, each with a nonce of its own (`docs/format.md` § Files).
 */
export interface MessageSecrets {
  /** 32 bytes: AES-256. */
  readonly sessionKey: Buffer;
  /** 32 random bytes: `ocb` takes 15 of them as its IV, `cfb` 16 as its prefix, `rfc9580` all as its salt. Not secret. */
  readonly nonce: Buffer;
}

const secretBytes = 32;

export function newMessageSecrets(): MessageSecrets {
  return { sessionKey: randomBytes(secretBytes), nonce: randomBytes(secretBytes) };
}

/**
 * The packets that stand before the encrypted packet, one for each recipient.
 *
 * A passphrase is stretched by iterated and salted SHA-256 over 65,011,712 bytes, the most the format can say (what gpg
 * itself takes), for `ocb` and `cfb`; by Argon2id (3 passes, 4 lanes, 64 MiB) for `rfc9580`, since whatever reads
 * version 6 packets reads Argon2.
 *
 * The order of the passphrases is kept. Put the one that must open the message on a bare system first: gpg 1.4 and 2.2
 * (seen with 2.2.40) try the first passphrase packet only.
 *
 * @throws ZferryError `key-missing` without any recipient; `secret-unusable` for an empty passphrase, and for a
 * certificate that cannot be read or has no valid key for encryption
 */
export async function wrapSessionKey(sessionKey: Buffer, recipients: Recipients, packet: PacketKind): Promise<Buffer> {
  const packets: Uint8Array[] = [];
  for (const armored of recipients.certificates) {
    for (const certificate of await parseCertificates(armored)) {
      packets.push(await wrapForCertificate(sessionKey, certificate, packet));
    }
  }
  for (const passphrase of recipients.passphrases) {
    if (passphrase === "") throw new ZferryError("secret-unusable", "the passphrase is empty");
    packets.push(await wrapWithPassphrase(sessionKey, passphrase, packet));
  }
  if (packets.length === 0) {
    throw new ZferryError("key-missing", "there is neither a passphrase nor a certificate to encrypt for", {
      hint: "give a passphrase or a recipient's certificate",
    });
  }
  return Buffer.concat(packets);
}

/**
 * The session key in `packets` (those before the encrypted packet, nothing else).
 *
 * @param keyCheck - what {@link keyCheck} said when the message was written. With null the first session key found is
 * returned, and a wrong passphrase may go unnoticed here: see {@link Candidate.isProven}
 * @throws ZferryError `key-missing` when nothing in the keyring applies to any packet; `key-wrong` when nothing fits;
 * `message-invalid` when the packets are malformed; `secret-unusable` for a private key that cannot be read
 */
export async function openSessionKey(packets: Buffer, keyring: Keyring, keyCheck: string | null): Promise<Buffer> {
  for await (const { sessionKey } of findCandidates(packets, { keyring, format: "any" })) {
    if (keyCheck === null || keyCheckOf(sessionKey) === keyCheck) return sessionKey;
  }
  throw keyWrong();
}

/** 16 lower-case hexadecimal digits that tell the right session key from a wrong one and give nothing of it away. */
export function keyCheck(sessionKey: Buffer): string {
  return derive(sessionKey, "zferry key check v1", 8).toString("hex");
}

const keyCheckOf = keyCheck;

/** The 32-byte key of a manifest's HMAC-SHA256. */
export function manifestKey(sessionKey: Buffer): Buffer {
  return derive(sessionKey, "zferry manifest hmac v1", 32);
}

/** The 32-byte key of the HMAC-SHA256 of a list of files. */
export function fileListKey(sessionKey: Buffer): Buffer {
  return derive(sessionKey, "zferry file list hmac v1", 32);
}

function derive(sessionKey: Buffer, info: string, sizeBytes: number): Buffer {
  return Buffer.from(hkdfSync("sha256", sessionKey, Buffer.alloc(0), info, sizeBytes));
}

async function wrapWithPassphrase(sessionKey: Buffer, passphrase: string, packet: PacketKind): Promise<Uint8Array> {
  if (packet !== "rfc9580") return wholePacket(tags.passphraseSessionKey, wrapForPassphrase(sessionKey, passphrase));
  return wrap(sessionKey, packet, { passwords: [passphrase] });
}

async function wrapForCertificate(sessionKey: Buffer, certificate: PublicKey, packet: PacketKind): Promise<Uint8Array> {
  try {
    return await wrap(sessionKey, packet, { encryptionKeys: [certificate] });
  } catch (cause) {
    const name = certificate.getKeyID().toHex();
    throw new ZferryError("secret-unusable", `the certificate "${name}" cannot be encrypted to`, {
      hint: "it has expired or has no key for encryption: renew it, or leave it out",
      cause,
    });
  }
}

/** The library's packet for one recipient. */
async function wrap(
  sessionKey: Buffer,
  packet: PacketKind,
  recipient: Pick<Parameters<typeof encryptSessionKey>[0], "passwords" | "encryptionKeys">,
): Promise<Uint8Array> {
  const { encryptSessionKey, enums } = await import("openpgp");
  const [config, version]: [PartialConfig, { aeadAlgorithm?: "ocb" }] =
    packet === "rfc9580" ? [{ aeadProtect: true, s2kType: enums.s2k.argon2 }, { aeadAlgorithm: "ocb" }] : [{ aeadProtect: false }, {}];
  return encryptSessionKey({ data: sessionKey, algorithm: "aes256", format: "binary", config, ...version, ...recipient });
}
