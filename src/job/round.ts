/**
 * One round: datasets whose snapshots are from one instant, and then a backup of each.
 *
 *   open the stores → lock the datasets → name the snapshots → before-hooks → zfs snapshot → after-hooks → backup … backup
 *
 * Everything that can fail without a snapshot fails before the first hook. A dataset that fails at any step leaves the
 * others alone; only a hook or a snapshot that fails, fails all of the round. One dataset without hooks takes its snapshot
 * itself (`backup.ts`), after what an earlier run has left unfinished.
 */
import type { HookSettings } from "../config/hooks.ts";
import { isZferryError } from "../errors.ts";
import type { LocalLock } from "../lock.ts";
import { type Quiesced, quiesced } from "../quiesce/quiesce.ts";
import { giveBack, type NamedSnapshot, nameSnapshots, takeSnapshots } from "../taken.ts";
import { noting } from "../tree/store-tree.ts";
import { readDataset } from "../zfs/inventory.ts";
import { snapshotName } from "../zfs/names.ts";
import { newSnapshotName } from "../zfs/snapshots.ts";
import { isLeftForLater } from "./afterwards.ts";
import { missingDataset, runTask } from "./backing.ts";
import { filesUrl, hasStore, runFilesTask } from "./files.ts";
import { lockFor } from "./overlap.ts";
import { pruneAfter } from "./pruning.ts";
import type { Place, Task, TaskEnd, World } from "./task.ts";

/** A task that is ready for its snapshot. */
interface Ready {
  readonly task: Task;
  /** Null for a job of files whose engine is a program: it has no store. */
  readonly place: Place | null;
  readonly lock: LocalLock;
}

type Ended = (end: TaskEnd) => Promise<void>;

/** What the quiesce came to. */
export interface RoundEnd {
  /** After-hooks that failed to the last: no reason not to store, and no success. */
  readonly failures: readonly unknown[];
  /** In milliseconds; null without hooks. */
  readonly downtimeMs: number | null;
}

/** @param ended - called with each task's end, as soon as it has come to it; must not throw */
export async function runRound(tasks: readonly Task[], world: World, ended: Ended): Promise<RoundEnd> {
  const places = new Map<string, Place>();
  const ready: Ready[] = [];
  try {
    for (const task of [...tasks].sort(byDataset)) {
      const made = await prepare(task, { places, isOneOfMany: tasks.length > 1 }, world);
      if ("result" in made) await ended(made);
      else ready.push(made);
    }
    ready.sort((a, b) => tasks.indexOf(a.task) - tasks.indexOf(b.task));
    return await backUp(ready, world, ended);
  } finally {
    for (const { lock } of ready) await lock.release();
    for (const place of places.values()) await place.close();
  }
}

/** Everybody takes several locks in one order, so that no two runs wait for each other. */
function byDataset(a: Task, b: Task): number {
  return a.dataset < b.dataset ? -1 : 1;
}

/** Opens the store, looks for what must not spoil the others' snapshot, and locks the dataset; or how the task ended over that. */
async function prepare(
  task: Task,
  { places, isOneOfMany }: { readonly places: Map<string, Place>; readonly isOneOfMany: boolean },
  world: World,
): Promise<Ready | TaskEnd> {
  const { job } = task;
  const startedAt = world.now();
  let storeUrl = job.store;
  try {
    world.signal.throwIfAborted();
    const place = hasStore(job) ? (places.get(job.name) ?? (await world.openPlace(job))) : null;
    if (place !== null) {
      places.set(job.name, place);
      if (job.files === null) storeUrl = place.store.url;
      else noting(place.store); // or it is refused, before anything is stopped for it
    }
    if (isOneOfMany) await refuseSpoiler(task, world);
    return { task, place, lock: await lockFor(task, world) };
  } catch (error) {
    const isSkipped = isZferryError(error, "locked") && job.whenRunning === "skip" && !task.isAdHoc;
    const kind = isSkipped ? ("skipped" as const) : ("failed" as const);
    return { task, storeUrl, startedAt, endedAt: world.now(), downtimeMs: null, result: { kind, error } };
  }
}

