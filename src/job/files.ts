/**
 * One task of `mode: files`, from the snapshot that was taken for it until that snapshot is gone again: it lives as long as
 * its run, and what a killed run left is removed by the next one.
 */
import { isZferryError } from "../errors.ts";
import { intentsOf } from "../intent.ts";
import { type FilesOutcome, copyFiles } from "../plain/copy-files.ts";
import { closeAllLeft } from "../plain/undo.ts";
import { giveBack } from "../taken.ts";
import type { SnapshotName } from "../zfs/names.ts";
import { type Backing, began } from "./backing.ts";
import { type Place, type Task, type TaskEnd, titleOf, toldError, type World } from "./task.ts";

/** In place of a store's: the snapshots of such jobs are for none. One for all jobs, so that a job may get another name. */
export const filesUrl = "files:";

/** Whether its engine puts files into the job's store. */
export function hasStore({ files }: Pick<Task["job"], "files">): boolean {
  return files === null || files.engine.kind === "s3";
}

interface Placed {
  readonly task: Task;
  /** Null where the engine is a program. */
  readonly place: Place | null;
}

/** Never throws. The caller holds the dataset's lock. */
export async function runFilesTask({ task, place }: Placed, { taken, downtimeMs, refusal }: Backing, world: World): Promise<TaskEnd> {
  const startedAt = world.now();
  began(task, world);
  const result = await resultOf({ task, place }, { taken, refusal }, world);
  return { task, storeUrl: task.job.store, startedAt, endedAt: world.now(), downtimeMs, result };
}

async function resultOf({ task, place }: Placed, { taken, refusal }: Pick<Backing, "taken" | "refusal">, world: World): Promise<TaskEnd["result"]> {
  try {
    if (refusal !== null) throw refusal.error;
    world.signal.throwIfAborted();
    return { kind: "files", outcome: await copyOf({ task, place }, taken, world) };
  } catch (error) {
    return { kind: "failed", error };
  } finally {
    await giveAllBack(task, world);
  }
}

function copyOf({ task, place }: Placed, snapshot: SnapshotName | null, world: World): Promise<FilesOutcome> {
  const { job } = task;
  if (job.files === null || snapshot === null) throw new Error("a job of files without files or snapshot");
  const { stateDir, environment, now, signal } = world;
  const title = titleOf(task);
  return copyFiles({
    job: job.name,
    dataset: task.dataset,
    snapshot,
    files: job.files,
    place,
    zfs: world.zfsOf(job),
    stateDir,
    environment,
    info: (text) => {
      world.info(`${title}: ${text}`);
    },
    warn: (text) => {
      world.warn(`${title}: ${text}`);
    },
    now,
    signal,
  });
}

/** The run's snapshot, and those of earlier runs of this dataset that were killed. */
async function giveAllBack({ job, dataset }: Task, world: World): Promise<void> {
  const { stateDir, warn } = world;
  const giver = { zfs: world.zfsOf(job), store: { url: filesUrl }, stateDir, progress: { warn } };
  try {
    for (const { name } of await intentsOf({ stateDir, storeUrl: filesUrl, dataset })) await giveBack(giver, name);
  } catch (error) {
    warn(`${job.name}: ${toldError(error).message}`);
  }
}

/** What would be done, as far as that can be told without a snapshot. */
export function planFilesTask(task: Task, world: World): TaskEnd {
  const at = world.now();
  const common = { task, storeUrl: task.job.store, startedAt: at, endedAt: at, downtimeMs: null };
  const { files } = task.job;
  if (files === null) throw new Error("a job of files without files");
  return { ...common, result: { kind: "files", outcome: { engine: files.engine.kind, target: task.job.store, exitStatus: null, stored: null } } };
}

/** Before anything is snapshotted: ends and unmounts what killed runs left. Fails nothing; a run that is in its way fails by itself. */
export async function tidyViews({ stateDir, environment, warn, signal }: Pick<World, "stateDir" | "environment" | "warn" | "signal">): Promise<void> {
  try {
    for (const { outcome, record, error } of await closeAllLeft({ stateDir, environment, isDryRun: false, signal })) {
      if (outcome === "closed" && record !== null) warn(`a run of ${record.job} was killed: the view of "${record.snapshot}" it left was taken away`);
      if (error !== null) warn(`${error.message}: ${error.hint ?? ""}`);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!isZferryError(error)) throw error;
    warn(error.message);
  }
}
