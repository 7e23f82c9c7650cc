/**
 * What the rules of a policy keep, by time alone: backups and snapshots are judged in the same way.
 *
 * Semantics are those of restic's `forget`, in UTC: of each day, ISO week, month or year the newest is kept, for as many
 * of them as the rule says, counting only those that have one. While a rule has more to give than there are, it keeps the
 * oldest as well, so that a history grows as long as it may. `docs/retention.md` has examples.
 */
import type { KeepPolicy } from "./config/keep.ts";

/** Something taken at a time, under a name of its own. */
export interface Taken {
  readonly name: string;
  readonly takenAt: Date;
  readonly isFull: boolean;
}

/** A rule of the policy that keeps something. */
export type RuleName = "last" | "within" | "daily" | "weekly" | "monthly" | "yearly" | "fulls";

/** Why something is kept. */
export interface Reason {
  /** Stable, for programs. Besides the rules: what keeps things whatever the policy says (`retention.ts`). */
  readonly kind: RuleName | "needed" | "newest" | "verified" | "anchor" | "held" | "unfinished" | "doubt" | "ahead" | "no-policy";
  /** For people. */
  readonly text: string;
}

/** The pool's host and this one, or two hosts that store in one place, may have set their clocks differently by this much. */
const clockSkewMs = 3_600_000;
const dayMs = 24 * 60 * 60 * 1000;

/** Later than now, by more than two hosts' clocks may differ: how old what was taken then is, nobody knows. */
export function isAhead(takenAt: Date, now: Date): boolean {
  return takenAt.getTime() - now.getTime() > clockSkewMs;
}

/** The newest first; of one moment the greater name, so that the order is always the same. */
export function byNewest(a: Pick<Taken, "takenAt" | "name">, b: Pick<Taken, "takenAt" | "name">): number {
  return b.takenAt.getTime() - a.takenAt.getTime() || (a.name < b.name ? 1 : -1);
}

/** By name, what any rule keeps, and every rule that does. In no order; what is not in it no rule keeps. */
export function keptByRules(things: readonly Taken[], policy: KeepPolicy, now: Date): ReadonlyMap<string, readonly Reason[]> {
  const kept = new Map<string, Reason[]>();
  const keep = ({ name }: Taken, reason: Reason): void => {
    kept.set(name, [...(kept.get(name) ?? []), reason]);
  };
  const newestFirst = [...things].sort(byNewest);
  for (const thing of newestFirst.slice(0, policy.last)) keep(thing, { kind: "last", text: "last" });
  for (const thing of youngerThan(newestFirst, policy.withinMs, now)) keep(thing, { kind: "within", text: `within ${spanText(policy.withinMs)}` });
  for (const { kind, bucketOf } of calendar) {
    for (const { thing, text } of oncePerBucket(newestFirst, { count: policy[kind], bucketOf, kind })) keep(thing, { kind, text });
  }
  const fulls = newestFirst.filter(({ isFull }) => isFull);
  for (const thing of fulls.slice(0, policy.fulls)) keep(thing, { kind: "fulls", text: "full" });
  return kept;
}

/**
 * Counted back from now or from the newest, whichever is earlier: where no more backups are made, and where the clock has
 * run ahead, nothing grows too old.
 */
function youngerThan(newestFirst: readonly Taken[], withinMs: number | null, now: Date): readonly Taken[] {
  const [newest] = newestFirst;
  if (withinMs === null || newest === undefined) return [];
  const from = Math.min(now.getTime(), newest.takenAt.getTime()) - withinMs;
  return newestFirst.filter(({ takenAt }) => takenAt.getTime() >= from);
}

interface CalendarRule {
  readonly kind: "daily" | "weekly" | "monthly" | "yearly";
  /** The name of the day, week, month or year, as people read it. */
  readonly bucketOf: (at: Date) => string;
}

const calendar: readonly CalendarRule[] = [
  { kind: "daily", bucketOf: (at) => at.toISOString().slice(0, -"T00:00:00.000Z".length) },
  { kind: "weekly", bucketOf: isoWeekOf },
  { kind: "monthly", bucketOf: (at) => at.toISOString().slice(0, -"-01T00:00:00.000Z".length) },
  { kind: "yearly", bucketOf: (at) => at.toISOString().slice(0, -"-01-01T00:00:00.000Z".length) },
];

function* oncePerBucket(
  newestFirst: readonly Taken[],
  { count, bucketOf, kind }: CalendarRule & { readonly count: number },
): Generator<{ readonly thing: Taken; readonly text: string }> {
  let last: string | null = null;
  let left = count;
  for (const thing of newestFirst) {
    if (left === 0) return;
    const bucket = bucketOf(thing.takenAt);
    const isOldest = thing === newestFirst.at(-1);
    if (bucket === last && !isOldest) continue;
    yield { thing, text: bucket === last ? `oldest, ${kind}` : `${kind} ${bucket}` };
    last = bucket;
    left -= 1;
  }
}

/** `2026-W47`: the week of ISO 8601 begins on Monday and belongs to the year its Thursday is in. */
export function isoWeekOf(at: Date): string {
  const day = Math.floor(at.getTime() / dayMs);
  const weekday = (((day + 3) % 7) + 7) % 7; // 0 is Monday; 1970-01-01 was a Thursday
  const thursday = new Date((day - weekday + 3) * dayMs);
  const year = thursday.getUTCFullYear();
  const dayOfYear = (thursday.getTime() - Date.UTC(year, 0, 1)) / dayMs;
  return `${year}-W${String(Math.floor(dayOfYear / 7) + 1).padStart(2, "0")}`;
}

/** `30d`, as it is written in a configuration. */
function spanText(ms: number | null): string {
  const units = [["d", dayMs], ["h", 3_600_000], ["m", 60_000], ["s", 1000]] as const;
  const unit = units.find(([, unitMs]) => (ms ?? 0) % unitMs === 0);
  return unit === undefined ? `${ms ?? 0}ms` : `${(ms ?? 0) / unit[1]}${unit[0]}`;
}
