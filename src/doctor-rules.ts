/**
 * Whether a bucket keeps what a policy promises: rules of its own that delete sooner, and locks that hold longer. Pure;
 * `doctor` shows what comes of it.
 */
import type { JobSettings } from "./config/jobs.ts";
import type { KeepPolicy } from "./config/keep.ts";
import type { ProbeResult } from "./doctor-probes.ts";
import type { BucketRules, Expiry } from "./store/rules.ts";

const dayMs = 24 * 60 * 60 * 1000;

/** What a job promises of its backups in this store. */
export interface Kept {
  readonly job: string;
  /** Null keeps everything. */
  readonly policy: KeepPolicy | null;
  /** How often a backup is made, and how old an anchor grows: a full outlives what starts from it. Null for ever. */
  readonly everyMs: number;
  readonly fullEveryMs: number | null;
}

/**
 * What is promised of the backups in a store: by the jobs whose store it is, and by those that have a copy in it.
 *
 * @param urlsOf - where a job's backups go: its own store, and then those of its copies, in their order
 */
export function keptIn(url: string, jobs: readonly JobSettings[], urlsOf: (job: JobSettings) => readonly string[]): readonly Kept[] {
  return jobs.flatMap((job) => {
    const { name, keep, copies, everyMs, fullEveryMs } = job;
    const at = urlsOf(job).indexOf(url);
    const policy = at === 0 ? keep.store : copies[at - 1]?.keep;
    return policy === undefined ? [] : [{ job: name, policy, everyMs, fullEveryMs }];
  });
}

/** Of the chunks that jobs store in the store itself, each once. @param urlsOf - as for {@link keptIn} */
export function chunkSizesIn(url: string, jobs: readonly JobSettings[], urlsOf: (job: JobSettings) => readonly string[]): readonly number[] {
  return [...new Set(jobs.filter((job) => urlsOf(job)[0] === url).map(({ chunkBytes }) => chunkBytes))];
}

/** Days until the oldest backup that the policy keeps is let go; infinite where nothing ever is. */
export function reachInDays({ policy, everyMs, fullEveryMs }: Kept): number {
  if (policy === null) return Infinity;
  const fullDays = (fullEveryMs ?? Infinity) / dayMs;
  const everyDays = everyMs / dayMs;
  const between = (days: number): number => Math.max(days, everyDays); // a day without a backup does not count
  const own = Math.max(
    policy.last * everyDays,
    (policy.withinMs ?? 0) / dayMs,
    policy.daily * between(1),
    policy.weekly * between(7),
    policy.monthly * between(31),
    policy.yearly * between(366),
    policy.fulls === 0 ? 0 : policy.fulls * fullDays,
  );
  return own + fullDays; // the full that the oldest of them needs is older still
}

/** Two results: `lifecycle` and `object-lock`. What could not be read is told, and no finding. */
export function judgeRules({ expiries, locks }: BucketRules, promises: readonly Kept[]): readonly ProbeResult[] {
  return [
    expiries.kind === "unknown"
      ? { name: "lifecycle", outcome: "skipped", detail: expiries.why, consequence: "whether the bucket deletes backups by itself is not known: see its lifecycle rules" }
      : judgeExpiries(expiries.value, promises),
    locks.kind === "unknown"
      ? { name: "object-lock", outcome: "skipped", detail: locks.why, consequence: "whether the bucket locks objects is not known: prune finds out when it may not delete" }
      : judgeLock(locks.value, promises),
  ];
}

function judgeExpiries(expiries: readonly Expiry[], promises: readonly Kept[]): ProbeResult {
  const name = "lifecycle";
  if (expiries.length === 0) return { name, outcome: "ok", detail: "no rule of the bucket deletes backups", consequence: null };
  const told = (some: readonly Expiry[]): string => some.map(({ id, prefix, afterDays, on }) => `rule "${id}" deletes what is under ${prefix} ${afterDays === null ? `on ${on?.toISOString().slice(0, 10) ?? "a day"}` : `after ${afterDays} days`}`).join(", ");
  const longest = [...promises].sort((a, b) => reachInDays(b) - reachInDays(a))[0] ?? null;
  const reach = longest === null ? Infinity : reachInDays(longest);
  const tooSoon = expiries.filter(({ afterDays }) => afterDays === null || afterDays < reach);
  if (tooSoon.length === 0) return { name, outcome: "ok", detail: `${told(expiries)}, which is later than any backup is kept`, consequence: null };
  const promised = Number.isFinite(reach) ? `job "${longest?.job ?? ""}" needs objects for ${Math.ceil(reach)} days` : longest === null ? "no policy says how long backups are kept" : `job "${longest.job}" keeps backups for ever`;
  return { name, outcome: "finding", detail: told(tooSoon), consequence: `${promised}: backups will be damaged; let zferry prune, and take the rule off` };
}

function judgeLock({ isEnabled, byDefault }: { isEnabled: boolean; byDefault: { mode: string; days: number } | null }, promises: readonly Kept[]): ProbeResult {
  const name = "object-lock";
  if (byDefault === null) return { name, outcome: "ok", detail: isEnabled ? "objects can be locked, and are not by default" : "the bucket locks no objects", consequence: null };
  const detail = `each object is locked for ${byDefault.days} days (${byDefault.mode.toLowerCase()})`;
  const [shortest] = promises.filter(({ policy }) => policy !== null).sort((a, b) => reachInDays(a) - reachInDays(b));
  if (shortest === undefined || byDefault.days <= reachInDays(shortest)) return { name, outcome: "ok", detail, consequence: null };
  const days = Math.ceil(reachInDays(shortest));
  return { name, outcome: "finding", detail, consequence: `job "${shortest.job}" keeps nothing for longer than ${days} days: prune leaves what is locked, and it is paid for until then` };
}
