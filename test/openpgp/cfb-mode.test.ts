import { createCipheriv, createDecipheriv } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CfbDecryption, CfbEncryption } from "../../src/openpgp/cfb-mode.ts";
import { bytesOf } from "./sample.ts";

const iv = Buffer.alloc(16);

function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const slices: Buffer[] = [];
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const length = Math.max(1, lengths[turn % lengths.length] ?? bytes.length);
    slices.push(bytes.subarray(at, at + length));
    at += length;
  }
  return slices;
}

function encrypted(key: Buffer, slices: readonly Buffer[]): Buffer {
  const cipher = new CfbEncryption(key);
  const pieces: Buffer[] = [];
  for (const slice of slices) {
    for (const piece of cipher.push(slice)) pieces.push(Buffer.from(piece));
  }
  return Buffer.concat([...pieces, ...cipher.end()]);
}

function decrypted(key: Buffer, slices: readonly Buffer[]): Buffer {
  const decipher = new CfbDecryption(key);
  return Buffer.concat(slices.flatMap((slice) => [...decipher.push(slice)]));
}

describe.each([16, 24, 32])("CFB with a key of %i bytes is what node:crypto makes of it", (keyBytes) => {
  const key = bytesOf(keyBytes, "key");
  const name = `aes-${keyBytes * 8}-cfb`;

  it.for([0, 1, 15, 16, 17, 31, 32, 65_535, 65_536, 65_537, 131_072, 200_003])("for %i bytes", (sizeBytes) => {
    const bytes = bytesOf(sizeBytes, "text");
    const ciphertext = encrypted(key, cut(bytes, []));
    expect(ciphertext.equals(createCipheriv(name, key, iv).update(bytes))).toBe(true);
    expect(decrypted(key, cut(ciphertext, [])).equals(bytes)).toBe(true);
  });

  it("however it is sliced", () => {
    const lengths = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 65_500, max: 65_600 })), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 150_000 }), lengths, lengths, (sizeBytes, ins, outs) => {
        const bytes = bytesOf(sizeBytes, "text");
        const ciphertext = encrypted(key, cut(bytes, ins));
        expect(createDecipheriv(name, key, iv).update(ciphertext).equals(bytes)).toBe(true);
        expect(decrypted(key, cut(ciphertext, outs)).equals(bytes)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });
});
