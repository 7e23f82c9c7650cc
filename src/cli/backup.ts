/** `zferry backup [JOB…]`: the nightly run, and ad-hoc ones. */
import { type Command, Option } from "commander";
import type { JobSettings } from "../config/jobs.ts";
import { ZferryError } from "../errors.ts";
import { runJobs, type Wanted } from "../job/run.ts";
import { recoverOwed } from "../quiesce/recover.ts";
import { datasetOf, parseDatasetName, parseSnapshotName } from "../zfs/names.ts";
import { BackupReport } from "./backup-report.ts";
import { worldFor } from "./backup-world.ts";
import { publish } from "./gathering.ts";
import { durationFlag, type SharedFlags, withPacking, withStore, withZfs } from "./options.ts";
import type { RunCommand } from "./run-command.ts";
import type { Session } from "./session.ts";

const explanation = `
Without a name all jobs of the configuration are run that are not disabled; one that is named is run in any case. Jobs of
one group, and all datasets of a job, are snapshotted at one instant, between the hooks before and after it. Where another
run is at work on a dataset, a job waits or skips it (when_running); --dataset fails at once.`;

export interface BackupFlags extends SharedFlags {
  readonly dataset?: string;
  readonly full?: boolean;
  readonly incremental?: boolean;
  readonly dryRun?: boolean;
  readonly abandon?: boolean;
  readonly fullEvery?: number;
  readonly snapshotPrefix?: string;
}

export function backupCommand(command: Command, run: RunCommand): void {
  command
    .option("--dataset <name>", "back up this dataset, or this existing snapshot, without a job")
    .addOption(new Option("--full", "make a full backup").conflicts("incremental"))
    .option("--incremental", "make an incremental however old the last full is")
    .option("--abandon", "give up an unfinished upload instead of going on with it")
    .option("--dry-run", "print the plan and its reason, and do nothing")
    .option("--full-every <time>", "age of the last full at which a new one is made (default 30d)", durationFlag)
    .option("--snapshot-prefix <text>", "what the names of new snapshots begin with (default zferry-)");
  withZfs(withPacking(withStore(command, "parts"))).addHelpText("after", explanation).action(run(backupJobs));
}

async function backupJobs(session: Session, names: readonly string[], flags: BackupFlags): Promise<void> {
  const wanted = wantedOf(session, names, flags);
  const report = new BackupReport(session.report, { isDryRun: flags.dryRun === true, isAdHoc: "job" in wanted });
  const world = worldFor(session, flags, report);
  try {
    const owed = flags.dryRun === true ? [] : await startStopped(session);
    const failures = await runJobs(wanted, world);
    report.end(failures);
    for (const error of owed) report.failed(error);
    const errors = [...failures.map(({ error }) => error), ...owed];
    if (errors.length > 0) throw errors[0];
  } finally {
    await world.teller.end();
    if (flags.dryRun !== true) await publish(session);
  }
}

/**
 * What a run that was killed left stopped is started before this one stops anything. Where that fails the backups are
 * made all the same, and it is the run's failure after them.
 */
async function startStopped({ report: { warn }, settings: { stateDir }, terminal: { signal } }: Session): Promise<readonly unknown[]> {
  try {
    const found = await recoverOwed({ stateDir, isDryRun: false, warn, signal });
    for (const { outcome, jobs, hooks } of found) {
      if (outcome === "recovered" && hooks.length > 0) warn(`a run of ${jobs.join(", ")} had left these after_snapshot hooks, which were run now: ${hooks.join(", ")}`);
    }
    return found.flatMap(({ failures }) => failures);
  } catch (error) {
    signal.throwIfAborted();
    return [error];
  }
}

function wantedOf(session: Session, names: readonly string[], flags: BackupFlags): Wanted {
  const { config } = session.settings;
  if (flags.dataset !== undefined) return asked(session, flags.dataset, names, flags);
  const jobs = names.length === 0 ? enabled(session) : names.map((name) => config.jobs.get(name) ?? unknown(name, [...config.jobs.keys()]));
  return [...new Set(jobs)].map((job) => withFlags(job, flags));
}

/** A dataset, or a snapshot that is there, without a job: with what holds for all of them. */
function asked({ settings: { config } }: Session, name: string, names: readonly string[], flags: BackupFlags): Wanted {
  if (names.length > 0) {
    throw new ZferryError("usage", "jobs and --dataset cannot be given together", {
      hint: "name the jobs of the configuration, or one dataset with --dataset",
    });
  }
  const snapshot = name.includes("@") ? parseSnapshotName(name) : null;
  const dataset = snapshot === null ? parseDatasetName(name) : datasetOf(snapshot);
  const chosen = { name: dataset, datasets: [dataset], exclude: [], isRecursive: false, group: null, copies: [], files: null };
  const job = { ...config.defaults, ...chosen, store: config.defaults.store ?? "" };
  return { job: withFlags(job, flags), dataset, snapshot, isAdHoc: true };
}

function enabled({ report, settings: { config } }: Session): readonly JobSettings[] {
  const jobs = [...config.jobs.values()];
  for (const { name } of jobs.filter(({ isEnabled }) => !isEnabled)) report.info(`${name}: is disabled, and skipped`);
  if (jobs.length > 0) return jobs.filter(({ isEnabled }) => isEnabled);
  throw new ZferryError("usage", "there is nothing to back up: no job is configured and none is named", {
    hint: "give --dataset NAME and --store URL, or write a configuration with `zferry init`",
  });
}

function unknown(name: string, known: readonly string[]): never {
  throw new ZferryError("usage", `there is no job "${name}"`, { hint: `the configuration has: ${known.join(", ") || "none"}` });
}

function withFlags(job: JobSettings, flags: BackupFlags): JobSettings {
  return { ...job, fullEveryMs: flags.fullEvery ?? job.fullEveryMs, snapshotPrefix: flags.snapshotPrefix ?? job.snapshotPrefix };
}
