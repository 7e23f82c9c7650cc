import { describe, expect, it } from "vitest";
import { ChunkOpening, chunkBytesOf, sealChunk, sealEnd } from "../../src/openpgp/chunk.ts";
import { ocbAead } from "../../src/openpgp/ocb.ts";
import { rfc9580Aead } from "../../src/openpgp/rfc9580.ts";
import { referenceOcb } from "./reference-ocb.ts";
import { bytesOf } from "./sample.ts";

const sessionKey = bytesOf(32, "session key");
const iv = bytesOf(15, "iv");
const salt = bytesOf(32, "salt");
const ocb = ocbAead(sessionKey, { parameters: Buffer.from("0109020c", "hex"), iv });
const rfc9580 = rfc9580Aead(sessionKey, { parameters: Buffer.from("0209020c", "hex"), salt, mode: "ocb" });

/** Chunk numbers and sizes on both sides of 2^32, and up to the last exact integer. */
const indices = [0, 1, 255, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 5, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER];
const totals = [0, 1, 2 ** 32 - 1, 2 ** 32, 5 * 2 ** 30 + 17, 2 ** 50 + 3];

function u64(value: number): Buffer {
  return Buffer.from(BigInt(value).toString(16).padStart(16, "0"), "hex");
}

/** The nonce as LibrePGP words it: the chunk's number XORed into the end of the IV. */
function ocbNonce(index: number): Buffer {
  const number = BigInt(`0x${iv.toString("hex")}`) ^ BigInt(index);
  return Buffer.from(number.toString(16).padStart(30, "0"), "hex");
}

describe("a sealed chunk", () => {
  it.for(indices)("has the 64-bit number %i in nonce and associated data (tag 20)", (index) => {
    const plaintext = bytesOf(100, "plaintext");
    const sealed = Buffer.concat(sealChunk(ocb, index, [plaintext]));
    const associated = Buffer.concat([Buffer.from("d40109020c", "hex"), u64(index)]);
    expect(sealed.equals(referenceOcb(sessionKey, ocbNonce(index), associated, plaintext))).toBe(true);
  });

  it.for(indices)("has the 64-bit number %i in the nonce alone (version 2)", (index) => {
    const plaintext = bytesOf(100, "plaintext");
    const sealed = Buffer.concat(sealChunk(rfc9580, index, [plaintext]));
    const nonce = Buffer.concat([rfc9580.iv.subarray(0, 7), u64(index)]);
    expect(sealed.equals(referenceOcb(rfc9580.key, nonce, Buffer.from("d20209020c", "hex"), plaintext))).toBe(true);
  });

  it.for([0, 1, 15, 16, 17, 31, 32, 33, 1000])("of %i bytes is the same however it is sliced", (sizeBytes) => {
    const plaintext = bytesOf(sizeBytes, "plaintext");
    const whole = Buffer.concat(sealChunk(ocb, 7, [plaintext]));
    const single = Array.from(plaintext, (octet) => Buffer.of(octet));
    expect(Buffer.concat(sealChunk(ocb, 7, single)).equals(whole)).toBe(true);
    expect(whole.equals(referenceOcb(sessionKey, ocbNonce(7), Buffer.concat([ocb.header, u64(7)]), plaintext))).toBe(true);
  });

  it("opens under its own number only", () => {
    const plaintext = bytesOf(50, "plaintext");
    for (const aead of [ocb, rfc9580]) {
      const sealed = Buffer.concat(sealChunk(aead, 2 ** 32, [plaintext]));
      const open = (index: number): readonly Buffer[] | null => {
        const opening = new ChunkOpening(aead, index);
        for (const slice of [sealed.subarray(0, 17), sealed.subarray(17, 50)]) opening.push(slice);
        return opening.end(sealed.subarray(50));
      };
      expect(Buffer.concat(open(2 ** 32) ?? [])).toEqual(plaintext);
      expect(open(0)).toBeNull();
    }
  });
});

describe("the final tag", () => {
  it.for(totals)("binds a total of %i bytes with 64 bits", (totalBytes) => {
    const chunkCount = Math.ceil(totalBytes / chunkBytesOf(ocb));
    const ocbAssociated = Buffer.concat([ocb.header, u64(chunkCount), u64(totalBytes)]);
    const ocbTag = referenceOcb(sessionKey, ocbNonce(chunkCount), ocbAssociated, Buffer.alloc(0));
    expect(sealEnd(ocb, chunkCount, totalBytes)).toEqual(ocbTag);
    const nonce = Buffer.concat([rfc9580.iv.subarray(0, 7), u64(chunkCount)]);
    const associated = Buffer.concat([rfc9580.header, u64(totalBytes)]);
    expect(sealEnd(rfc9580, chunkCount, totalBytes)).toEqual(referenceOcb(rfc9580.key, nonce, associated, Buffer.alloc(0)));
  });
});
