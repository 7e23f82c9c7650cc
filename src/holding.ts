/**
 * What a run takes hold of on the pool, and lets go of whatever happens.
 *
 * Letting go has its own time limit, because the run's signal may be aborted by then, and never hides the failure that
 * led to it: what could not be let go is told as a warning.
 */
import { newAttempt } from "./format/layout.ts";
import type { FerryProgress } from "./cargo.ts";
import { hold, release } from "./zfs/anchors.ts";
import type { Zfs } from "./zfs/command.ts";
import type { SnapshotFacts } from "./zfs/inventory.ts";
import type { SnapshotName } from "./zfs/names.ts";
import { destroySnapshot } from "./zfs/snapshots.ts";

const letGoTimeoutMs = 30_000;

interface Holder {
  readonly zfs: Zfs;
  readonly snapshot: SnapshotName | null;
  readonly progress: Pick<FerryProgress, "warn">;
  readonly signal: AbortSignal;
}

/** Runs `work` while the snapshots are held, so that no one can destroy what is being sent. */
export async function withHolds<T>(
  { zfs, progress, signal }: Holder,
  names: readonly SnapshotName[],
  work: () => Promise<T>,
): Promise<T> {
  const tag = `zferry:run:${newAttempt()}`;
  const held: SnapshotName[] = [];
  try {
    for (const name of names) {
      held.push(name); // before the call: a hold whose answer got lost is released too
      await hold(zfs, tag, name, { signal });
    }
    return await work();
  } finally {
    for (const name of held) {
      await attempt(progress, `release the hold "${tag}" of "${name}"`, (own) => release(zfs, tag, name, { signal: own }));
    }
  }
}

/** Runs `work`; when it fails, destroys the snapshot again if this run has made it. */
export async function keptOnlyIfStored<T>(
  { zfs, snapshot, progress }: Holder,
  target: SnapshotFacts,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (snapshot === null) {
      await attempt(progress, `destroy the snapshot "${target.name}" of the failed run`, (own) =>
        destroySnapshot(zfs, target.name, target.guid, { signal: own }),
      );
    }
    throw error;
  }
}

async function attempt(
  { warn }: Pick<FerryProgress, "warn">,
  what: string,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  try {
    await work(AbortSignal.timeout(letGoTimeoutMs));
  } catch (error) {
    warn(`could not ${what}: ${(error as Error).message}`);
  }
}
