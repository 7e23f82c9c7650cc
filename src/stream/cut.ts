/**
 * Cuts a stream of bytes into chunks of one size without copying: every slice of the source ends up in exactly one
 * chunk, split in two (as views) only where a boundary falls inside it.
 *
 * The chunks share one source, so a chunk's body must be read to its end (or returned) before the next chunk comes.
 * Holds at most one slice of the source. `stream-chunker` is the oracle of its test and a baseline in `bench/`.
 */
import type { ByteSource } from "../bytes.ts";

/** One chunk: `body` yields exactly the chunk size, or less for the last one, never nothing. */
export interface Chunk {
  readonly index: number;
  readonly body: AsyncIterableIterator<Uint8Array>;
}

/** Thrown at the cutter when a chunk's body was returned before its end: the stream cannot go on from there. */
class ChunkAbandoned extends Error {}

/**
 * @param chunkBytes - a whole number ≥ 1
 *
 * An empty source yields no chunk; one of exactly k chunk sizes yields k. The source is returned when the cutter is.
 */
export async function* cut(source: ByteSource, { chunkBytes }: { chunkBytes: number }): AsyncGenerator<Chunk> {
  const slices = new SliceReader(source);
  try {
    for (let index = 0; await slices.hasMore(); index++) {
      const body = new ChunkBody(slices, chunkBytes);
      yield { index, body };
      await body.ended;
    }
  } finally {
    await slices.close();
  }
}

/** Reads a source slice by slice, with the one thing iterators lack: a slice can be taken in part. */
class SliceReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #slice: Uint8Array = new Uint8Array();

  constructor(source: ByteSource) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Whether there is another byte; waits for it. */
  async hasMore(): Promise<boolean> {
    while (this.#slice.length === 0) {
      const next = await this.#iterator.next();
      if (next.done === true) return false;
      this.#slice = next.value;
    }
    return true;
  }

  /** Up to `maxBytes` of what `hasMore` has seen, at least one byte. */
  take(maxBytes: number): Uint8Array {
    const taken = this.#slice.subarray(0, maxBytes);
    this.#slice = this.#slice.subarray(taken.length);
    return taken;
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

/** An iterator and not a generator, because a generator that was never started cannot tell that it was returned. */
class ChunkBody implements AsyncIterableIterator<Uint8Array> {
  readonly ended: Promise<void>;
  readonly #slices: SliceReader;
  #leftBytes: number;
  #isOpen = true;
  #settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void };

  constructor(slices: SliceReader, sizeBytes: number) {
    this.#slices = slices;
    this.#leftBytes = sizeBytes;
    this.#settle = { resolve: () => undefined, reject: () => undefined };
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.ended.catch(() => undefined); // whoever reads the body got the same error
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#isOpen) return { done: true, value: undefined };
    try {
      if (this.#leftBytes > 0 && (await this.#slices.hasMore())) {
        const value = this.#slices.take(this.#leftBytes);
        this.#leftBytes -= value.length;
        return { done: false, value };
      }
    } catch (error) {
      this.#isOpen = false;
      this.#settle.reject(error);
      throw error;
    }
    this.#isOpen = false;
    this.#settle.resolve();
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#isOpen) {
      this.#isOpen = false;
      if (this.#leftBytes === 0) this.#settle.resolve();
      else this.#settle.reject(new ChunkAbandoned("a chunk was abandoned before its end"));
    }
    return Promise.resolve({ done: true, value: undefined });
  }
}
