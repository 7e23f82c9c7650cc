/** What a `verify` at level `stream` or `receive` came to, told as a restore drill: one happening for each job. */
import { selectDatasets } from "../config/globs.ts";
import type { Happening } from "../notify/tell.ts";
import type { VerifiedBackup } from "../verify/verify.ts";
import type { VerifyLevel } from "../verified.ts";
import { datasetOf } from "../zfs/names.ts";
import { counted } from "./report.ts";
import type { Session } from "./session.ts";

export interface Drill {
  readonly level: VerifyLevel;
  readonly backups: readonly VerifiedBackup[];
  /** Findings about objects of no backup. */
  readonly strayCount: number;
  /** Why it did not come to its end; null when it did. */
  readonly failure: unknown;
}

/** Tells it, where there is somebody to be told and more than a look at the listing was asked for. Never rejects. */
export async function tellDrill({ settings, terminal, report }: Session, drill: Drill): Promise<void> {
  const { config, stateDir } = settings;
  // Whoever stops it knows.
  if (config.notify.length === 0 || terminal.signal.aborted || (drill.level !== "stream" && drill.level !== "receive")) return;
  const { environment, now, signal } = terminal;
  const { makeTeller } = await import("../notify/tell.ts");
  const teller = makeTeller(config.notify, { stateDir, environment, warn: report.warn, now, signal });
  for (const happening of drillsOf([...config.jobs.values()], drill, now())) await teller.tell(happening);
  await teller.end();
}

type Job = Parameters<typeof selectDatasets>[0] & { readonly name: string };

/** Pure. What was read of each job's datasets; a failure, and what belongs to no job, by itself. */
export function drillsOf(jobs: readonly Job[], { level, backups, strayCount, failure }: Drill, at: Date): readonly Happening[] {
  const read = backups.filter((one) => one.level === level || one.findings.length > 0 || one.obstacle !== null);
  const byJob = new Map<string | null, VerifiedBackup[]>();
  for (const one of read) {
    const dataset = datasetOf(one.backup);
    const job = jobs.find((each) => selectDatasets(each, [dataset]).datasets.includes(dataset))?.name ?? null;
    byJob.set(job, [...(byJob.get(job) ?? []), one]);
  }
  const told = [...byJob].map(([job, of]) => happeningFor({ job, level, at }, of));
  const common = { kind: "drill", job: null, dataset: null, at } as const;
  if (strayCount > 0) told.push({ ...common, text: `verify at level ${level}: ${counted(strayCount, "finding")} about objects of no backup`, details: { level, findingCount: strayCount } });
  if (failure !== null) {
    const why = failure instanceof Error ? failure.message : "unknown";
    told.push({ ...common, text: `verify at level ${level} could not be done: ${why}`, details: { level, findingCount: null } });
  }
  return told;
}

function happeningFor({ job, level, at }: { job: string | null; level: VerifyLevel; at: Date }, backups: readonly VerifiedBackup[]): Happening {
  const bad = backups.filter(({ findings, obstacle }) => findings.length > 0 || obstacle !== null);
  const findingCount = bad.reduce((sum, { findings, obstacle }) => sum + findings.length + (obstacle === null ? 0 : 1), 0);
  const [first] = bad;
  const datasets = new Set(backups.map(({ backup }) => datasetOf(backup)));
  const [only] = datasets.size === 1 ? datasets : [];
  const text =
    first === undefined
      ? `${counted(backups.length, "backup")} of ${[...datasets].join(", ")} verified at level ${level}: all would restore`
      : `${bad.length} of ${counted(backups.length, "backup")} would not restore, or could not be tried: ${first.backup}: ${first.findings[0]?.message ?? first.obstacle?.message ?? ""}; make a new full while the data is there`;
  return { kind: "drill", job, dataset: only ?? null, at, text, details: { level, backupCount: backups.length, findingCount } };
}
