/**
 * Which backups to read when not all can be: never verified first, then the longest unverified, the newest of equals.
 */
import type { BackupEntry } from "../format/entry.ts";

/** A backup that could be read. */
export interface Candidate {
  readonly entry: BackupEntry;
  /** What reading it takes from the store, in bytes. */
  readonly costBytes: number;
  /** Last time at the wanted level or above; null for never. */
  readonly verifiedAt: Date | null;
}

/** The order in which to read them. */
export function byNeed(a: Candidate, b: Candidate): number {
  const [whenA, whenB] = [timeOf(a), timeOf(b)];
  if (whenA !== whenB) return whenA < whenB ? -1 : 1;
  return b.entry.createdAt.getTime() - a.entry.createdAt.getTime() || (a.entry.backup < b.entry.backup ? -1 : 1);
}

function timeOf({ verifiedAt }: Candidate): number {
  return verifiedAt?.getTime() ?? Number.NEGATIVE_INFINITY;
}

/**
 * Bytes that may be read. What was read counts, not what was meant to be: a backup that no key opens costs nothing, and
 * so does not stand in the way of the others night after night.
 */
export class Budget {
  readonly #limitBytes: number;
  #spentBytes = 0;

  /** @param limitBytes - null for no limit */
  constructor(limitBytes: number | null) {
    this.#limitBytes = limitBytes ?? Number.POSITIVE_INFINITY;
  }

  /** Always true as long as nothing was read: at least one backup is. */
  allows(costBytes: number): boolean {
    return this.#spentBytes === 0 || this.#spentBytes + costBytes <= this.#limitBytes;
  }

  spend(bytes: number): void {
    this.#spentBytes += bytes;
  }
}

/** What a budget will be spent on, of costs in their order. */
export function totalWithin(costs: readonly number[], limitBytes: number | null): number {
  const budget = new Budget(limitBytes);
  let totalBytes = 0;
  for (const costBytes of costs) {
    if (!budget.allows(costBytes)) break;
    budget.spend(costBytes);
    totalBytes += costBytes;
  }
  return totalBytes;
}
