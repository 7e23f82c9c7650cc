/**
 * Removing one backup from a store: the manifest, which ends its existence, then the chunks, and RESTORE.md last, which
 * says how to open what may still be there. Cut off anywhere, it leaves no manifest without its chunks.
 */
import type { Guard } from "../alone.ts";
import { type Begun, noteBegun, noteEnded, readBegun } from "../begun.ts";
import { manifestOf } from "../commit.ts";
import { isZferryError, type ZferryError } from "../errors.ts";
import { attemptPrefix, manifestKey, restoreNoteKey } from "../format/layout.ts";
import type { Store } from "../store/store.ts";
import { deleteOurs } from "../strays.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";

export interface Removing {
  readonly store: Store;
  readonly stateDir: string;
  readonly dataset: DatasetName;
  /** Of the run that is alone with the dataset: asked before every call that removes something. */
  readonly guard: Pick<Guard, "throwIfOver" | "signal">;
}

/** What this host remembers of a backup. */
export interface Memory {
  /** Called before its manifest is deleted: a kill right after that must not leave a backup that is missed. */
  readonly expectNoMore: (backup: SnapshotName) => Promise<void>;
  /** Called when it is. */
  readonly forget: (backup: SnapshotName) => Promise<void>;
}

/**
 * The caller has just seen that nothing needs it.
 *
 * @throws ZferryError `config-invalid` when it cannot be noted down, `locked`, and the store's codes: a part may be gone
 * then, which the next prune goes on with
 */
export async function removeBackup(removing: Removing, removal: Begun, { expectNoMore, forget }: Memory): Promise<void> {
  const { store, guard } = removing;
  await noteBegun({ ...removing, verb: "prune" }, removal);
  await expectNoMore(removal.backup);
  guard.throwIfOver();
  await store.delete([manifestKey(removal.backup)], { signal: guard.signal });
  await forget(removal.backup);
  await removeObjects(removing, removal);
  await noteEnded({ ...removing, verb: "prune" }, removal);
}

/** What became of removals that were begun. */
export interface Resumed {
  /** All of it is gone now. */
  readonly goneCount: number;
  /** Why others could not be gone on with. */
  readonly problems: readonly ZferryError[];
}

/**
 * Goes on with what an earlier prune had begun. A manifest that names the attempt still, or again, ends that. What may not
 * be removed, or has a manifest in its place that cannot be read, waits for the next prune and is in nobody's way.
 *
 * @throws ZferryError as {@link removeBackup}
 */
export async function removeBegun(removing: Removing, { forget }: Pick<Memory, "forget">): Promise<Resumed> {
  const { store, guard } = removing;
  const problems: ZferryError[] = [];
  let goneCount = 0;
  for (const removal of await readBegun({ ...removing, verb: "prune" })) {
    try {
      const manifest = await manifestOf(store, removal.backup, { id: removal.attempt, journal: null }, guard.signal);
      if (manifest === null) {
        await forget(removal.backup);
        await removeObjects(removing, removal);
        goneCount += 1;
      }
      await noteEnded({ ...removing, verb: "prune" }, removal);
    } catch (error) {
      if (!isZferryError(error, "store-denied", "manifest-invalid", "format-too-new")) throw error;
      problems.push(error);
    }
  }
  return { goneCount, problems };
}

/** What zferry has stored of the attempt, the note last. */
async function removeObjects({ store, guard }: Removing, { backup, attempt }: Begun): Promise<void> {
  const note = restoreNoteKey(backup, attempt);
  await deleteOurs(store, attemptPrefix(backup, attempt), guard, note);
  guard.throwIfOver();
  await store.delete([note], { signal: guard.signal });
}
