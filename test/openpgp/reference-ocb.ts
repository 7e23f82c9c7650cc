/**
 * OCB from its specification (RFC 7253 §2–§4) on nothing but the AES block cipher: slow, and independent of the library's
 * own OCB. For nonces of 15 bytes and tags of 16.
 */
import { createCipheriv } from "node:crypto";

/** The ciphertext with its tag appended. */
export function referenceOcb(key: Buffer, nonce: Buffer, associated: Buffer, plaintext: Buffer): Buffer {
  const aes = (block: Buffer): Buffer => createCipheriv("aes-256-ecb", key, null).update(block);
  const lStar = aes(Buffer.alloc(16));
  const lDollar = double(lStar);
  const l = [double(lDollar)];
  const maskOf = (index: number): Buffer => {
    const zeros = 31 - Math.clz32(index & -index);
    while (l.length <= zeros) l.push(double(l.at(-1) ?? lDollar));
    return l[zeros] ?? lDollar;
  };

  let offset = firstOffset(nonce, aes);
  let checksum: Buffer = Buffer.alloc(16);
  const out: Buffer[] = [];
  const fullCount = Math.floor(plaintext.length / 16);
  for (let index = 1; index <= fullCount; index += 1) {
    const block = plaintext.subarray((index - 1) * 16, index * 16);
    offset = xor(offset, maskOf(index));
    out.push(xor(offset, aes(xor(block, offset))));
    checksum = xor(checksum, block);
  }
  const rest = plaintext.subarray(fullCount * 16);
  if (rest.length > 0) {
    offset = xor(offset, lStar);
    out.push(xor(rest, aes(offset)));
    checksum = xor(checksum, padded(rest));
  }
  const tag = aes(xor(xor(checksum, offset), lDollar));
  return Buffer.concat([...out, xor(tag, hash(associated, { aes, lStar, maskOf }))]);
}

interface Tables {
  readonly aes: (block: Buffer) => Buffer;
  readonly lStar: Buffer;
  readonly maskOf: (index: number) => Buffer;
}

function hash(associated: Buffer, { aes, lStar, maskOf }: Tables): Buffer {
  let sum: Buffer = Buffer.alloc(16);
  let offset: Buffer = Buffer.alloc(16);
  const fullCount = Math.floor(associated.length / 16);
  for (let index = 1; index <= fullCount; index += 1) {
    offset = xor(offset, maskOf(index));
    sum = xor(sum, aes(xor(associated.subarray((index - 1) * 16, index * 16), offset)));
  }
  const rest = associated.subarray(fullCount * 16);
  return rest.length === 0 ? sum : xor(sum, aes(xor(padded(rest), xor(offset, lStar))));
}

function firstOffset(nonce: Buffer, aes: Tables["aes"]): Buffer {
  const block = Buffer.concat([Buffer.of(1), nonce]);
  const bottom = (block[15] ?? 0) & 63;
  block[15] = (block[15] ?? 0) & 0xc0;
  const top = aes(block);
  const stretch = Buffer.concat([top, xor(top.subarray(0, 8), top.subarray(1, 9))]);
  const bits = BigInt(`0x${stretch.toString("hex")}`) >> BigInt(64 - bottom);
  return Buffer.from((bits & ((1n << 128n) - 1n)).toString(16).padStart(32, "0"), "hex");
}

function double(block: Buffer): Buffer {
  const value = BigInt(`0x${block.toString("hex")}`) << 1n;
  const reduced = value >> 128n === 0n ? value : (value & ((1n << 128n) - 1n)) ^ 0x87n;
  return Buffer.from(reduced.toString(16).padStart(32, "0"), "hex");
}

function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((octet, at) => octet ^ (right[at] ?? 0)));
}

function padded(rest: Buffer): Buffer {
  const block = Buffer.alloc(16);
  rest.copy(block);
  block[rest.length] = 0x80;
  return block;
}
