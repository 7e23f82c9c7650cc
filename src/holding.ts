/**
 * What a run takes hold of on the pool, and lets go of in the end.
 *
 * The hold's tag names the store, so that a run which goes on with another one finds its holds again. Letting go has
 * its own time limit, because the run's signal may be aborted by then, and never hides the failure that led to it: what
 * could not be let go is told as a warning.
 */
import type { FerryProgress } from "./cargo.ts";
import { noteIntent } from "./intent.ts";
import { storeIdOf } from "./state.ts";
import type { Store } from "./store/store.ts";
import type { Voyage } from "./voyage.ts";
import { hold, release } from "./zfs/anchors.ts";
import type { Zfs } from "./zfs/command.ts";
import type { SnapshotFacts } from "./zfs/inventory.ts";
import { datasetOf, type SnapshotName } from "./zfs/names.ts";
import { destroySnapshot } from "./zfs/snapshots.ts";

const letGoTimeoutMs = 30_000;

interface Holder {
  readonly zfs: Zfs;
  readonly store: Store;
  readonly stateDir: string;
  readonly progress: Pick<FerryProgress, "warn">;
  readonly signal: AbortSignal;
}

/** The tag of all runs that store into `store`, whatever their state folder. */
export function runTag(store: Pick<Store, "url">): string {
  return `zferry:run:${storeIdOf(store.url)}`;
}

/**
 * Runs `work` while the snapshots are held, so that no one can destroy what is being sent. When it fails and the
 * attempt's journal is kept, everything stays for the next run; when it fails otherwise, a snapshot of the run's own is
 * destroyed again.
 */
export async function withHolds<T>(
  request: Holder,
  { names, voyage }: { names: readonly SnapshotName[]; voyage: Voyage },
  work: () => Promise<T>,
): Promise<T> {
  const { zfs, store, signal } = request;
  try {
    for (const name of names) await hold(zfs, runTag(store), name, { signal });
    const result = await work();
    await letGo(request, names);
    await attempt(request.progress, "remove the journal of the finished run", () => voyage.attempt.journal?.remove());
    return result;
  } catch (error) {
    const { journal } = voyage.attempt;
    if (voyage.isUnderWay && journal?.isKept === true) await journal.close();
    else {
      await letGo(request, names, voyage.isOwnSnapshot ? voyage.target : null);
      // Last: until then the next run would find what is still to be let go.
      await attempt(request.progress, "remove the journal of the failed run", () => journal?.remove());
    }
    throw error;
  }
}

/**
 * Releases the run's holds, and then destroys the snapshot if one is given. Never throws: a snapshot that could not be
 * destroyed is noted (`intent.ts`) for the next run. The caller holds the dataset's local lock.
 *
 * @returns whether the snapshot is gone
 */
export async function letGo(request: Omit<Holder, "signal" | "store"> & { readonly store: Pick<Store, "url"> }, names: readonly SnapshotName[], doomed: SnapshotFacts | null = null): Promise<boolean> {
  const { zfs, store, stateDir, progress } = request;
  const tag = runTag(store);
  for (const name of names) {
    await attempt(progress, `release the hold "${tag}" of "${name}"`, (signal) => release(zfs, tag, name, { signal }));
  }
  if (doomed === null) return true;
  const isGone = await attempt(progress, `destroy the snapshot "${doomed.name}" of the failed run`, (signal) =>
    destroySnapshot(zfs, doomed.name, doomed.guid, { signal }),
  );
  if (isGone) return true;
  const place = { stateDir, storeUrl: store.url, dataset: datasetOf(doomed.name) };
  await attempt(progress, `note the snapshot "${doomed.name}" for the next run`, () => noteIntent(place, doomed));
  return false;
}

/** @returns whether it worked */
async function attempt(
  { warn }: Pick<FerryProgress, "warn">,
  what: string,
  work: (signal: AbortSignal) => Promise<void> | undefined,
): Promise<boolean> {
  try {
    await work(AbortSignal.timeout(letGoTimeoutMs));
    return true;
  } catch (error) {
    warn(`could not ${what}: ${(error as Error).message}`);
    return false;
  }
}
