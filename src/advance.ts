/**
 * Moves the anchor: after a full was committed, and never before.
 *
 * The new anchor gets a hold, so that no one destroys it unawares, and a bookmark, so that incrementals go on when
 * someone does. Then, and only then, the old anchors' holds and our bookmarks of them are let go, and the state file
 * remembers the new one by its guid. The backup is safe by now: what fails here is told and does not fail the run.
 */
import type { Manifest } from "./format/manifest.ts";
import type { FerryProgress } from "./cargo.ts";
import { storeIdOf, updateStoreState } from "./state.ts";
import type { Store } from "./store/store.ts";
import { bookmark, destroyBookmark, hold, release } from "./zfs/anchors.ts";
import type { Zfs } from "./zfs/command.ts";
import type { DatasetFacts } from "./zfs/inventory.ts";
import { bookmarkName, datasetOf, shortNameOf } from "./zfs/names.ts";

interface Advancing {
  readonly zfs: Zfs;
  readonly store: Store;
  readonly stateDir: string;
  readonly progress: Pick<FerryProgress, "warn">;
  readonly signal: AbortSignal;
}

/** Hold tag of a store's anchor. One dataset can have an anchor in each of several stores. */
function anchorTag(store: Store): string {
  return `zferry:anchor:${storeIdOf(store.url)}`;
}

/** Our bookmarks are told from other people's by this prefix, and from other stores' by the id in it. */
function anchorBookmarkPrefix(store: Store): string {
  return `zferry-anchor-${storeIdOf(store.url)}-`;
}

/** `dataset` is what the pool looked like before the run. */
export async function advanceAnchor(request: Advancing, dataset: DatasetFacts, stored: Manifest): Promise<void> {
  if (stored.kind !== "full") return;
  const { store, stateDir, progress } = request;
  try {
    await keepOnPool(request, stored);
    await letGoOfOldAnchors(request, dataset, stored);
  } catch (error) {
    progress.warn(`the backup is stored, but its snapshot is not fully secured as anchor: ${(error as Error).message}`);
  }
  try {
    await updateStoreState(stateDir, store.url, (state) => {
      state.anchors[dataset.name] = { backup: stored.backup, guid: String(stored.snapshot.guid) };
    });
  } catch (error) {
    progress.warn(`the backup is stored, but the state file could not be written: ${(error as Error).message}`);
  }
}

async function keepOnPool({ zfs, store, signal }: Advancing, { backup }: Manifest): Promise<void> {
  await hold(zfs, anchorTag(store), backup, { signal });
  const name = bookmarkName(datasetOf(backup), `${anchorBookmarkPrefix(store)}${shortNameOf(backup)}`);
  await bookmark(zfs, backup, name, { signal });
}

async function letGoOfOldAnchors({ zfs, store, signal }: Advancing, dataset: DatasetFacts, stored: Manifest): Promise<void> {
  for (const { name, guid, userRefs } of dataset.snapshots) {
    if (userRefs > 0 && guid !== stored.snapshot.guid) await release(zfs, anchorTag(store), name, { signal });
  }
  for (const { name, guid } of dataset.bookmarks) {
    const isOurs = shortNameOf(name).startsWith(anchorBookmarkPrefix(store));
    if (isOurs && guid !== stored.snapshot.guid) await destroyBookmark(zfs, name, guid, { signal });
  }
}
