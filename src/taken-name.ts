/** A name in a store belongs to one backup for good. */
import { fetchManifest } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import type { Manifest } from "./format/manifest.ts";
import type { Store } from "./store/store.ts";
import type { Guid, SnapshotName } from "./zfs/names.ts";

/**
 * Refuses a name under which a backup exists already, before anything is sent.
 *
 * @throws ZferryError `backup-conflict`
 */
export async function refuseTakenName(
  store: Store,
  backup: SnapshotName,
  guid: Guid | null,
  signal: AbortSignal,
): Promise<void> {
  const taken = await manifestIfAny(store, backup, signal);
  if (taken === null) return;
  const same = taken.snapshot.guid === guid;
  throw new ZferryError(
    "backup-conflict",
    same
      ? `"${backup}" is in the store already, with the same guid ${taken.snapshot.guid}`
      : `"${backup}" is in the store already, with guid ${taken.snapshot.guid} and not ${guid ?? "this one"}`,
    { hint: same ? "nothing has to be done" : "store it under another name; a backup is never overwritten" },
  );
}

async function manifestIfAny(store: Store, backup: SnapshotName, signal: AbortSignal): Promise<Manifest | null> {
  try {
    return (await fetchManifest(store, backup, signal)).manifest;
  } catch (error) {
    if (isZferryError(error, "backup-not-found")) return null;
    throw error;
  }
}
