/**
 * What can be restored for each day, from the day of the first backup to today. Days are those of UTC. Pure.
 */
import type { Backup } from "./evidence.ts";

export interface Day {
  /** `2026-11-21`. */
  readonly date: string;
  /** Backups of a snapshot of that day that can be restored. */
  readonly goodCount: number;
  /** Those that cannot. */
  readonly badCount: number;
}

/** Days in a row of which the same can be said. */
export interface Stretch {
  readonly from: string;
  readonly to: string;
  readonly dayCount: number;
  readonly goodCount: number;
  readonly badCount: number;
  /** The newest day before that a restore point is of; null for none. Of days with restore points of their own null too. */
  readonly fallback: string | null;
}

const dayMs = 24 * 60 * 60 * 1000;
/** Whoever can write to a store can give a backup any time at all. */
const maxDays = 3660;

/** `2026-11-21`. */
export function dateOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}

/** The last ten years at most. @param backups - ascending by age */
export function daysOf(backups: readonly Backup[], at: Date): readonly Day[] {
  const [first] = backups;
  if (first === undefined) return [];
  const today = dayOf(at.getTime());
  const days: Day[] = [];
  const counts = countsOf(backups);
  for (let ms = dayOf(Math.max(first.entry.createdAt.getTime(), today - maxDays * dayMs)); ms <= today; ms += dayMs) {
    const date = dateOf(new Date(ms));
    const { goodCount = 0, badCount = 0 } = counts.get(date) ?? {};
    days.push({ date, goodCount, badCount });
  }
  return days;
}

/** Its first millisecond. */
function dayOf(ms: number): number {
  return ms - (((ms % dayMs) + dayMs) % dayMs);
}

function countsOf(backups: readonly Backup[]): ReadonlyMap<string, Omit<Day, "date">> {
  const counts = new Map<string, { goodCount: number; badCount: number }>();
  for (const { entry, trouble } of backups) {
    const date = dateOf(entry.createdAt);
    const count = counts.get(date) ?? { goodCount: 0, badCount: 0 };
    counts.set(date, count);
    if (trouble === null) count.goodCount += 1;
    else count.badCount += 1;
  }
  return counts;
}

export function stretchesOf(days: readonly Day[]): readonly Stretch[] {
  const stretches: Stretch[] = [];
  let fallback: string | null = null;
  for (const { date, goodCount, badCount } of days) {
    if (goodCount > 0) fallback = date;
    const last = stretches.at(-1);
    const isSame = last !== undefined && last.goodCount > 0 === goodCount > 0 && last.badCount > 0 === badCount > 0;
    if (isSame) stretches.pop();
    const before = isSame ? last : { from: date, dayCount: 0, goodCount: 0, badCount: 0 };
    stretches.push({
      from: before.from,
      to: date,
      dayCount: before.dayCount + 1,
      goodCount: before.goodCount + goodCount,
      badCount: before.badCount + badCount,
      fallback: goodCount > 0 ? null : fallback,
    });
  }
  return stretches;
}
