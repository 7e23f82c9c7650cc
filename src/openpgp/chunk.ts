/**
 * One chunk of authenticated encryption: the common ground of tag 20 (LibrePGP) and of tag 18 version 2 (RFC 9580
 * §5.13.2).
 *
 * Each chunk is sealed on its own with its number in the nonce; a last tag over nothing binds the number of chunks and
 * the total size. Everything here is a pure, synchronous function of plain data, so that it can run in any thread. What
 * sets the two packets apart is in ocb.ts and rfc9580.ts.
 */
import type { CipherGCM, CipherOCB, DecipherGCM, DecipherOCB } from "node:crypto";
import { createCipheriv, createDecipheriv } from "node:crypto";
import type { ByteReader } from "./reader.ts";

/** Everything a chunk's sealing depends on but its number and its bytes. */
export interface Aead {
  readonly mode: "ocb" | "gcm";
  /** 16, 24 or 32 bytes: AES-128, 192 or 256. */
  readonly key: Buffer;
  /** The nonce of chunk 0; that of chunk n has its last 8 bytes XORed with n. */
  readonly iv: Buffer;
  /** Starts the associated data: packet tag, version, cipher, mode, chunk octet. */
  readonly header: Buffer;
  /** Whether the chunk's number is in the associated data as well (tag 20). */
  readonly bindsIndex: boolean;
}

/** What a message is sealed with. */
export interface Sealing {
  readonly sessionKey: Buffer;
  readonly nonce: Buffer;
  /** A chunk has 2^(this + 6) bytes. */
  readonly chunkOctet: number;
}

export const tagBytes = 16;

/** AEAD algorithm octets (RFC 9580 §9.6); 1, EAX, node:crypto does not have. */
export const modeOctets = { ocb: 2, gcm: 3 } as const;

/** Chunk octets above this (256 MiB chunks) are refused: a reader must hold a whole chunk. */
const largestChunkOctet = 22;

/** The first four body octets of both packets, and what they say. */
export interface Parameters {
  readonly parameters: Buffer;
  readonly mode: Aead["mode"];
  readonly keyBytes: number;
}

/**
 * Reads cipher, mode and chunk octet, which follow the version.
 *
 * @throws ZferryError `message-invalid` for a cipher that is not AES, for EAX, and for chunks over 256 MiB
 */
export async function readParameters(body: ByteReader, version: number): Promise<Parameters> {
  const octets = await body.take(3);
  const [cipher = 0, modeOctet = 0, chunkOctet = 0] = octets;
  const keyBytes = keyBytesOf(cipher);
  if (keyBytes === null) throw body.invalid(`cipher ${cipher} is not supported, only AES is`);
  const mode = modeOctet === modeOctets.ocb ? "ocb" : modeOctet === modeOctets.gcm ? "gcm" : null;
  if (mode === null) throw body.invalid(`AEAD mode ${modeOctet} is not supported, only OCB and GCM are`);
  if (chunkOctet > largestChunkOctet) throw body.invalid(`chunk octet ${chunkOctet} is over ${largestChunkOctet} (256 MiB)`);
  return { parameters: Buffer.concat([Buffer.of(version), octets]), mode, keyBytes };
}

/** The size of a full chunk, from the last of the parameters. */
export function chunkBytesOf(aead: Aead): number {
  return 2 ** ((aead.header.at(-1) ?? 0) + 6);
}

/** Cipher octets 7, 8 and 9 are AES-128, 192 and 256 (RFC 9580 §9.3); null for any other. */
function keyBytesOf(cipher: number): number | null {
  return cipher >= 7 && cipher <= 9 ? (cipher - 5) * 8 : null;
}

export function cipherOctetOf(sessionKey: Buffer): number {
  return sessionKey.length / 8 + 5;
}

/** Seals chunk `index` (any integer below 2^53): the ciphertext slices and, as the last one, the tag. */
export function sealChunk(aead: Aead, index: number, slices: readonly Buffer[]): Buffer[] {
  const cipher = newCipher(aead, nonceOf(aead, index));
  cipher.setAAD(associatedData(aead, index));
  const sealed = slices.map((slice) => cipher.update(slice));
  sealed.push(cipher.final(), cipher.getAuthTag());
  return sealed.filter((slice) => slice.length > 0);
}

/** The final tag of a message of that many chunks and plaintext bytes (both below 2^53). */
export function sealEnd(aead: Aead, chunkCount: number, totalBytes: number): Buffer {
  const cipher = newCipher(aead, nonceOf(aead, chunkCount));
  cipher.setAAD(Buffer.concat([associatedData(aead, chunkCount), u64(totalBytes)]));
  cipher.final();
  return cipher.getAuthTag();
}

/** Opens chunk `index`, slice by slice as it comes; its plaintext is out only when the tag proved right. */
export class ChunkOpening {
  readonly #decipher: DecipherOCB | DecipherGCM;
  readonly #opened: Buffer[] = [];

  constructor(aead: Aead, index: number) {
    this.#decipher = newDecipher(aead, nonceOf(aead, index));
    this.#decipher.setAAD(associatedData(aead, index));
  }

  /** Uses the slice up. */
  push(slice: Buffer): void {
    this.#add(this.#decipher.update(slice));
  }

  /** The plaintext in memory of its own; null when it does not authenticate. */
  end(tag: Buffer): readonly Buffer[] | null {
    this.#decipher.setAuthTag(tag);
    try {
      this.#add(this.#decipher.final());
    } catch {
      // node:crypto has one way to say that a tag is wrong: final() throws.
      return null;
    }
    return this.#opened;
  }

  #add(piece: Buffer): void {
    if (piece.length > 0) this.#opened.push(piece);
  }
}

function nonceOf(aead: Aead, index: number): Buffer {
  const nonce = Buffer.from(aead.iv);
  const at = nonce.length - 8;
  nonce.writeBigUInt64BE(nonce.readBigUInt64BE(at) ^ BigInt(index), at);
  return nonce;
}

function associatedData(aead: Aead, index: number): Buffer {
  return aead.bindsIndex ? Buffer.concat([aead.header, u64(index)]) : aead.header;
}

function u64(value: number): Buffer {
  const octets = Buffer.alloc(8);
  octets.writeBigUInt64BE(BigInt(value));
  return octets;
}

function keyBits(key: Buffer): 128 | 192 | 256 {
  return key.length === 16 ? 128 : key.length === 24 ? 192 : 256;
}

function newCipher({ mode, key }: Aead, nonce: Buffer): CipherOCB | CipherGCM {
  const options = { authTagLength: tagBytes };
  return mode === "ocb"
    ? createCipheriv(`aes-${keyBits(key)}-ocb`, key, nonce, options)
    : createCipheriv(`aes-${keyBits(key)}-gcm`, key, nonce, options);
}

function newDecipher({ mode, key }: Aead, nonce: Buffer): DecipherOCB | DecipherGCM {
  const options = { authTagLength: tagBytes };
  return mode === "ocb"
    ? createDecipheriv(`aes-${keyBits(key)}-ocb`, key, nonce, options)
    : createDecipheriv(`aes-${keyBits(key)}-gcm`, key, nonce, options);
}
