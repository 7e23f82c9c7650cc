/** `zferry backup [JOB…]`: the nightly run, and ad-hoc ones. */
import { type Command, Option } from "commander";
import { backup } from "../backup.ts";
import { formatRate, formatSize } from "../bytes.ts";
import { isSettled, selectDatasets } from "../config/globs.ts";
import type { JobSettings } from "../config/jobs.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { MemoryStore } from "../store/memory.ts";
import type { Store } from "../store/store.ts";
import { parseStoreUrl } from "../store/url.ts";
import type { BackupOutcome } from "../voyage.ts";
import { listDatasets } from "../zfs/inventory.ts";
import { type DatasetName, datasetOf, parseDatasetName, parseSnapshotName, type SnapshotName } from "../zfs/names.ts";
import { durationFlag, type SharedFlags, withPacking, withStore, withZfs } from "./options.ts";
import { clock, Progress } from "./progress.ts";
import { counted, rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { ferrySettings, leaseMsFor, type Session, useStore, zfsFor } from "./session.ts";
import { storeSettings } from "./settings.ts";

interface BackupFlags extends SharedFlags {
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
  withZfs(withPacking(withStore(command))).action(run(backupJobs));
}

/** Every job gets its turn; one that failed does not stop the others, and the first failure is the run's. */
async function backupJobs(session: Session, names: readonly string[], flags: BackupFlags): Promise<void> {
  const failures: unknown[] = [];
  for (const { job, snapshot } of tasksOf(session, names, flags)) {
    try {
      for (const dataset of await datasetsOf(session, job)) await backupJob(session, { job, dataset, snapshot }, flags);
    } catch (error) {
      if (session.terminal.signal.aborted) throw error;
      failures.push(error);
      if (failures.length > 1) session.report.failure(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

interface Task {
  readonly job: JobSettings;
  readonly snapshot: SnapshotName | null;
}

function tasksOf({ settings: { config } }: Session, names: readonly string[], flags: BackupFlags): Task[] {
  if (flags.dataset !== undefined) {
    if (names.length > 0) throw bothGiven();
    const snapshot = flags.dataset.includes("@") ? parseSnapshotName(flags.dataset) : null;
    const dataset = snapshot === null ? parseDatasetName(flags.dataset) : datasetOf(snapshot);
    const chosen = { name: dataset, datasets: [dataset], exclude: [], isRecursive: false, group: null };
    return [{ job: { ...config.defaults, ...chosen, store: config.defaults.store ?? "" }, snapshot }];
  }
  const jobs = names.length === 0 ? [...config.jobs.values()].filter(({ isEnabled }) => isEnabled).map(({ name }) => name) : names;
  if (jobs.length === 0) {
    throw new ZferryError("usage", "there is nothing to back up: no job is configured and none is named", {
      hint: "give --dataset NAME and --store URL, or write a configuration with `zferry init`",
    });
  }
  return jobs.map((name) => {
    const job = config.jobs.get(name);
    if (job !== undefined) return { job, snapshot: null };
    throw new ZferryError("usage", `there is no job "${name}"`, {
      hint: `the configuration has: ${[...config.jobs.keys()].join(", ") || "none"}`,
    });
  });
}

function bothGiven(): ZferryError {
  return new ZferryError("usage", "jobs and --dataset cannot be given together", {
    hint: "name the jobs of the configuration, or one dataset with --dataset",
  });
}

/** The datasets a job means now. */
async function datasetsOf(session: Session, job: JobSettings): Promise<readonly DatasetName[]> {
  if (isSettled(job) && job.exclude.length === 0) return job.datasets.map(parseDatasetName);
  const listed = await listDatasets(zfsFor(session, job), null, { signal: session.terminal.signal });
  const { datasets } = selectDatasets(job, listed);
  if (datasets.length > 0) return datasets;
  throw new ZferryError("zfs-not-found", `the job "${job.name}" matches no dataset`, { hint: "compare its datasets and exclude with `zfs list`" });
}

async function backupJob(session: Session, { job, dataset, snapshot }: Task & { readonly dataset: DatasetName }, flags: BackupFlags): Promise<void> {
  const named = job.store === "" ? null : job.store;
  const place = storeSettings(flags, session.settings.config, named);
  const settings = await ferrySettings(session, place, job.chunkBytes);
  const { report, terminal } = session;
  const progress = new Progress(report, `${job.name}: sent`);
  const outcome = await (flags.dryRun === true ? useStoreToPlan : useStoreToWrite)(session, named, (store) =>
    backup({
      zfs: zfsFor(session, job),
      store,
      dataset,
      snapshot,
      snapshotPrefix: flags.snapshotPrefix ?? job.snapshotPrefix,
      policy: {
        ask: flags.full === true ? "full" : flags.incremental === true ? "incremental" : "auto",
        fullEveryMs: flags.fullEvery ?? job.fullEveryMs,
        fullWhenIncrementalExceeds: null,
      },
      settings,
      stateDir: session.settings.stateDir,
      leaseMs: flags.dryRun === true ? null : leaseMsFor(session, place),
      isOwnSnapshot: false,
      isAbandoning: flags.abandon === true,
      isDryRun: flags.dryRun === true,
      now: terminal.now,
      progress: {
        onPlan: ({ kind, reason }) => {
          report.info(`${job.name}: ${kind}: ${reason}`);
        },
        onEstimate: (bytes) => {
          progress.expect(bytes);
        },
        onRead: progress.count,
        onStored: () => undefined,
        warn: report.warn,
      },
      signal: terminal.signal,
    }),
  ).finally(() => {
    progress.end();
  });
  tell(session, { job, dataset }, outcome, progress, flags.dryRun === true);
}

function useStoreToWrite<T>(session: Session, named: string | null, work: (store: Store) => Promise<T>): Promise<T> {
  return useStore(session, { access: "write", named }, ({ store }) => work(store));
}

/** A folder that is not there yet is an empty store to a plan, because the run that follows makes it. */
async function useStoreToPlan<T>(session: Session, named: string | null, work: (store: Store) => Promise<T>): Promise<T> {
  const { url } = storeSettings(session.flags, session.settings.config, named);
  const isFolder = parseStoreUrl(url, session.terminal.environment).kind === "directory";
  try {
    return await useStore(session, { access: "read", named }, ({ store }) => work(store));
  } catch (error) {
    if (!isFolder || !isZferryError(error, "store-not-found")) throw error;
    session.report.warn(`${error.message}: the first backup makes it`);
    return work(new MemoryStore());
  }
}

function tell(
  { report }: Session,
  { job, dataset }: { readonly job: JobSettings; readonly dataset: DatasetName },
  outcome: BackupOutcome,
  { seconds }: Progress,
  isDryRun: boolean,
): void {
  const { plan, manifest } = outcome;
  const decision = { kind: plan.kind, reason: plan.reason, base: plan.kind === "incremental" ? plan.base.name : null };
  report.json({
    type: "backup",
    job: job.name,
    dataset,
    dryRun: isDryRun,
    plan: decision,
    backup: manifest?.backup ?? null,
    guid: manifest?.snapshot.guid ?? null,
    streamBytes: manifest?.stream.sizeBytes ?? null,
    storedBytes: manifest?.messageBytes ?? null,
    chunkCount: manifest?.chunks.length ?? null,
    seconds: rounded(seconds),
  });
  if (manifest === null) {
    report.text([isDryRun ? `${job.name}: would make: ${plan.kind}, ${plan.reason}` : `${job.name}: nothing to send: ${plan.reason}`]);
    return;
  }
  const { stream, messageBytes, chunks } = manifest;
  report.text([
    `${job.name}: stored ${manifest.kind} backup ${manifest.backup}: ${formatSize(messageBytes)} in ` +
      `${counted(chunks.length, "chunk")}, ${clock(seconds)}, ${formatRate(stream.sizeBytes, seconds)}`,
  ]);
}
