/**
 * Bytes to encrypt, ways to slice them, and fixed secrets: what all tests of this folder share.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ByteSource } from "../../src/bytes.ts";
import type { Keyring, MessageSecrets, PacketKind } from "../../src/openpgp/session.ts";

export const packets: readonly PacketKind[] = ["ocb", "cfb", "rfc9580"];

/** Secrets that are no secret, so that ciphertexts can be compared between runs. */
export const fixedSecrets: MessageSecrets = { sessionKey: bytesOf(32, "session key"), nonce: bytesOf(32, "nonce") };

/** The same `sizeBytes` bytes for the same seed, and nothing a cipher or a compressor could make use of. */
export function bytesOf(sizeBytes: number, seed: string): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let block = Buffer.from(seed);
  for (let at = 0; at < sizeBytes; at += block.length) {
    block = createHash("sha512").update(block).digest();
    block.copy(bytes, at);
  }
  return bytes;
}

/** `bytes` in pieces of the given sizes, over and over; in one piece when none is given. Lent: each is spoiled when the next is asked for. */
export async function* sliced(bytes: Buffer, ...sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? bytes.length;
    await Promise.resolve();
    const piece = Buffer.from(bytes.subarray(at, at + size));
    yield piece;
    piece.fill(0xee);
    at += size;
  }
}

export async function collect(source: ByteSource): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A throw-away key of `fixtures/keys`. */
export function fixtureKey(name: "alice" | "bob" | "carol"): { certificate: string; keyring: Keyring } {
  const read = (part: string): string =>
    readFileSync(new URL(`../../fixtures/keys/${name}.${part}.asc`, import.meta.url), "utf8");
  const passphrase = name === "bob" ? null : `${name}'s passphrase`;
  return {
    certificate: read("public"),
    keyring: { passphrases: [], privateKeys: [{ armored: read("private"), passphrase }] },
  };
}
