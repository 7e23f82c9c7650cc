/**
 * The fletcher-4 checksum of ZFS send streams: four 64-bit sums over 32-bit words in the stream's byte order
 * (OpenZFS `module/zcommon/zfs_fletcher.c`). Exact for every length and however the bytes are sliced.
 *
 * JavaScript has no 64-bit integer that is both exact and fast, so the loop is WebAssembly (`fletcher4-loop.ts`).
 */
import { blockBytes, blockStart, loop, stateBytes, wordBytes } from "./fletcher4-loop.ts";

/** Byte order of a stream: that of the machine which sent it. */
export type ByteOrder = "little" | "big";

/** The four sums, 64 bits each. */
export type FletcherSums = readonly [bigint, bigint, bigint, bigint];

/** A running checksum. Holds 35 bytes; all instances share one module, which they use only within `update`. */
export class Fletcher4 {
  readonly #byteOrder: ByteOrder;
  readonly #state = new Uint8Array(stateBytes);
  readonly #words = new DataView(this.#state.buffer);
  /** The first bytes of a word whose rest has not come yet. */
  readonly #begun = new Uint8Array(wordBytes);
  #begunBytes = 0;

  constructor(byteOrder: ByteOrder) {
    this.#byteOrder = byteOrder;
  }

  /** Adds bytes. They are read before it returns and not kept. */
  update(bytes: Uint8Array): void {
    const rest = this.#begunBytes === 0 ? bytes : this.#finishWord(bytes);
    const wholeBytes = rest.length - (rest.length % wordBytes);
    if (wholeBytes > 0) this.#addWords(rest, wholeBytes);
    for (let at = wholeBytes; at < rest.length; at++) this.#begun[this.#begunBytes++] = rest[at] ?? 0;
  }

  /** Back to the checksum of nothing. */
  reset(): void {
    this.#state.fill(0);
    this.#begunBytes = 0;
  }

  /** The four sums over all whole words so far; a word that has only begun does not count. */
  sums(): FletcherSums {
    const words = this.#words;
    return [0, 8, 16, 24].map((at) => words.getBigUint64(at, true)) as [bigint, bigint, bigint, bigint];
  }

  /** Whether these very sums stand at `offset` of a record, in its byte order. */
  standsAt(record: DataView, offset: number): boolean {
    const little = this.#byteOrder === "little";
    const [low, high] = little ? [0, 4] : [4, 0];
    for (let at = 0; at < stateBytes; at += 8) {
      if (this.#words.getUint32(at, true) !== record.getUint32(offset + at + low, little)) return false;
      if (this.#words.getUint32(at + 4, true) !== record.getUint32(offset + at + high, little)) {
        return false;
      }
    }
    return true;
  }

  #finishWord(bytes: Uint8Array): Uint8Array {
    const taken = bytes.subarray(0, wordBytes - this.#begunBytes);
    this.#begun.set(taken, this.#begunBytes);
    this.#begunBytes += taken.length;
    if (this.#begunBytes === wordBytes) {
      this.#begunBytes = 0;
      this.#addWords(this.#begun, wordBytes);
    }
    return bytes.subarray(taken.length);
  }

  #addWords(bytes: Uint8Array, lengthBytes: number): void {
    const { memory, functions } = loop();
    const addUp = functions[this.#byteOrder];
    memory.set(this.#state);
    for (let at = 0; at < lengthBytes; at += blockBytes) {
      const block = bytes.subarray(at, Math.min(at + blockBytes, lengthBytes));
      memory.set(block, blockStart);
      addUp(blockStart, blockStart + block.length);
    }
    this.#state.set(memory.subarray(0, stateBytes));
  }
}
