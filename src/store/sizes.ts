/**
 * Whether chunks and parts fit the store, asked before a byte is sent: R2 would only say so at Complete, after hours.
 */
import { GiB, KiB, MiB, TiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import type { StoreLimits } from "./store.ts";

export interface Sizes {
  /** One object. */
  readonly chunkBytes: number;
  /** One part of it. */
  readonly partBytes: number;
  readonly limits: StoreLimits;
}

function refuse(message: string, hint: string): never {
  throw new ZferryError("size-limits", message, { hint });
}

/** @throws ZferryError `size-limits` unless a part is one the store takes and a chunk is a whole number of parts */
export function checkSizes({ chunkBytes, partBytes, limits }: Sizes): void {
  checkPartSize(partBytes, limits);
  const part = exactSize(partBytes);
  const chunk = exactSize(chunkBytes);
  if (chunkBytes < partBytes || chunkBytes % partBytes !== 0) {
    refuse(
      `chunks of ${chunk} are not a whole number of ${part} parts`,
      "make the chunk size a multiple of the part size",
    );
  }
  const partCount = chunkBytes / partBytes;
  if (partCount > limits.maxPartCount) {
    refuse(
      `a chunk of ${chunk} would have ${partCount} parts of ${part}, and the store takes ${limits.maxPartCount}`,
      `use parts of at least ${exactSize(Math.ceil(chunkBytes / limits.maxPartCount / MiB) * MiB)} or smaller chunks`,
    );
  }
  if (chunkBytes > limits.maxObjectBytes) {
    refuse(`a chunk of ${chunk} is larger than the store takes`, `use at most ${exactSize(limits.maxObjectBytes)}`);
  }
}

/** @throws ZferryError `size-limits` */
export function checkPartSize(partBytes: number, limits: StoreLimits): void {
  if (partBytes >= limits.minPartBytes && partBytes <= limits.maxPartBytes && Number.isSafeInteger(partBytes)) return;
  refuse(
    `the store takes no parts of ${exactSize(partBytes)}`,
    `use ${exactSize(limits.minPartBytes)} to ${exactSize(limits.maxPartBytes)}`,
  );
}

const units: readonly (readonly [name: string, bytes: number])[] = [
  ["TiB", TiB],
  ["GiB", GiB],
  ["MiB", MiB],
  ["KiB", KiB],
  ["B", 1],
];

/** Without rounding: R2's largest part is 5115 MiB, and "5.00 GiB" would be a lie. */
function exactSize(bytes: number): string {
  const unit = units.find(([, size]) => bytes >= size && bytes % size === 0);
  return unit === undefined ? `${bytes} B` : `${bytes / unit[1]} ${unit[0]}`;
}
