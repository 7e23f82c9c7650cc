/** Keeping back the last bytes of what passes: what stands there decides whether the rest was whole. */

/** The last bytes of what was pushed, copied, so that the slices they came in may be lent. */
export class Tail {
  readonly #sizeBytes: number;
  /** Twice as large, so that small slices are not moved to the front each time. */
  readonly #memory: Buffer;
  #start = 0;
  #end = 0;

  /** @param sizeBytes - how many are kept back */
  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#memory = Buffer.allocUnsafeSlow(2 * sizeBytes);
  }

  /** What is kept back: everything, until more than that was pushed. */
  get bytes(): Buffer {
    return this.#memory.subarray(this.#start, this.#end);
  }

  /** What must make way for the slice, and what of the slice itself is not among the last bytes; lent. */
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
