/**
 * Keeps back the end of a stream until the stream is known to be whole.
 *
 * `zfs recv` commits the snapshot as soon as it reads the END record, which comes before any final tag, MDC or digest
 * (OpenZFS `module/zfs/dmu_recv.c`). So the last bytes are released only once the source has ended, and a source ends
 * only when everything about it was found right.
 */
import type { LentSource } from "../bytes.ts";

/** More than the 312 bytes of an END record, and of two of them in a compound stream. */
export const withheldBytes = 64 * 1024;

/**
 * Passes all slices on, late: the last `bytes` are in hand until the source has ended. The source may be lent, and what
 * is yielded is.
 */
export async function* withhold(source: LentSource, { bytes }: { bytes: number }): AsyncGenerator<Uint8Array> {
  const held = new Tail(bytes);
  for await (const slice of source) yield* held.push(slice);
  if (held.bytes.length > 0) yield held.bytes;
}

/** The last bytes of what was pushed, copied. */
class Tail {
  readonly #sizeBytes: number;
  /** Twice as large, so that small slices are not moved to the front each time. */
  readonly #memory: Buffer;
  #start = 0;
  #end = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#memory = Buffer.allocUnsafeSlow(2 * sizeBytes);
  }

  get bytes(): Buffer {
    return this.#memory.subarray(this.#start, this.#end);
  }

  /** What must make way for the slice, and what of the slice itself is not among the last bytes. */
  *push(slice: Uint8Array): Generator<Uint8Array> {
    const ownBytes = Math.min(slice.length, this.#sizeBytes);
    const leaving = this.bytes.subarray(0, Math.max(0, this.bytes.length + ownBytes - this.#sizeBytes));
    if (leaving.length > 0) yield leaving;
    this.#start += leaving.length;
    if (slice.length > ownBytes) yield slice.subarray(0, slice.length - ownBytes);
    if (this.#end + ownBytes > this.#memory.length) {
      this.#memory.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    this.#memory.set(slice.subarray(slice.length - ownBytes), this.#end);
    this.#end += ownBytes;
  }
}
