/**
 * How much is kept: `keep.local` for snapshots on the pool, `keep.store` for backups in a store (`docs/retention.md`).
 *
 * Each rule keeps on its own, and what any rule keeps stays. What the rules mean is decided in `retention.ts`.
 */
import { z } from "zod";
import { duration, setting } from "./values.ts";

/** More than a backup a day for a lifetime; beyond it a number is a slip of the hand. */
export const maxCount = 100_000;

const count = z
  .number(`must be a whole number from 0 to ${maxCount}`)
  .int(`must be a whole number from 0 to ${maxCount}`)
  .min(0, `must be a whole number from 0 to ${maxCount}`)
  .max(maxCount, `must be a whole number from 0 to ${maxCount}`)
  .default(0);

/** What is kept, by rule. Counts are 0, and `withinMs` null, for a rule that is not given. At least one is given. */
export interface KeepPolicy {
  /** The newest so many. */
  readonly last: number;
  /** All that are this young, counted back from the newest, or from now if that is earlier; in milliseconds. */
  readonly withinMs: number | null;
  /** The newest of each of the newest so many days, ISO weeks, months and years that have one, in UTC. */
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly yearly: number;
  /** The newest so many full backups. */
  readonly fulls: number;
}

/** Whether any rule keeps anything. */
export function keepsAnything({ withinMs, ...counts }: KeepPolicy): boolean {
  return withinMs !== null || Object.values(counts).some((value) => value > 0);
}

/** One policy, as it stands in the file. One that is given and keeps nothing is refused. */
export const keepSchema = z
  .strictObject({
    last: setting(count, "the newest so many", 0),
    within: setting(duration, "all not older than that, counted back from the newest, or from now if that is earlier").optional(),
    daily: setting(count, "of each of the newest so many days that have one, the newest", 0),
    weekly: setting(count, "the same by ISO weeks", 0),
    monthly: setting(count, "the same by months", 0),
    yearly: setting(count, "the same by years", 0),
    fulls: setting(count, "the newest so many fulls", 0),
  })
  .transform(({ within, ...counts }): KeepPolicy => ({ ...counts, withinMs: within ?? null }))
  .refine(keepsAnything, "keeps nothing, so everything would be deleted: give last, within, daily, weekly, monthly, yearly or fulls");
