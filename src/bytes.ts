/**
 * Bytes on the move, and sizes as people write them.
 *
 * The rule of every stage: a yielded buffer is *handed over*. The giver never touches it again, so the taker may keep
 * it without a copy, and may not change it (it can be a view of something larger). ADR 0003 says why. Behind the worker
 * threads, where memory goes round, it is only *lent* ({@link LentSource}).
 */
import { ZferryError } from "./errors.ts";

/** What flows between stages. The end of the iteration is a claim of success: a source that failed must throw. */
export type ByteSource = AsyncIterable<Uint8Array>;

/**
 * A source whose slices are the taker's only until the next one is asked for: then their memory is filled anew. Whoever
 * wants to keep bytes copies them. Bodies of `Store.put`, what `Store.get` and what `retrieve` yield are lent.
 */
export type LentSource = ByteSource;

/**
 * A step that works on bytes without waiting, so that it runs in any thread. `push` uses the slice up before its
 * iteration ends; what is yielded is lent: it may be a view of the slice or of the step's own memory.
 */
export interface Transform {
  push(slice: Buffer): Iterable<Buffer>;
  /** What is left to say when the source has ended well. Nothing may be pushed after it. */
  end(): Iterable<Buffer>;
}

/** Several steps as one. */
export function chained(steps: readonly Transform[]): Transform {
  function* feed(slice: Buffer, from: number): Generator<Buffer> {
    const step = steps[from];
    if (step === undefined) yield slice;
    else for (const piece of step.push(slice)) yield* feed(piece, from + 1);
  }
  function* finish(): Generator<Buffer> {
    for (const [index, step] of steps.entries()) {
      for (const piece of step.end()) yield* feed(piece, index + 1);
    }
  }
  return { push: (slice) => feed(slice, 0), end: finish };
}

/** The same bytes as a Buffer, without a copy. */
export function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;
export const TiB = 1024 * GiB;

const units: readonly (readonly [name: string, bytes: number])[] = [
  ["TiB", TiB],
  ["GiB", GiB],
  ["MiB", MiB],
  ["KiB", KiB],
];

const unitOf = new Map<string, number>([
  ["", 1],
  ["b", 1],
  ["k", KiB],
  ["kib", KiB],
  ["m", MiB],
  ["mib", MiB],
  ["g", GiB],
  ["gib", GiB],
  ["t", TiB],
  ["tib", TiB],
]);

/**
 * Parses `16MiB`, `16M`, `16m`, `16777216`. Units are binary, as `split --bytes` and `zfs` have them; `MB` is refused
 * because half its readers mean 10⁶.
 *
 * @returns a whole number of bytes ≥ 0
 * @throws ZferryError `usage` for anything else
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text.trim());
  const unit = match === null ? undefined : unitOf.get((match[2] ?? "").toLowerCase());
  const bytes = match === null || unit === undefined ? Number.NaN : Number(match[1]) * unit;
  if (!Number.isSafeInteger(bytes)) {
    throw new ZferryError("usage", `cannot read the size "${text}"`, {
      hint: "write a whole number of bytes or use KiB, MiB, GiB, TiB, as in 16MiB",
    });
  }
  return bytes;
}

/** `1.46 GiB`, `512 KiB`, `17 B`: three significant digits, binary units. */
export function formatSize(bytes: number): string {
  const unit = units.find(([, size]) => bytes >= size - size / 2048); // what would round to 1024 of the next smaller
  if (unit === undefined) return `${bytes} B`;
  const value = bytes / unit[1];
  return `${value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)} ${unit[0]}`;
}

/** Bytes over seconds as `412 MiB/s`. */
export function formatRate(bytes: number, seconds: number): string {
  return `${formatSize(Math.round(bytes / Math.max(seconds, 0.001)))}/s`;
}

/**
 * Fills `whole` from a lent source that has exactly as many bytes.
 *
 * @throws what `wrongSize` makes of the number of bytes seen, as soon as they are too many, or at the end too few
 */
export async function fill(whole: Uint8Array, source: LentSource, wrongSize: (seenBytes: number) => Error): Promise<void> {
  let seenBytes = 0;
  for await (const piece of source) {
    if (seenBytes + piece.length > whole.length) throw wrongSize(seenBytes + piece.length);
    whole.set(piece, seenBytes);
    seenBytes += piece.length;
  }
  if (seenBytes < whole.length) throw wrongSize(seenBytes);
}

/** Gathers a lent source whose size is known to be small. Throws through `tooLong` once it has more than `maxBytes`. */
export async function gather(source: LentSource, maxBytes: number, tooLong: () => Error): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of source) {
    sizeBytes += piece.length;
    if (sizeBytes > maxBytes) throw tooLong();
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces, sizeBytes);
}
