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

export interface MeterOptions {
  readonly markBytes: number;
  /**
   * Told the running SHA-256 of each mark, counted from 0, the chunk's end included. Awaited before the slice that
   * completes the mark goes on, and before the chunk ends: nothing of a part can be sent before its mark is noted.
   */
  readonly onMark?: (index: number, sha256: string) => Promise<void>;
}

/** A stage that measures: run the chunk through it, then ask. */
export class ChunkMeter {
  readonly #options: MeterOptions;
  readonly #hash: Hash = createHash("sha256");
  /** The running digest at every full mark; the one at the chunk's own end is no mark of the manifest. */
  readonly #running: string[] = [];
  #sizeBytes = 0;

  constructor(options: MeterOptions) {
    this.#options = options;
  }

  /** Passes every byte on unchanged; a slice that reaches over a mark is cut in two views there. */
  async *through(source: ByteSource): AsyncGenerator<Uint8Array> {
    const { markBytes } = this.#options;
    for await (const slice of source) {
      for (let at = 0; at < slice.length; ) {
        const piece = slice.subarray(at, at + markBytes - (this.#sizeBytes % markBytes));
        at += piece.length;
        this.#hash.update(piece);
        this.#sizeBytes += piece.length;
        if (this.#sizeBytes % markBytes === 0) await this.#note();
        yield piece;
      }
    }
    if (this.#sizeBytes % markBytes !== 0) await this.#note();
  }

  /** What has passed so far, as if the chunk ended here. */
  digest(): ChunkDigest {
    const markCount = Math.max(Math.ceil(this.#sizeBytes / this.#options.markBytes) - 1, 0);
    return { sizeBytes: this.#sizeBytes, sha256: this.#current(), marks: this.#running.slice(0, markCount) };
  }

  async #note(): Promise<void> {
    const sha256 = this.#current();
    this.#running.push(sha256);
    await this.#options.onMark?.(this.#running.length - 1, sha256);
  }

  #current(): string {
    return this.#hash.copy().digest("hex");
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
