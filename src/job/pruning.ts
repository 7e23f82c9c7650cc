/**
 * Pruning by a run, when its job says so and only after tonight's backup was committed. That it fails fails no backup.
 */
import type { PruneRequest } from "../prune/request.ts";
import type { CopyEnd, CopyPlace } from "./copies.ts";
import { type Place, type TaskEnd, titleOf, toldError, type World } from "./task.ts";

/** Whether the run is to prune what this task has stored. */
function isToPrune({ task: { job, isAdHoc }, result }: TaskEnd): boolean {
  return job.prune === "after_backup" && !isAdHoc && result.kind === "backed-up" && result.outcome.manifest !== null;
}

/** The dataset in the job's own store and on the pool. Whoever holds the dataset's lock lets it go before. */
export async function pruneAfter(end: TaskEnd, { store, leaseMs }: Pick<Place, "store" | "leaseMs">, world: World): Promise<void> {
  const { job } = end.task;
  if (!isToPrune(end)) return;
  const counted = await pruneOne(end, { zfs: world.zfsOf(job), store, leaseMs, keep: job.keep }, world);
  if (counted !== null) world.info(`${titleOf(end.task)}: pruned ${counted.stored} in the store, ${counted.local} on the pool`);
}

/** The dataset in one of the job's copies, once tonight's copy is made: without that what is older is all there is. */
export async function pruneCopyAfter(end: TaskEnd, { task: { copy }, error }: CopyEnd, place: Pick<CopyPlace, "store" | "leaseMs">, world: World): Promise<void> {
  if (!isToPrune(end) || copy.keep === null || error !== null) return;
  const counted = await pruneOne(end, { zfs: null, ...place, keep: { local: null, store: copy.keep } }, world);
  if (counted !== null) world.info(`${titleOf(end.task)}: pruned ${counted.stored} in the copy "${copy.store}"`);
}

type Pruning = Pick<PruneRequest, "zfs" | "store" | "leaseMs" | "keep">;
type Counted = { readonly stored: number; readonly local: number } | null;

/** Null when nothing was removed. */
async function pruneOne({ task }: TaskEnd, { zfs, store, leaseMs, keep }: Pruning, { stateDir, now, signal, warn, tell }: World): Promise<Counted> {
  try {
    const { prune } = await import("../prune/prune.ts");
    const { failuresIn, removalsIn } = await import("../prune/request.ts");
    const request = { zfs, store, leaseMs, keep, dataset: task.dataset, stateDir, isDryRun: false, now, progress: { warn }, signal };
    const outcome = await prune(request);
    for (const event of removalsIn(outcome, store.url)) tell(event);
    const [stored = 0, local = 0] = [outcome.backups, outcome.snapshots].map((pruned) => pruned.filter(({ fate }) => fate === "removed").length);
    const failures = failuresIn(outcome);
    if (failures.length > 0) warn(`${titleOf(task)}: the backup is stored, but prune could not judge or remove: ${failures.slice(0, 3).join(", ")}${failures.length > 3 ? ", …" : ""}`);
    return stored + local === 0 ? null : { stored, local };
  } catch (error) {
    warn(`${titleOf(task)}: the backup is stored, but it could not be pruned: ${toldError(error).message}`);
    return null;
  }
}
