/**
 * Re-slicing with as little copying as can be: slices good for a cipher, and groups of an exact size.
 */
import type { LentSource } from "../bytes.ts";
import { asBuffer, KiB } from "../bytes.ts";

/** Pieces under this are copied together. */
const smallPieceBytes = 16 * KiB;
const stagingBytes = 64 * KiB;
/** Larger pieces are cut: beyond 256 KiB the cipher's output allocations page-fault (measured 1.1–2.5 times slower). */
const largestSliceBytes = 256 * KiB;

/**
 * The same bytes, lent, in slices good for a cipher: none empty, none over 256 KiB, small ones merged. Holds 64 KiB.
 */
export async function* evenSlices(source: LentSource): AsyncGenerator<Buffer> {
  const staging = Buffer.allocUnsafeSlow(stagingBytes);
  let usedBytes = 0;
  for await (const piece of source) {
    for (const slice of cut(piece)) {
      const isSmall = slice.length < smallPieceBytes;
      if (usedBytes > 0 && (!isSmall || usedBytes + slice.length > staging.length)) {
        yield staging.subarray(0, usedBytes);
        usedBytes = 0;
      }
      if (isSmall) usedBytes += slice.copy(staging, usedBytes);
      else yield slice;
    }
  }
  if (usedBytes > 0) yield staging.subarray(0, usedBytes);
}

function* cut(piece: Uint8Array): Generator<Buffer> {
  const whole = asBuffer(piece);
  for (let startBytes = 0; startBytes < whole.length; startBytes += largestSliceBytes) {
    yield whole.subarray(startBytes, startBytes + largestSliceBytes);
  }
}

/**
 * Groups of an exact size from slices of any size, for writing. Keeps what is too little for a group as a copy of its
 * own, so that every slice is used up when `push` is through.
 */
export class Grouper {
  readonly #sizeBytes: number;
  readonly #rest: Buffer;
  #restBytes = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#rest = Buffer.allocUnsafeSlow(sizeBytes);
  }

  /** Each group in one or two slices, lent until the next is asked for. Where groups fall depends on the number of bytes alone. */
  *push(slice: Buffer): Generator<readonly Buffer[]> {
    let at = 0;
    while (this.#restBytes + slice.length - at >= this.#sizeBytes) {
      const head = this.#rest.subarray(0, this.#restBytes);
      const tail = slice.subarray(at, at + this.#sizeBytes - head.length);
      at += tail.length;
      yield head.length === 0 ? [tail] : [head, tail];
      this.#restBytes = 0;
    }
    this.#restBytes += slice.copy(this.#rest, this.#restBytes, at);
  }

  /** What is left: less than a group. */
  get rest(): Buffer {
    return this.#rest.subarray(0, this.#restBytes);
  }
}
