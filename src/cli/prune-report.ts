/** What `prune` says of a dataset: a line for each backup and snapshot, and why; or a document (`docs/json-output.md`). */
import { formatSize } from "../bytes.ts";
import type { BackupEntry } from "../format/entry.ts";
import type { JobSettings } from "../config/jobs.ts";
import { type Fate, failuresIn, type Pruned, type PruneOutcome, removalsIn } from "../prune/request.ts";
import type { SnapshotFacts } from "../zfs/inventory.ts";
import type { DatasetName } from "../zfs/names.ts";
import { momentText } from "./moments.ts";
import { type Line, painted, type Span } from "./paint.ts";
import { counted, type Report } from "./report.ts";
import { table } from "./table.ts";

/** How many of each would go. */
export interface Going {
  readonly backups: number;
  readonly snapshots: number;
  readonly strays: number;
}

interface Told {
  readonly job: string;
  readonly dataset: DatasetName;
  readonly storeUrl: string;
  readonly keep: JobSettings["keep"];
  readonly isDryRun: boolean;
  /** Somebody is asked about it next. */
  readonly isAsking: boolean;
  readonly outcome: PruneOutcome;
}

export function tell(report: Report, told: Told): void {
  for (const event of removalsIn(told.outcome, told.storeUrl)) report.event(event, { level: event.problem === null ? "info" : "error" });
  if (report.isJson) report.json(toDocument(told));
  else if (told.isDryRun || failuresIn(told.outcome).length > 0) report.text(toText(told, report.columns));
  else report.done(toText(told, report.columns));
}

function toDocument({ job, dataset, storeUrl, isDryRun, outcome }: Told): Record<string, unknown> {
  return {
    type: "retention",
    job,
    dataset,
    store: storeUrl,
    dryRun: isDryRun,
    backups: outcome.backups.map(({ subject, ...rest }) => {
      const { backup, kind, guid, createdAt, messageBytes } = subject;
      return { backup, kind, guid, createdAt, storedBytes: messageBytes, ...fateOf(rest) };
    }),
    snapshots: outcome.snapshots.map(({ subject: { name, guid, createdAt }, ...rest }) => ({ snapshot: name, guid, createdAt, ...fateOf(rest) })),
    unreadable: outcome.unreadable,
  };
}

function fateOf({ fate, reasons, problem }: Omit<Pruned<unknown>, "subject">): Record<string, unknown> {
  return { outcome: fate, reasons, problem };
}

const words: Readonly<Record<Fate, Span>> = {
  stays: "stays",
  "would-go": painted("would go", "doubtful"),
  removed: painted("removed", "doubtful"),
  failed: painted("NOT REMOVED", "bad"),
};

function toText({ dataset, storeUrl, keep, isDryRun, isAsking, outcome }: Told, columns: number | null): Line[] {
  const width = columns === null ? null : columns - 2;
  const { backups, snapshots, unreadable } = outcome;
  const isAnyGoing = [...backups, ...snapshots].some(({ fate }) => fate === "would-go");
  return [
    ...(keep.store === null ? [] : [`backups of ${dataset} in ${storeUrl}:`, ...indented(backupTable(backups, width)), summaryOf(backups, "backup", isDryRun)]),
    ...(keep.local === null ? [] : [`snapshots of ${dataset} on the pool:`, ...indented(snapshotTable(snapshots, width)), summaryOf(snapshots, "snapshot", isDryRun)]),
    ...unreadable.map((key): Line => [painted("damaged:", "bad"), ` ${key} cannot be read, and keeps what it may need`]),
    ...(isAnyGoing && !isAsking ? ["nothing was removed; --yes removes what would go"] : []),
  ];
}

function backupTable(backups: readonly Pruned<BackupEntry>[], width: number | null): Line[] {
  if (backups.length === 0) return [];
  const rows = backups.map(({ subject, ...rest }) => [
    words[rest.fate], subject.kind, momentText(subject.createdAt, "second", width !== null), formatSize(subject.messageBytes), subject.backup, why(rest),
  ]);
  return table([["fate", "kind", "snapshot taken", "stored", "backup", "why"], ...rows], { width, folding: ["stored", "kind", "snapshot taken"] });
}

function snapshotTable(snapshots: readonly Pruned<SnapshotFacts>[], width: number | null): Line[] {
  if (snapshots.length === 0) return [];
  const rows = snapshots.map(({ subject, ...rest }) => [words[rest.fate], momentText(subject.createdAt, "second", width !== null), subject.name, why(rest)]);
  return table([["fate", "taken", "snapshot", "why"], ...rows], { width, folding: ["taken"] });
}

function why({ fate, reasons, problem }: Omit<Pruned<unknown>, "subject">): string {
  if (fate === "stays") return reasons.map(({ text }) => text).join(", ");
  return problem ?? "no rule keeps it";
}

function summaryOf(all: readonly Pruned<BackupEntry | SnapshotFacts>[], what: string, isDryRun: boolean): string {
  const going = all.filter(({ fate }) => fate === "would-go" || fate === "removed");
  const bytes = going.reduce((sum, { subject }) => sum + ("messageBytes" in subject ? subject.messageBytes : 0), 0);
  const size = bytes === 0 ? "" : `, ${formatSize(bytes)}`;
  return `${going.length} of ${counted(all.length, what)} ${isDryRun ? "would go" : going.length === 1 ? "was removed" : "were removed"}${size}`;
}

function indented(lines: readonly Line[]): Line[] {
  return lines.map((line): Line => ["  ", ...(typeof line === "string" || "text" in line ? [line] : line)]);
}
