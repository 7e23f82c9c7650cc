/**
 * Re-slicing without copying: pieces of any size in, groups of an exact size out.
 *
 * The ciphers work on lists of slices, so that neither an AEAD chunk nor a partial body is ever gathered into one
 * buffer. Only pieces under {@link smallPieceBytes} are copied together, because a list of single bytes would cost more
 * than the copy.
 */
import type { ByteSource } from "../bytes.ts";
import { asBuffer, KiB } from "../bytes.ts";

/** Pieces under this are copied into a staging buffer. */
const smallPieceBytes = 16 * KiB;
const stagingBytes = 64 * KiB;
/** Larger pieces are cut: beyond 256 KiB the cipher's output allocations page-fault (measured 1.1–2.5 times slower). */
const largestSliceBytes = 256 * KiB;

/**
 * The same bytes in slices good for a cipher: none empty, none over 256 KiB, small ones merged. Holds at most one
 * staging buffer of 64 KiB.
 */
export async function* evenSlices(source: ByteSource): AsyncGenerator<Buffer> {
  let staging = Buffer.alloc(0);
  let usedBytes = 0;
  for await (const piece of source) {
    for (const slice of cut(piece)) {
      const isSmall = slice.length < smallPieceBytes;
      if (usedBytes > 0 && (!isSmall || usedBytes + slice.length > staging.length)) {
        yield staging.subarray(0, usedBytes);
        staging = staging.subarray(usedBytes);
        usedBytes = 0;
      }
      if (isSmall) {
        if (slice.length > staging.length) staging = Buffer.allocUnsafeSlow(stagingBytes);
        usedBytes += slice.copy(staging, usedBytes);
      } else {
        yield slice;
      }
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

/** A queue of slices that remembers its size and gives out any number of bytes of it. */
export class SliceQueue {
  readonly #slices: Buffer[] = [];
  #sizeBytes = 0;

  constructor(slices: readonly Buffer[] = []) {
    for (const slice of slices) this.push(slice);
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  push(slice: Buffer): void {
    this.#slices.push(slice);
    this.#sizeBytes += slice.length;
  }

  /** The first `sizeBytes` bytes (all there are, when fewer), as views of what was pushed. */
  take(sizeBytes: number): Buffer[] {
    let restBytes = Math.min(sizeBytes, this.#sizeBytes);
    this.#sizeBytes -= restBytes;
    let count = 0;
    for (const slice of this.#slices) {
      if (slice.length > restBytes) break;
      restBytes -= slice.length;
      count += 1;
    }
    const taken = this.#slices.splice(0, count);
    const split = this.#slices[0];
    if (restBytes > 0 && split !== undefined) {
      taken.push(split.subarray(0, restBytes));
      this.#slices[0] = split.subarray(restBytes);
    }
    return taken;
  }
}

export interface Group {
  readonly slices: readonly Buffer[];
  readonly sizeBytes: number;
  /** True for exactly one group, the final one, which may be empty. */
  readonly last: boolean;
}

/**
 * Groups of exactly `sizeBytes`, each known to be followed by at least `tailBytes` more, and then the last group with
 * whatever is left: 0 to `sizeBytes + tailBytes - 1` bytes. Where the groups fall depends on the number of bytes alone,
 * never on how the source was sliced. Holds that many bytes and one slice.
 */
export async function* groups(
  source: AsyncIterable<Buffer>,
  { sizeBytes, tailBytes }: { readonly sizeBytes: number; readonly tailBytes: number },
): AsyncGenerator<Group> {
  const queue = new SliceQueue();
  for await (const slice of source) {
    queue.push(slice);
    while (queue.sizeBytes >= sizeBytes + tailBytes) {
      yield { slices: queue.take(sizeBytes), sizeBytes, last: false };
    }
  }
  yield { sizeBytes: queue.sizeBytes, slices: queue.take(queue.sizeBytes), last: true };
}
