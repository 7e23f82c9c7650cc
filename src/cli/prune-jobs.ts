/** From jobs or flags to datasets and policies; each is pruned in its turn, and one that fails does not stop the others. */
import { InvalidArgumentError } from "commander";
import type { JobSettings } from "../config/jobs.ts";
import { keepsAnything, type KeepPolicy, maxCount } from "../config/keep.ts";
import { ZferryError } from "../errors.ts";
import { datasetsOf } from "../job/selection.ts";
import { prune } from "../prune/prune.ts";
import { failuresIn, type PruneOutcome } from "../prune/request.ts";
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";
import { copySettings } from "./copy-world.ts";
import { isAsking } from "./confirm.ts";
import type { SharedFlags } from "./options.ts";
import { type Going, tell } from "./prune-report.ts";
import { counted } from "./report.ts";
import { leaseMsFor, type Session, useStoreAt, zfsFor } from "./session.ts";
import { storeSettings } from "./settings.ts";

/** A policy and what it is for, as flags give them. */
export interface KeepFlags {
  readonly dataset?: string;
  readonly local?: boolean;
  readonly keepLast?: number;
  readonly keepWithin?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly keepFulls?: number;
  readonly yes?: boolean;
}

type Flags = SharedFlags & KeepFlags;

export function countFlag(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (count <= maxCount) return count;
  throw new InvalidArgumentError(`it must be a whole number from 0 to ${maxCount}.`);
}

/** What is pruned for one job, or for flags in its place. */
interface Task {
  readonly job: Pick<JobSettings, "name" | "datasets" | "exclude" | "isRecursive" | "store" | "zfs" | "keep">;
  /** In a copy, which has nothing to do with the pool, and is not what a flag names. */
  readonly isCopy: boolean;
  /** Whether the pool is asked; flags for a store do without. */
  readonly hasPool: boolean;
}

/** @throws ZferryError `findings` when something could not be removed or read; the first failure of a job otherwise */
export async function pruneJobs(session: Session, names: readonly string[], flags: Flags): Promise<Going> {
  const failures: unknown[] = [];
  const found: string[] = [];
  const going = { backups: 0, snapshots: 0, strays: 0 };
  for (const task of flags.dataset === undefined ? jobTasks(session, names, flags) : [flagTask(session, names, flags)]) {
    try {
      for (const dataset of await datasetsOf(task.job, zfsFor(session, task.job), { warn: session.report.warn, signal: session.terminal.signal })) {
        const outcome = await pruneOne(session, flags, task, dataset);
        found.push(...failuresIn(outcome));
        going.backups += outcome.backups.filter(({ fate }) => fate === "would-go").length;
        going.snapshots += outcome.snapshots.filter(({ fate }) => fate === "would-go").length;
      }
    } catch (error) {
      if (session.terminal.signal.aborted) throw error;
      failures.push(error);
      if (failures.length > 1) session.report.failure(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  if (found.length === 0) return going;
  throw new ZferryError("findings", `${counted(found.length, "thing")} could not be judged or removed: ${found.slice(0, 3).join(", ")}${found.length > 3 ? ", …" : ""}`, {
    hint: "see the lines above; check the permission to delete, and what `zferry verify` says of unreadable manifests",
  });
}

async function pruneOne(session: Session, flags: Flags, { job, hasPool, isCopy }: Task, dataset: DatasetName): Promise<PruneOutcome> {
  const { report, terminal, settings } = session;
  const isDryRun = flags.yes !== true;
  const named = job.store === "" ? null : job.store;
  // Never "write", which would make the folder of a disk that is not mounted.
  const own = isCopy ? copySettings(session, job.store) : storeSettings(session.flags, settings.config, named);
  return useStoreAt(session, own, "read", async ({ store, settings: place }): Promise<PruneOutcome> => {
    const judged = await prune({
      zfs: hasPool ? zfsFor(session, job) : null,
      store,
      dataset,
      keep: job.keep,
      stateDir: settings.stateDir,
      leaseMs: isDryRun ? null : leaseMsFor(session, place),
      isDryRun,
      now: terminal.now,
      progress: { warn: report.warn },
      signal: terminal.signal,
    });
    tell(report, { job: job.name, dataset, storeUrl: store.url, keep: job.keep, isDryRun, isAsking: isAsking(session, flags), outcome: judged });
    return judged;
  });
}

function jobTasks({ settings: { config }, report }: Session, names: readonly string[], flags: Flags): Task[] {
  refuseRules(flags);
  const jobs = (names.length === 0 ? [...config.jobs.keys()] : names).map((name) => {
    const job = config.jobs.get(name);
    if (job !== undefined) return job;
    throw new ZferryError("usage", `there is no job "${name}"`, { hint: `the configuration has: ${[...config.jobs.keys()].join(", ") || "none"}` });
  });
  if (jobs.length === 0) {
    throw new ZferryError("usage", "prune needs to know what to remove: no job is configured and none is named", {
      hint: "give --dataset NAME with --keep-last and the like, or --strays, or write a configuration with `zferry init`",
    });
  }
  return jobs.flatMap((job) => {
    const own: Task[] = job.keep.local === null && job.keep.store === null ? [] : [{ job, hasPool: true, isCopy: false }];
    const copies = job.copies.filter(({ keep }) => keep !== null).map(({ store, keep }): Task => ({ job: { ...job, store, keep: { local: null, store: keep } }, hasPool: false, isCopy: true }));
    if (own.length + copies.length === 0) report.info(job.files === null ? `${job.name}: it has no keep, so everything stays` : `${job.name}: what its engine keeps is the engine's affair`);
    return [...own, ...copies];
  });
}

/** Rules on the command line would be taken for those of the jobs. */
function refuseRules(flags: Flags): void {
  if (!keepsAnything(policyOf(flags)) && flags.local !== true) return;
  throw new ZferryError("usage", "--keep-… and --local go with --dataset", { hint: "jobs say what is kept with keep in the configuration" });
}

function flagTask({ settings: { config } }: Session, names: readonly string[], flags: Flags): Task {
  if (names.length > 0) {
    throw new ZferryError("usage", "jobs and --dataset cannot be given together", { hint: "name the jobs of the configuration, or one dataset with --dataset" });
  }
  const dataset = parseDatasetName(flags.dataset ?? "");
  const policy = policyOf(flags);
  if (!keepsAnything(policy)) {
    throw new ZferryError("usage", `nothing says what is kept of "${dataset}", and all of it would be deleted`, {
      hint: "give --keep-last, --keep-within, --keep-daily, --keep-weekly, --keep-monthly, --keep-yearly or --keep-fulls",
    });
  }
  const isLocal = flags.local === true;
  const keep = isLocal ? { local: policy, store: null } : { local: null, store: policy };
  const { zfs, store } = config.defaults;
  const job = { name: dataset, datasets: [dataset], exclude: [], isRecursive: false, store: store ?? "", zfs, keep };
  return { job, hasPool: isLocal || flags.zfs !== undefined, isCopy: false };
}

function policyOf(flags: KeepFlags): KeepPolicy {
  return {
    last: flags.keepLast ?? 0,
    withinMs: flags.keepWithin ?? null,
    daily: flags.keepDaily ?? 0,
    weekly: flags.keepWeekly ?? 0,
    monthly: flags.keepMonthly ?? 0,
    yearly: flags.keepYearly ?? 0,
    fulls: flags.keepFulls ?? 0,
  };
}
