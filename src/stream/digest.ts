/**
 * Measures a chunk as it passes: its size, its SHA-256, and the running SHA-256 at every mark (`docs/format.md`).
 *
 * One pass of SHA-256 gives all of them, because the state of a running hash can be copied. Checking is the same walk
 * the other way: `ChunkCheck` takes a chunk's bytes mark by mark and says whether they may be released.
 */
import { createHash, type Hash } from "node:crypto";
import type { ByteSource } from "../bytes.ts";

/** Where marks fall: every `markBytes` of a chunk and at its end; `chunkBytes` is a multiple of `markBytes`. */
export interface MarkLayout {
  readonly chunkBytes: number;
  readonly markBytes: number;
}

/** The SHA-256 of a chunk from its beginning to this mark. */
export interface Mark {
  readonly chunk: number;
  /** Counted from 0 in each chunk. */
  readonly index: number;
  readonly sha256: string;
}

/** Hashes a whole message as it passes and knows every mark of every chunk. Synchronous, for any thread. */
export class MarkWalk {
  readonly #layout: MarkLayout;
  #hash: Hash = createHash("sha256");
  #chunk = 0;
  #chunkBytes = 0;

  constructor(layout: MarkLayout) {
    this.#layout = layout;
  }

  /** The marks that fall within the slice or on its end. */
  push(slice: Uint8Array): Mark[] {
    const { chunkBytes, markBytes } = this.#layout;
    const marks: Mark[] = [];
    for (let at = 0; at < slice.length; ) {
      const piece = slice.subarray(at, at + markBytes - (this.#chunkBytes % markBytes));
      at += piece.length;
      this.#hash.update(piece);
      this.#chunkBytes += piece.length;
      if (this.#chunkBytes % markBytes !== 0) continue;
      marks.push(this.#mark());
      if (this.#chunkBytes === chunkBytes) this.#nextChunk();
    }
    return marks;
  }

  /** The mark at the end of a chunk, or of its last stretch, that is shorter than the others. */
  end(): Mark[] {
    return this.#chunkBytes % this.#layout.markBytes === 0 ? [] : [this.#mark()];
  }

  #mark(): Mark {
    const index = Math.ceil(this.#chunkBytes / this.#layout.markBytes) - 1;
    return { chunk: this.#chunk, index, sha256: this.#hash.copy().digest("hex") };
  }

  #nextChunk(): void {
    this.#hash = createHash("sha256");
    this.#chunk += 1;
    this.#chunkBytes = 0;
  }
}

/** Marks on their way from whoever hashes to whoever needs them; they come before the bytes that complete them. */
export class MarkQueue {
  readonly #marks: Mark[] = [];

  push(marks: readonly Mark[]): void {
    this.#marks.push(...marks);
  }

  /** @throws an Error, which is a bug, when it is not the next one */
  take(chunk: number, index: number): string {
    const mark = this.#marks.shift();
    if (mark?.chunk !== chunk || mark.index !== index) throw new Error(`mark ${index} of chunk ${chunk} was not hashed`);
    return mark.sha256;
  }
}

/** What the manifest keeps of one chunk. */
export interface ChunkDigest {
  readonly sizeBytes: number;
  readonly sha256: string;
  /** After each full `markBytes`, as long as more bytes follow. */
  readonly marks: readonly string[];
}

export interface MeterOptions {
  readonly markBytes: number;
  /** The running SHA-256 at mark `index`, asked for when that many bytes have passed. */
  readonly sha256At: (index: number) => string;
  /**
   * Told each mark, the chunk's end included. Awaited before the slice that completes the mark goes on, and before the
   * chunk ends: nothing of a part can be sent before its mark is noted.
   */
  readonly onMark?: (index: number, sha256: string) => Promise<void>;
}

/** A stage that notes the marks of one chunk: run the chunk through it, then ask. The hashing is done elsewhere. */
export class ChunkMeter {
  readonly #options: MeterOptions;
  /** At every mark; the one at the chunk's own end is no mark of the manifest but its digest. */
  readonly #noted: string[] = [];
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
        this.#sizeBytes += piece.length;
        if (this.#sizeBytes % markBytes === 0) await this.#note();
        yield piece;
      }
    }
    if (this.#sizeBytes % markBytes !== 0) await this.#note();
  }

  /** What has passed, once all of it has. */
  digest(): ChunkDigest {
    const sha256 = this.#noted.at(-1);
    if (sha256 === undefined) throw new Error("a chunk without bytes");
    return { sizeBytes: this.#sizeBytes, sha256, marks: this.#noted.slice(0, -1) };
  }

  async #note(): Promise<void> {
    const index = this.#noted.length;
    const sha256 = this.#options.sha256At(index);
    this.#noted.push(sha256);
    await this.#options.onMark?.(index, sha256);
  }
}

/** Reads a chunk of any size to its end for its digest alone. */
export async function measure(source: ByteSource, { markBytes }: { readonly markBytes: number }): Promise<ChunkDigest> {
  const walk = new MarkWalk({ markBytes, chunkBytes: Number.POSITIVE_INFINITY });
  const noted: string[] = [];
  let sizeBytes = 0;
  for await (const slice of source) {
    sizeBytes += slice.length;
    for (const { sha256 } of walk.push(slice)) noted.push(sha256);
  }
  for (const { sha256 } of walk.end()) noted.push(sha256);
  return { sizeBytes, sha256: noted.at(-1) ?? emptySha256, marks: noted.slice(0, -1) };
}

const emptySha256 = createHash("sha256").digest("hex");

/** Checks one chunk piece by piece, in order; each piece but the last is `markBytes` long. */
export class ChunkCheck {
  readonly #expected: readonly string[];
  /** Of the pieces that were accepted. */
  #hash: Hash = createHash("sha256");
  #piecesAccepted = 0;

  constructor(expected: ChunkDigest) {
    this.#expected = [...expected.marks, expected.sha256];
  }

  /** Whether this piece is the next one as it was stored. One that is not counts for nothing: another may be tried in its place. */
  accepts(piece: Uint8Array): boolean {
    const hash = this.#hash.copy().update(piece);
    if (hash.copy().digest("hex") !== this.#expected[this.#piecesAccepted]) return false;
    this.#hash = hash;
    this.#piecesAccepted += 1;
    return true;
  }
}
