/**
 * How a dataset of a job stands: pure, from what was noted of its runs and what is remembered of its stores.
 */
import type { JobSettings } from "../config/jobs.ts";
import type { DrillReport } from "../drills.ts";
import type { RunRecord } from "../history.ts";
import { word } from "../shell.ts";
import type { DatasetName } from "../zfs/names.ts";
import type { Copying } from "./copying.ts";
import { type Held, latest } from "./held.ts";

/** From the worst; all up to `copy-behind` want somebody to do something. */
export const states = ["stopped", "failed", "damaged", "drill-failed", "overdue", "disabled-too-long", "copy-failed", "copy-behind", "slow", "waiting", "gone", "disabled", "ok"] as const;
export type State = (typeof states)[number];
const problems: ReadonlySet<State> = new Set(["stopped", "failed", "damaged", "drill-failed", "overdue", "disabled-too-long", "copy-failed", "copy-behind"]);

/** Runs whose mean a run is compared with. */
const meanOf = 10;
/** Times that mean: a run that takes longer is slow. */
export const slowFactor = 2;
/** Shorter runs are never slow: what they take is chance. */
const slowMinMs = 60_000;
/** A run that ended later than this from now had a wrong clock, and proves nothing about today. */
const clockSlackMs = 60 * 60 * 1000;

export interface Standing {
  readonly job: string;
  /** Null for a job of globs none of whose datasets was ever backed up here. */
  readonly dataset: DatasetName | null;
  /** The job's own, as the configuration names it. */
  readonly store: string;
  readonly isEnabled: boolean;
  /** The last run that was no skip. */
  readonly lastRun: RunRecord | null;
  readonly lastSuccessAt: Date | null;
  /** The last run that stored something. */
  readonly lastStored: RunRecord | null;
  /** Null for what is disabled or gone. */
  readonly nextExpectedAt: Date | null;
  readonly failureCount: number;
  /** Of the last run that stored something, and of those of its kind before it; null for none. */
  readonly durationMs: number | null;
  readonly meanDurationMs: number | null;
  readonly downtimeMs: number | null;
  /** In the job's own store; null when nothing is remembered of it. */
  readonly held: Held | null;
  /** In other stores of the configuration, but for those of other hosts (`other-hosts.ts`). */
  readonly copies: readonly Held[];
  readonly copying: readonly Copying[];
  /** The last drill of one of its backups; null for none. */
  readonly drill: DrillReport | null;
  readonly state: State;
  readonly isProblem: boolean;
  /** Null when all is well. */
  readonly why: string | null;
  /** What no run can tell because none runs, whatever else is the matter and gives the state its name. */
  readonly lapse: Lapse | null;
}

export interface Lapse {
  readonly kind: "overdue" | "disabled";
  readonly why: string;
}

export interface Evidence {
  readonly job: JobSettings;
  readonly dataset: DatasetName | null;
  /** Of this job, and of the dataset or of none, ascending by their start, and {@link credible}. */
  readonly runs: readonly RunRecord[];
  /** When any dataset of this job last began to be backed up; null for never. */
  readonly jobRunAt: Date | null;
  /** Whether the configuration names the dataset itself. */
  readonly isNamed: boolean;
  readonly held: Held | null;
  readonly copies: readonly Held[];
  /** Of each copy that the job is to have, in its order. */
  readonly copying: readonly Copying[];
  readonly drill: DrillReport | null;
  readonly failureCount: number;
  /** Since when this host knows the job, and since when it is disabled. */
  readonly seenAt: Date;
  readonly disabledSince: Date | null;
  /** Hooks of the job whose services a run has stopped, and nobody started again. */
  readonly owedHooks: readonly string[];
  readonly now: Date;
}

/** Less those whose clock was ahead: nothing is over, gone or counted because of them until their time comes. */
export function credible(runs: readonly RunRecord[], now: Date): readonly RunRecord[] {
  return runs.filter(({ endedAt }) => endedAt.getTime() <= now.getTime() + clockSlackMs);
}

export function standingOf(evidence: Evidence): Standing {
  const { job, dataset, held, copies, copying, drill, failureCount } = evidence;
  const runs = evidence.runs.filter(({ outcome }) => outcome !== "skipped");
  const lastRun = runs.at(-1) ?? null;
  const lastSuccessAt = latest(runs.filter(({ outcome }) => outcome === "stored" || outcome === "nothing").map(({ endedAt }) => endedAt));
  const lastStored = runs.findLast(({ outcome }) => outcome === "stored") ?? null;
  const isExpected = job.isEnabled && !isGone(evidence);
  const nextExpectedAt = isExpected ? new Date((lastSuccessAt ?? evidence.seenAt).getTime() + job.everyMs) : null;
  const durationMs = lastStored === null ? null : durationOf(lastStored);
  const meanDurationMs = meanDuration(runs, lastStored);
  const lapse = lapseOf({ ...evidence, isExpected, lastSuccessAt });
  const facts = { ...evidence, isExpected, lastRun, lastSuccessAt, durationMs, meanDurationMs, lapse };
  const [state, why] = judged(facts);
  return {
    job: job.name,
    dataset,
    store: job.store,
    isEnabled: job.isEnabled,
    lastRun,
    lastSuccessAt,
    lastStored,
    nextExpectedAt,
    failureCount,
    durationMs,
    meanDurationMs,
    downtimeMs: lastRun?.downtimeMs ?? null,
    held,
    copies,
    copying,
    drill,
    state,
    isProblem: problems.has(state),
    why,
    lapse,
  };
}

interface Facts extends Evidence {
  /** Whether it is to be backed up: neither disabled nor gone. */
  readonly isExpected: boolean;
  readonly lapse: Lapse | null;
  readonly lastRun: RunRecord | null;
  readonly lastSuccessAt: Date | null;
  readonly durationMs: number | null;
  readonly meanDurationMs: number | null;
}

