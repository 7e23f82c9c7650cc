/**
 * `prune`: what a policy does not keep goes, from a store and from the pool, and why everything else stays is said.
 *
 * Acts under the lock and the lease of the dataset, so never while a run is at work on it. It may be cut off anywhere: no
 * manifest is left without its chunks, and the next prune goes on where this one was.
 */
import { alone, type Guard } from "../alone.ts";
import { readDataset } from "../zfs/inventory.ts";
import { memoryOf, pruneBackups, type Scene } from "./backups.ts";
import { removeBegun } from "./remove.ts";
import type { PruneOutcome, PruneRequest } from "./request.ts";
import { look } from "./sight.ts";
import { pruneSnapshots } from "./snapshots.ts";
import type { SnapshotName } from "../zfs/names.ts";

/** Of what is gone, in a warning. */
const maxNamed = 10;

/**
 * What could not be removed for want of a right is in the outcome, with `failed`, and told as a warning.
 *
 * @throws ZferryError `locked` when a run is at work on the dataset, the store's codes, `zfs-…`, and `config-invalid` for
 * the state folder; what was removed until then is gone, and the rest is whole
 */
export function prune(request: PruneRequest): Promise<PruneOutcome> {
  const { store, stateDir, leaseMs, progress, signal, dataset, keep } = request;
  if (keep.local === null && keep.store === null) return Promise.resolve({ backups: [], snapshots: [], unreadable: [] });
  if (request.isDryRun) return run(request, null);
  return alone({ store, stateDir, leaseMs, progress, signal }, dataset, (guard) => run({ ...request, signal: guard.signal }, guard));
}

async function run(request: PruneRequest, guard: Guard | null): Promise<PruneOutcome> {
  const { zfs, keep, dataset, progress, signal } = request;
  if (guard !== null) await goOn(request, guard);
  const pool = zfs === null ? null : await readDataset(zfs, dataset, { signal });
  if (zfs !== null && pool === null) progress.warn(`there is no dataset "${dataset}" on the pool: only what is stored of it is judged`);
  const sight = await look(request);
  const removed: SnapshotName[] = [];
  const scene: Scene = { sight, pool, guard, now: request.now(), onRemoved: (name) => void removed.push(name) };
  try {
    const backups = keep.store === null ? [] : await pruneBackups(request, scene);
    const snapshots = keep.local === null || zfs === null || pool === null ? [] : await pruneSnapshots({ ...request, zfs }, { ...scene, pool });
    return { backups, snapshots, unreadable: sight.catalog.damaged.map(({ key }) => key) };
  } catch (error) {
    if (removed.length > 0) progress.warn(cutOffText(removed));
    throw error;
  }
}

/** There is no outcome to say it then. */
function cutOffText(removed: readonly SnapshotName[]): string {
  const { length } = removed;
  const more = length > maxNamed ? `, and ${length - maxNamed} more` : "";
  return `prune was cut off; ${length === 1 ? "this is" : `these ${length} are`} gone: ${removed.slice(0, maxNamed).join(", ")}${more}`;
}

/** What cannot be ended now is told, and keeps nothing from being judged: no manifest names it any more. */
async function goOn(request: PruneRequest, guard: Guard): Promise<void> {
  const { warn } = request.progress;
  const { goneCount, problems } = await removeBegun({ ...request, guard }, memoryOf(request));
  for (const { message } of problems) warn(`what an earlier prune has begun to remove is not gone yet: ${message}`);
  if (goneCount > 0) warn(`an earlier prune was cut off; ${goneCount === 1 ? "the backup it was removing is" : `${goneCount} backups it was removing are`} gone now`);
}
