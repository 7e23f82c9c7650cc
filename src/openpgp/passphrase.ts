/**
 * The passphrase packet of `ocb` and `cfb`, which gpg writes too: version 4, AES-256, and a key stretched by iterated and
 * salted SHA-256 (RFC 9580 §3.7.1.3, §5.3.1).
 *
 * All other session-key packets are the openpgp library's work. This one stands at the beginning of nearly every backup and
 * restore, and the library takes 0.15 CPU-s to load, and for stretching an array of 62 MiB that stays until V8 next collects
 * its whole heap, if ever. Without it the peak of `put` fell from 211 to 142 MiB, that of `get` from 240 to 194 (1 GiB).
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { KiB } from "../bytes.ts";

const version = 4;
const aes256 = 9;
const iteratedSalted = 3;
const sha256 = 8;
const saltBytes = 8;
const keyBytes = 32;
/** 65,011,712 bytes, the most that can be said. */
const countOctet = 255;
const prefix = Buffer.of(version, aes256, iteratedSalted, sha256);
const packetBytes = prefix.length + saltBytes + 1 + 1 + keyBytes;
const cipherName = "aes-256-cfb";
const zeroIv = Buffer.alloc(16);
/** What is hashed at a time, about. */
const hashedBytes = 64 * KiB;

/** The body of a packet that gives `sessionKey` (32 bytes) to whoever has the passphrase. */
export function wrapForPassphrase(sessionKey: Buffer, passphrase: string): Buffer {
  const salt = randomBytes(saltBytes);
  const cipher = createCipheriv(cipherName, stretched(passphrase, salt, countOctet), zeroIv);
  return Buffer.concat([prefix, salt, Buffer.of(countOctet), cipher.update(Buffer.of(aes256)), cipher.update(sessionKey)]);
}

/** Whether the body is that of such a packet, of any count. */
export function isPassphrasePacket(body: Buffer): boolean {
  return body.length === packetBytes && body.subarray(0, prefix.length).equals(prefix);
}

/** The session key that the passphrase finds in it; null when that is not one of AES-256. One wrong passphrase in 256 finds one. */
export function openForPassphrase(body: Buffer, passphrase: string): Buffer | null {
  const saltEnd = prefix.length + saltBytes;
  const key = stretched(passphrase, body.subarray(prefix.length, saltEnd), body.readUInt8(saltEnd));
  const [cipher, ...sessionKey] = createDecipheriv(cipherName, key, zeroIv).update(body.subarray(saltEnd + 1));
  return cipher === aes256 ? Buffer.from(sessionKey) : null;
}

/** Salt and passphrase, again and again until so many bytes are hashed, and once at least. */
function stretched(passphrase: string, salt: Buffer, octet: number): Buffer {
  const seed = Buffer.concat([salt, Buffer.from(passphrase)]);
  const countBytes = Math.max((16 + (octet & 15)) * 2 ** ((octet >> 4) + 6), seed.length);
  const repeated = Buffer.alloc(seed.length * Math.ceil(hashedBytes / seed.length), seed);
  const hash = createHash("sha256");
  for (let rest = countBytes; rest > 0; rest -= repeated.length) hash.update(repeated.subarray(0, rest));
  return hash.digest();
}
