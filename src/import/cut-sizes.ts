/** The sizes a manifest gives of files that somebody else has cut: of a chunk, and the distance of its marks. */
import { formatSize, GiB, KiB, MiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";

export interface CutSizes {
  readonly chunkBytes: number;
  /** Divides `chunkBytes`: what a reader fetches, holds and checks at a time. */
  readonly markBytes: number;
}

/** What is aimed at: as far apart as the parts of our own uploads. */
const wantedMarkBytes = 16 * MiB;
/** Nearer marks make a manifest long: 64 characters each. */
const nearestMarkBytes = 64 * KiB;
/** A reader holds three times as much. */
const furthestMarkBytes = GiB;

/**
 * The widest marks up to 16 MiB that divide the chunk, or the narrowest above that.
 *
 * @param cutBytes - size of every file but the last
 * @throws ZferryError `size-limits` when no mark up to 1 GiB divides it
 */
export function cutSizes(cutBytes: number, fileCount: number): CutSizes {
  if (fileCount === 1) return { chunkBytes: Math.ceil(cutBytes / wantedMarkBytes) * wantedMarkBytes, markBytes: wantedMarkBytes };
  const divisors = divisorsOf(cutBytes);
  const near = divisors.filter((size) => size <= wantedMarkBytes).at(-1) ?? 0;
  const far = divisors.find((size) => size > wantedMarkBytes) ?? Number.POSITIVE_INFINITY;
  const markBytes = near >= Math.min(nearestMarkBytes, cutBytes) ? near : far;
  if (markBytes <= furthestMarkBytes) return { chunkBytes: cutBytes, markBytes };
  throw new ZferryError("size-limits", `files of ${cutBytes} bytes cannot be checked in pieces of ${formatSize(furthestMarkBytes)} or less`, {
    hint: "cut the message anew into files of another size: cat NAME.zfs.gpg.* | split --bytes 1G --suffix-length=4 --numeric-suffixes - NEW/NAME.zfs.gpg.",
  });
}

/** Ascending. Tries every number up to the square root: 10^5 of them for 10 GB. */
function divisorsOf(size: number): number[] {
  const low: number[] = [];
  const high: number[] = [];
  for (let candidate = 1; candidate * candidate <= size; candidate += 1) {
    if (size % candidate !== 0) continue;
    low.push(candidate);
    if (candidate * candidate !== size) high.unshift(size / candidate);
  }
  return [...low, ...high];
}
