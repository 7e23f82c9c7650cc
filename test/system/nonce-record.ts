/**
 * What a proxy saw of each message: the bytes at every offset, however often and in whatever requests they came, those
 * that failed or were cut off included.
 *
 * A message is what was made under one session key and nonce. By its name in the store that is an attempt: two values at
 * one offset of one attempt are two ciphertexts of one nonce.
 */
import type { BodyWitness } from "../fault-proxy.ts";

interface SeenChunk {
  readonly bytes: Buffer;
  readonly isSeen: Uint8Array;
  /** Where the same offset had another value, first of all. */
  conflictAt: number | null;
}

export class NonceRecord {
  readonly #chunkBytes: number;
  readonly #partBytes: number;
  readonly #chunks = new Map<string, SeenChunk>();
  /** Bytes that were seen at an offset that had been seen before: nothing was compared while this is 0. */
  comparedBytes = 0;

  constructor({ chunkBytes, partBytes }: { readonly chunkBytes: number; readonly partBytes: number }) {
    this.#chunkBytes = chunkBytes;
    this.#partBytes = partBytes;
  }

  /** Takes a piece of a request's body; what is no chunk is let pass. */
  readonly witness: BodyWitness = (line, atBytes, piece) => {
    const name = /^PUT [^?]*\/([0-9a-f]{8})\/[^/?]*\.zfs\.gpg\.(\d{6})(?:\?|$)/.exec(line);
    if (name === null) return;
    const partNumber = Number(/[?&]partNumber=(\d+)/.exec(line)?.[1] ?? 1);
    this.#compare(`${name[1] ?? ""} chunk ${Number(name[2])}`, (partNumber - 1) * this.#partBytes + atBytes, piece);
  };

  /** Of which attempts bytes were seen, in the order of their first. */
  get attempts(): string[] {
    return [...new Set([...this.#chunks.keys()].map((name) => name.slice(0, 8)))];
  }

  /** One line for each chunk of which one offset was seen with two values. */
  get conflicts(): string[] {
    return [...this.#chunks].flatMap(([name, { conflictAt }]) => (conflictAt === null ? [] : [`${name} differs at byte ${conflictAt}`]));
  }

  /** What was seen of a chunk, from its start until the first byte that was not. */
  seen(attempt: string, chunk: number): Buffer {
    const found = this.#chunks.get(`${attempt} chunk ${chunk}`);
    if (found === undefined) return Buffer.alloc(0);
    const end = found.isSeen.indexOf(0);
    return found.bytes.subarray(0, end < 0 ? undefined : end);
  }

  /** Whether a place in a chunk was seen. */
  hasSeen(attempt: string, chunk: number, atBytes: number): boolean {
    return this.#chunks.get(`${attempt} chunk ${chunk}`)?.isSeen[atBytes] === 1;
  }

  #compare(name: string, atBytes: number, piece: Uint8Array): void {
    let chunk = this.#chunks.get(name);
    if (chunk === undefined) {
      chunk = { bytes: Buffer.alloc(this.#chunkBytes), isSeen: new Uint8Array(this.#chunkBytes), conflictAt: null };
      this.#chunks.set(name, chunk);
    }
    const { bytes, isSeen } = chunk;
    for (let index = 0; index < piece.length; index += 1) {
      const at = atBytes + index;
      const value = piece[index] ?? 0;
      if (isSeen[at] === 1) {
        this.comparedBytes += 1;
        if (bytes[at] !== value) chunk.conflictAt ??= at;
      } else {
        bytes[at] = value;
        isSeen[at] = 1;
      }
    }
  }
}
