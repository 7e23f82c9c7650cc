/**
 * Measures a chunk as it passes: its size, its SHA-256, and the running SHA-256 at every mark (`docs/format.md`).
 *
 * One pass of SHA-256 gives all of them, because the state of a running hash can be copied. Checking is the same walk
 * the other way: `ChunkCheck` takes a chunk's bytes mark by mark and says whether they may be released.
 */
import { createHash, type Hash } from "node:crypto";
import type { ByteSource } from "../bytes.ts";

/** What the manifest keeps of one chunk. */
export interface ChunkDigest {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** After each full `markBytes`, as long as more bytes follow. */
  readonly marks: readonly string[];
}

/** A stage that measures: run the chunk through it, then ask. */
export class ChunkMeter {
  readonly #markBytes: number;
  readonly #hash: Hash = createHash("sha256");
  readonly #marks: string[] = [];
  #sizeBytes = 0;

  constructor({ markBytes }: { markBytes: number }) {
    this.#markBytes = markBytes;
  }

  /** Passes every slice on unchanged. */
  async *through(source: ByteSource): AsyncGenerator<Uint8Array> {
    for await (const slice of source) {
      this.#update(slice);
      yield slice;
    }
  }

  /** What has passed so far, as if the chunk ended here. */
  digest(): ChunkDigest {
    return { sizeBytes: this.#sizeBytes, sha256: this.#hash.copy().digest("hex"), marks: [...this.#marks] };
  }

  /** A mark is taken when the first byte behind it arrives, so the chunk's own end is never one. */
  #update(slice: Uint8Array): void {
    let rest = slice;
    while (rest.length > 0) {
      const toMark = this.#markBytes - (this.#sizeBytes % this.#markBytes);
      if (this.#sizeBytes > 0 && toMark === this.#markBytes) this.#marks.push(this.#hash.copy().digest("hex"));
      const piece = rest.subarray(0, toMark);
      this.#hash.update(piece);
      this.#sizeBytes += piece.length;
      rest = rest.subarray(piece.length);
    }
  }
}

/** Reads a chunk to its end for its digest alone. */
export async function measure(source: ByteSource, options: { markBytes: number }): Promise<ChunkDigest> {
  const meter = new ChunkMeter(options);
  const passing = meter.through(source);
  while ((await passing.next()).done !== true);
  return meter.digest();
}

/** Checks one chunk piece by piece, in order; each piece but the last is `markBytes` long. */
export class ChunkCheck {
  readonly #expected: readonly string[];
  readonly #hash: Hash = createHash("sha256");
  #piecesSeen = 0;

  constructor(expected: ChunkDigest) {
    this.#expected = [...expected.marks, expected.sha256];
  }

  /** Whether everything up to and including this piece is what was stored. */
  accepts(piece: Uint8Array): boolean {
    this.#hash.update(piece);
    return this.#hash.copy().digest("hex") === this.#expected[this.#piecesSeen++];
  }
}
