/**
 * One run per dataset and store: on this host by a lock file, between hosts by a lease in the store. Whoever works on the
 * dataset itself has a lock of that too; a copy has not, and so does not keep the backups of the nights waiting.
 *
 * A lease can run out, and be lost to another host, while a run is paused or cut off from the store. The run's signal is
 * aborted then, and its last word is `check`, right before the commit. Whether somebody has taken over is seen in the store.
 */
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import type { FerryProgress } from "./cargo.ts";
import { holderIdOf, lockPath, withLocalLock, withLockAt } from "./lock.ts";
import { storeIdOf } from "./state.ts";
import { takeLease } from "./store/lease.ts";
import { leaseTiming } from "./store/lease-object.ts";
import type { Store } from "./store/store.ts";
import type { DatasetName } from "./zfs/names.ts";

export interface AloneRequest {
  readonly store: Store;
  readonly stateDir: string;
  /**
   * How long the lease may go without a renewal before it is lost, in milliseconds (`ttlFor`); null where the store has
   * no conditional writes: then the local lock alone keeps runs apart.
   */
  readonly leaseMs: number | null;
  readonly progress: Pick<FerryProgress, "warn">;
  readonly signal: AbortSignal;
}

/** What a run has while it is the only one. */
export interface Guard {
  /** Aborted with `locked` when the lease ran out or another host took over, and with the request's own signal. */
  readonly signal: AbortSignal;
  /** @throws ZferryError `locked` when another host took over meanwhile */
  readonly check: () => Promise<void>;
  /**
   * A check by the clocks alone, at once: no other host can have taken over yet.
   *
   * @throws ZferryError `locked` when one may have
   */
  readonly throwIfOver: () => void;
  /**
   * Whether nobody has taken over, as far as can be seen: also true when the store cannot be asked. A look, not a promise:
   * the next moment somebody may. Never throws.
   */
  readonly isStillAlone: () => Promise<boolean>;
}

/** How long the look of `isStillAlone` may take. */
const lookTimeoutMs = 10_000;

/** What a run has where nothing but the local lock keeps it alone. */
export function unguarded(signal: AbortSignal): Guard {
  return {
    signal,
    check: () => Promise.resolve(),
    throwIfOver: () => undefined,
    isStillAlone: () => Promise.resolve(true),
  };
}

/**
 * Runs `work` while no other run is at work on the dataset.
 *
 * @throws ZferryError `locked` when one is
 */
export function alone<T>(request: AloneRequest, dataset: DatasetName, work: (guard: Guard) => Promise<T>): Promise<T> {
  const { stateDir, signal } = request;
  return withLocalLock(stateDir, dataset, { signal }, () => aloneInStore(request, dataset, work));
}

/**
 * The same for a caller that holds the dataset's local lock already, or has nothing to do with the dataset on the pool.
 *
 * @throws ZferryError `locked` when a run is at work on what is stored of the dataset
 */
export function aloneInStore<T>(request: AloneRequest, dataset: DatasetName, work: (guard: Guard) => Promise<T>): Promise<T> {
  const { store, stateDir, leaseMs, signal } = request;
  const ofDataset = lockPath(stateDir, dataset);
  const path = join(dirname(ofDataset), `${storeIdOf(store.url)}-${basename(ofDataset)}`);
  return withLockAt(path, `"${dataset}" in "${store.url}"`, { signal }, () =>
    leaseMs === null ? work(unguarded(signal)) : aloneAmongHosts({ ...request, leaseMs }, dataset, work),
  );
}

/** The caller has the local lock, so that a lease in the name of this state folder is of a run that is over. */
async function aloneAmongHosts<T>(
  { store, stateDir, leaseMs, progress, signal }: AloneRequest & { readonly leaseMs: number },
  dataset: DatasetName,
  work: (guard: Guard) => Promise<T>,
): Promise<T> {
  const lease = await takeLease(store, dataset, {
    ...leaseTiming(leaseMs),
    holder: { id: await holderIdOf(stateDir), host: hostname() },
    signal,
    warn: progress.warn,
  });
  try {
    return await work({
      signal: lease.signal,
      check: () => lease.check(),
      throwIfOver: () => {
        lease.throwIfOver();
      },
      isStillAlone: () => lease.isStillOwn(AbortSignal.timeout(lookTimeoutMs)).catch(() => true),
    });
  } finally {
    await lease.release();
  }
}