function judged(facts: Facts): readonly [State, string | null] {
  const { job, lastRun, isExpected, lapse, drill, owedHooks, durationMs, meanDurationMs } = facts;
  if (owedHooks.length > 0) return ["stopped", `what its hooks ${owedHooks.join(", ")} stopped was not started again: run zferry recover`];
  if (isExpected && lastRun?.outcome === "failed") return ["failed", failureText(lastRun)];
  const damage = damageText(facts);
  if (damage !== null) return ["damaged", damage];
  if (isExpected && drill?.outcome === "failed") {
    return ["drill-failed", `the drill of ${drill.endedAt.toISOString()} failed: ${drill.error?.message ?? "no reason was noted"}`];
  }
  if (lapse !== null) return [lapse.kind === "overdue" ? "overdue" : "disabled-too-long", lapse.why];
  const copy = isExpected ? copyTrouble(facts) : null;
  if (copy !== null) return copy;
  if (!job.isEnabled) return ["disabled", "enabled: false"];
  if (!isExpected) return ["gone", "it is no longer among the datasets of the job"];
  if (facts.lastSuccessAt === null) return ["waiting", "it has not run yet"];
  if (durationMs !== null && meanDurationMs !== null && durationMs > slowMinMs && durationMs > slowFactor * meanDurationMs) {
    return ["slow", `the last backup took ${ageText(durationMs)}, those before it ${ageText(meanDurationMs)}`];
  }
  return ["ok", null];
}

/** The first copy whose last run failed; else the first that lacks backups which are as old as the job lets its last success be. */
function copyTrouble({ job, copying, now }: Facts): readonly [State, string] | null {
  const failed = copying.find(({ lastRun }) => lastRun?.outcome === "failed");
  if (failed?.lastRun != null) return ["copy-failed", `the copy in "${failed.store}": ${failureText(failed.lastRun)}`];
  const behind = copying.find(({ waitingSince }) => waitingSince !== null && now.getTime() - waitingSince.getTime() > job.overdueAfterMs);
  if (behind?.waitingSince == null) return null;
  return ["copy-behind", `the copy in "${behind.store}" lacks what was made ${ageText(now.getTime() - behind.waitingSince.getTime())} ago and since: run zferry copy ${word(job.name)}`];
}

/** Damage counts for what is no longer backed up as well: its backups may be all there is. */
function damageText({ held, isExpected }: Facts): string | null {
  if (held === null) return null;
  const { damaged, lostCount } = held;
  if (damaged.length > 0) {
    const which = `${damaged.slice(0, 3).join(", ")}${damaged.length > 3 ? " and others" : ""}`;
    return `verify has found something in ${which}: ${isExpected ? "make a new full while you can" : "see zferry list"}`;
  }
  return lostCount > 0 ? `${lostCount} of its backups are gone from the store, or are others now: see zferry verify` : null;
}

/** A dataset that a glob has matched, and that the job's later runs have left out; one they skipped is there. */
function isGone({ isNamed, runs, jobRunAt, job }: Evidence): boolean {
  const triedAt = latest(runs.filter(({ dataset }) => dataset !== null).map(({ startedAt }) => startedAt));
  if (isNamed || triedAt === null || jobRunAt === null) return false;
  return jobRunAt.getTime() - triedAt.getTime() > job.everyMs / 2;
}

function lapseOf(facts: Pick<Facts, keyof Evidence | "isExpected" | "lastSuccessAt">): Lapse | null {
  const { job, isExpected, lastSuccessAt, seenAt, disabledSince, now } = facts;
  if (!job.isEnabled) {
    const forMs = disabledSince === null ? 0 : now.getTime() - disabledSince.getTime();
    return forMs <= job.disabledWarningMs ? null : { kind: "disabled", why: `it has been disabled for ${ageText(forMs)}: enable it, or remove the job` };
  }
  const ageMs = now.getTime() - (lastSuccessAt ?? seenAt).getTime();
  if (!isExpected || ageMs <= job.overdueAfterMs) return null;
  const since = lastSuccessAt === null ? "it has never been backed up here" : `the last success was ${ageText(ageMs)} ago`;
  return { kind: "overdue", why: `${since}, one is expected every ${ageText(job.everyMs)}: see that its timer runs` };
}

function failureText({ error, endedAt }: Pick<RunRecord, "error" | "endedAt">): string {
  const hint = error?.hint == null ? "" : ` (${error.hint})`;
  return `the run of ${endedAt.toISOString()} failed: ${error?.message ?? "no reason was noted"}${hint}`;
}

function durationOf({ startedAt, endedAt }: RunRecord): number {
  return Math.max(0, endedAt.getTime() - startedAt.getTime());
}

/** Of the runs before `last` that stored a backup of its kind. */
function meanDuration(runs: readonly RunRecord[], last: RunRecord | null): number | null {
  if (last === null) return null;
  const before = runs.filter((run) => run.outcome === "stored" && run.kind === last.kind && run.startedAt < last.startedAt).slice(-meanOf);
  if (before.length === 0) return null;
  return before.reduce((sum, run) => sum + durationOf(run), 0) / before.length;
}

const minuteMs = 60_000;

/** `45s`, `12m`, `5h`, `3d`: one unit, rounded down. */
export function ageText(ms: number): string {
  const units = [["d", 24 * 60 * minuteMs], ["h", 60 * minuteMs], ["m", minuteMs], ["s", 1000]] as const;
  const [unit, size] = units.find(([, each]) => ms >= each) ?? ["s", 1000];
  return `${Math.max(0, Math.floor(ms / size))}${unit}`;
}
