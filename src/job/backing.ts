/**
 * One task from its snapshot to its end: the backup, and afterwards what is no reason for it to fail: pruning and history.
 */
import { backup, backupUnderLock } from "../backup.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { giveBack } from "../taken.ts";
import type { BackupOutcome, BackupRequest } from "../voyage.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";
import { inTurn } from "./overlap.ts";
import type { Place, Task, TaskEnd, World } from "./task.ts";

export interface Backing {
  /** The snapshot that was taken for it; null where it takes one itself, or where there is none. */
  readonly taken: SnapshotName | null;
  readonly downtimeMs: number | null;
  /** Why nothing is to be backed up. */
  readonly refusal: { readonly error: unknown } | null;
}

/** Never throws. The caller holds the dataset's lock. */
export async function runTask({ task, place }: { readonly task: Task; readonly place: Place }, backing: Backing, world: World): Promise<TaskEnd> {
  const startedAt = world.now();
  began(task, world);
  const result = await resultOf(task, place, backing, world);
  return { task, storeUrl: place.store.url, startedAt, endedAt: world.now(), downtimeMs: backing.downtimeMs, result };
}

async function resultOf(task: Task, place: Place, { taken, refusal }: Backing, world: World): Promise<TaskEnd["result"]> {
  const { progress, request } = requestFor(task, place, taken, world);
  let hasBegun = false;
  const onPlan: BackupRequest["progress"]["onPlan"] = (plan) => {
    hasBegun = true;
    progress.onPlan(plan);
  };
  try {
    if (refusal !== null) throw refusal.error;
    world.signal.throwIfAborted();
    const work = (): Promise<BackupOutcome> => backupUnderLock({ ...request, progress: { ...progress, onPlan } });
    return { kind: "backed-up", outcome: await inTurn(task, world, work, () => !hasBegun) };
  } catch (error) {
    if (taken !== null) await giveBack({ ...request, progress: { warn: world.warn } }, taken);
    const isSkipped = isZferryError(error, "locked") && task.job.whenRunning === "skip" && !task.isAdHoc && !hasBegun;
    return { kind: isSkipped ? "skipped" : "failed", error };
  } finally {
    progress.end();
  }
}

/** What is done in a dry run, which takes no lock and no snapshot. */
export async function planTask(task: Task, world: World): Promise<TaskEnd> {
  const startedAt = world.now();
  let storeUrl = task.job.store;
  began(task, world);
  const ended = (result: TaskEnd["result"]): TaskEnd => ({ task, storeUrl, startedAt, endedAt: world.now(), downtimeMs: null, result });
  try {
    const place = await world.openPlace(task.job);
    storeUrl = place.store.url;
    const { progress, request } = requestFor(task, place, null, world);
    try {
      return ended({ kind: "backed-up", outcome: await backup({ ...request, isDryRun: true, progress }) });
    } finally {
      progress.end();
      await place.close();
    }
  } catch (error) {
    return ended({ kind: "failed", error });
  }
}

/** Told to programs; people hear of the plan. */
export function began({ job, dataset }: Task, { tell }: World): void {
  tell({ event: "dataset-began", job: job.name, dataset });
}

function requestFor(task: Task, place: Place, taken: SnapshotName | null, world: World): { progress: ReturnType<World["progressOf"]>; request: BackupRequest } {
  const { job, dataset } = task;
  const { stateDir, isAbandoning, now, signal } = world;
  const progress = world.progressOf(task);
  const request: BackupRequest = {
    zfs: world.zfsOf(job),
    store: place.store,
    dataset,
    snapshot: taken ?? task.snapshot,
    isOwnSnapshot: taken !== null,
    snapshotPrefix: job.snapshotPrefix,
    policy: world.policyOf(job),
    settings: place.settings,
    stateDir,
    leaseMs: place.leaseMs,
    isAbandoning,
    isDryRun: false,
    now,
    progress,
    signal,
  };
  return { progress, request };
}

export function missingDataset(dataset: DatasetName): ZferryError {
  return new ZferryError("zfs-not-found", `there is no dataset "${dataset}"`, { hint: "`zfs list` shows what there is" });
}
