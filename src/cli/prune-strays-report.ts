/** What `prune --strays` says of what it found, in lines and as a document (`docs/json-output.md`). */
import { formatSize } from "../bytes.ts";
import type { LeftJournal } from "../journals.ts";
import type { SeenAttempt, Survey } from "../strays.ts";
import { counted, type Report } from "./report.ts";

/** What became of an attempt; `would-go` without `--yes`. */
export interface Judged extends SeenAttempt {
  readonly outcome: "would-go" | "removed" | "stays" | "failed";
  readonly reason: string | null;
}

/** What became of the journal of an old put. */
export interface JudgedJournal extends LeftJournal {
  readonly outcome: Exclude<Judged["outcome"], "failed">;
  readonly reason: string | null;
}

interface Told {
  readonly storeUrl: string;
  readonly attempts: readonly Judged[];
  readonly journals: readonly JudgedJournal[];
  readonly survey: Survey;
  readonly isActing: boolean;
  /** Somebody is asked about it next. */
  readonly isAsking: boolean;
}

export function tell(report: Report, { storeUrl, attempts, journals, survey, isActing, isAsking }: Told): void {
  const { committedCount, foreignCount } = survey;
  for (const { outcome, attempt, backup, reason } of attempts) {
    const isFailed = outcome === "failed";
    const told = { event: "removed", what: "attempt", name: `${backup}/${attempt}`, store: storeUrl, problem: isFailed ? reason : null } as const;
    if (isFailed || outcome === "removed") report.event(told, { level: isFailed ? "error" : "info" });
  }
  report.json({
    type: "prune",
    dryRun: !isActing,
    attempts: attempts.map(toDocument),
    journals: journals.map(({ backup, attempt, touchedAt, outcome, reason }) => ({ backup, attempt, touchedAt, outcome, reason })),
    committedCount,
    foreignCount,
  });
  const isAnyGoing = [...attempts, ...journals].some(({ outcome }) => outcome === "would-go");
  const lines = [
    ...attempts.map(toLine),
    ...journals.map(toJournalLine),
    `${counted(attempts.length, "attempt")} without a manifest, ${counted(committedCount, "backup")}`,
    ...(foreignCount > 0 ? [`${counted(foreignCount, "object")} under streams/ not made by zferry: not touched`] : []),
    ...(isAnyGoing && !isAsking ? ["nothing was removed; --yes removes what would go"] : []),
  ];
  if (isActing && attempts.every(({ outcome }) => outcome !== "failed")) report.done(lines);
  else report.text(lines);
}

function toDocument({ backup, attempt, objectCount, sizeBytes, unfinishedCount, newestAt, outcome, reason }: Judged): Record<string, unknown> {
  return { backup, attempt, objectCount, bytes: sizeBytes, unfinishedCount, newestAt, outcome, reason };
}

const verbs: Readonly<Record<Judged["outcome"], string>> = {
  "would-go": "would go",
  removed: "removed",
  stays: "stays",
  failed: "not removed",
};

function toLine({ outcome, reason, ...seen }: Judged): string {
  return `${verbs[outcome]}: attempt ${seen.attempt} of ${seen.backup}, ${sizeOf(seen)}, ${formatSize(seen.sizeBytes)}${why(reason)}`;
}

function toJournalLine({ outcome, reason, backup, touchedAt }: JudgedJournal): string {
  return `${verbs[outcome]}: the journal of an unfinished put of ${backup}, last written ${touchedAt.toISOString()}${why(reason)}`;
}

function why(reason: string | null): string {
  return reason === null ? "" : `: ${reason}`;
}

/** `3 objects, 1 unfinished upload` */
export function sizeOf({ objectCount, unfinishedCount }: { readonly objectCount: number; readonly unfinishedCount: number }): string {
  const objects = counted(objectCount, "object");
  return unfinishedCount === 0 ? objects : `${objects}, ${counted(unfinishedCount, "unfinished upload")}`;
}
