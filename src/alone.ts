/**
 * One run per dataset and store: on this host by a lock file, between hosts by a lease in the store.
 *
 * A lease can run out, and be lost to another host, while a run is paused or cut off from the store. The run's signal is
 * aborted then, and its last word is `check`, right before the commit. Whether somebody has taken over is seen in the store.
 */
import { hostname } from "node:os";
import type { FerryProgress } from "./cargo.ts";
import { holderIdOf, withLocalLock } from "./lock.ts";
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
  /** Given when it is not the dataset's local lock that keeps others of this host away: then its lease does that too. */
  readonly role?: "copy";
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
  return withLocalLock(stateDir, dataset, { signal }, () => aloneAmongHosts(request, dataset, work));
}

/**
 * The same for a caller that holds the dataset's local lock already, or has a {@link AloneRequest.role} and a lock of that.
 *
 * @throws ZferryError `locked` when a run of another host is at work
 */
export async function aloneAmongHosts<T>(request: AloneRequest, dataset: DatasetName, work: (guard: Guard) => Promise<T>): Promise<T> {
  const { store, stateDir, leaseMs, progress, signal } = request;
  if (leaseMs === null) return work(unguarded(signal));
  const id = await holderIdOf(stateDir);
  const holder = { id: request.role === undefined ? id : `${id}-${request.role}`, host: hostname() };
  const lease = await takeLease(store, dataset, {
    ...leaseTiming(leaseMs),
    holder,
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