/** Refuses what would keep the others from their snapshot: a dataset that is not there, or whose name leaves no room for a snapshot's. */
async function refuseSpoiler({ job, dataset }: Task, world: World): Promise<void> {
  snapshotName(dataset, newSnapshotName(job.snapshotPrefix, world.now()));
  if ((await readDataset(world.zfsOf(job), dataset, { signal: world.signal })) === null) throw missingDataset(dataset);
}

async function backUp(ready: readonly Ready[], world: World, ended: Ended): Promise<RoundEnd> {
  const hooks = hooksOf(ready);
  const isTogether = ready.some(({ task }) => task.snapshot === null) && (hooks.length > 0 || ready.length > 1 || ready[0]?.task.job.files != null);
  const named = new Map<Ready, NamedSnapshot>();
  let failures: readonly unknown[] = [];
  let downtimeMs: number | null = null;
  let refusal: { readonly error: unknown } | null = null;
  try {
    if (isTogether) {
      const quiesce = await takeAll(ready, { hooks, named, world });
      ({ failures, downtimeMs } = quiesce);
      if ("error" in quiesce.worked) refusal = quiesce.worked;
    }
  } catch (error) {
    refusal = { error };
  }
  if (refusal !== null) for (const [one, { name }] of named) await giveBack(giverOf(one, world), name);
  for (const one of ready) {
    const taken = refusal === null ? (named.get(one)?.name ?? null) : null;
    const { task, place, lock } = one;
    const backing = { taken, downtimeMs, refusal };
    const isStream = task.job.files === null && place !== null;
    const end = isStream ? await runTask({ task, place }, backing, world) : await runFilesTask({ task, place }, backing, world);
    await ended(end); // before the pruning, which may take long, and be cut off
    await lock.release();
    if (isStream && !isLeftForLater(end)) await pruneAfter(end, place, world);
  }
  return { failures, downtimeMs };
}

/** All snapshots of the round, with services stopped for no more than that. */
async function takeAll(
  ready: readonly Ready[],
  { hooks, named, world }: { readonly hooks: readonly HookSettings[]; readonly named: Map<Ready, NamedSnapshot>; readonly world: World },
): Promise<Quiesced<void>> {
  const { stateDir, environment, warn, tell, now, signal } = world;
  const wanted = ready.map(({ task: { job, dataset }, place }) => {
    return { zfs: world.zfsOf(job), storeUrl: storeOf(job, place).url, stateDir, dataset, prefix: job.snapshotPrefix };
  });
  const snapshots = await nameSnapshots(wanted, { now, signal });
  snapshots.forEach((one, index) => {
    const of = ready[index];
    if (of !== undefined) named.set(of, one);
  });
  const subject = {
    jobs: [...new Set(ready.map(({ task }) => task.job.name))],
    datasets: snapshots.map(({ dataset }) => dataset),
    snapshots: snapshots.map(({ name }) => name),
  };
  const { jobs } = subject;
  if (hooks.length > 0) tell({ event: "hooks-began", jobs, hooks: hooks.map(({ name }) => name) });
  const quiesce = await quiesced({ hooks, subject, stateDir, environment, warn, now, signal }, (workSignal) => takeSnapshots(snapshots, { warn, tell, signal: workSignal }));
  const { downtimeMs, failures } = quiesce;
  const downtimeSeconds = downtimeMs === null ? null : downtimeMs / 1000;
  if (hooks.length > 0) tell({ event: "hooks-ended", jobs, downtimeSeconds, failureCount: failures.length });
  return quiesce;
}

/** The hooks of all jobs that take part, in the order of the jobs; one that several have from the defaults once. */
function hooksOf(ready: readonly Ready[]): readonly HookSettings[] {
  const hooks = new Map<string, HookSettings>();
  for (const { task } of ready) for (const hook of task.job.hooks) hooks.set(JSON.stringify(hook), hook);
  return [...hooks.values()];
}

function giverOf({ task, place }: Ready, world: World): Parameters<typeof giveBack>[0] {
  return { zfs: world.zfsOf(task.job), store: storeOf(task.job, place), stateDir: world.stateDir, progress: { warn: world.warn } };
}

/** Under which name its snapshot is noted: those of files are for no store. */
function storeOf({ files }: Task["job"], place: Place | null): { readonly url: string } {
  return files === null && place !== null ? place.store : { url: filesUrl };
}
