/**
 * Backups as a timeline has them: each full begins a lane, and the incrementals that a restore receives after it follow on
 * it. Pure.
 */
import type { Backup } from "./evidence.ts";

export interface Lane {
  /** Null where the incrementals' base is not there. */
  readonly full: Backup | null;
  /** Ascending by age. */
  readonly incrementals: readonly Backup[];
}

/** Ascending by the age of the oldest in each. @param backups - ascending by age */
export function lanesOf(backups: readonly Backup[]): readonly Lane[] {
  const lanes = new Map<string, { full: Backup | null; incrementals: Backup[] }>();
  for (const backup of backups) {
    const key = rootOf(backup);
    const lane = lanes.get(key) ?? { full: null, incrementals: [] };
    lanes.set(key, lane);
    if (backup.entry.kind === "full") lane.full = backup;
    else lane.incrementals.push(backup);
  }
  return [...lanes.values()];
}

/**
 * The row each lane is drawn on: a full goes on in the row of the one before as long as that has no incrementals, otherwise
 * below it, and from the last row to the first.
 */
export function rowsOf(lanes: readonly Lane[], rowCount: number): readonly number[] {
  let row = 0;
  return lanes.map((_, index) => {
    const before = lanes[index - 1];
    if (before !== undefined && before.incrementals.length > 0) row = (row + 1) % rowCount;
    return row;
  });
}

/** The full a restore begins with; of one that is not there, the guid it had. */
function rootOf({ entry, chain }: Backup): string {
  const [first = entry] = chain;
  return first.base === null ? first.backup : String(first.base.guid);
}
