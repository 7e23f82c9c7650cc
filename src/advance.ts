/**
 * Moves the anchor: after a full was committed, and never before.
 *
 * The new anchor gets a hold, so that no one destroys it unawares, and a bookmark, so that incrementals go on when
 * someone does. Then, and only then, the old anchors' holds and our bookmarks of them are let go, and the state file
 * remembers the new one by its guid. What could not be done then is done before the next incremental.
 *
 * The backup is safe by now: what fails here is told and does not fail the run, and a stop by signal, which comes too
 * late to undo anything, does not keep the anchor from being secured.
 */
import type { Manifest } from "./format/manifest.ts";
import type { FerryProgress } from "./cargo.ts";
import type { BaseCandidate } from "./plan.ts";
import { storeIdOf, updateStoreState } from "./state.ts";
import type { Store } from "./store/store.ts";
import { bookmark, destroyBookmark, hold, release } from "./zfs/anchors.ts";
import type { Cancellable, Zfs } from "./zfs/command.ts";
import type { DatasetFacts } from "./zfs/inventory.ts";
import { type BookmarkName, bookmarkName, datasetOf, type Guid, shortNameOf, type SnapshotName } from "./zfs/names.ts";

/** What a few calls of zfs may take on a pool that is busy. */
const timeoutMs = 30_000;

interface Advancing {
  readonly zfs: Zfs;
  readonly store: Store;
  readonly stateDir: string;
  readonly progress: Pick<FerryProgress, "warn">;
}

/** Hold tag of a store's anchor. One dataset can have an anchor in each of several stores. */
function anchorTag(store: Store): string {
  return `zferry:anchor:${storeIdOf(store.url)}`;
}

/** Our bookmarks are told from other people's by this prefix, and from other stores' by the id in it. */
function anchorBookmarkPrefix(store: Store): string {
  return `${anyAnchor}${storeIdOf(store.url)}-`;
}

const anyAnchor = "zferry-anchor-";

/** Whether a bookmark is that of an anchor, in any store. */
export function isAnchorBookmark(name: BookmarkName): boolean {
  return shortNameOf(name).startsWith(anyAnchor);
}

/** `dataset` is what the pool looked like before the run. Never throws. */
export async function advanceAnchor(request: Advancing, dataset: DatasetFacts, stored: Manifest): Promise<void> {
  if (stored.kind !== "full") return;
  const { store, stateDir } = request;
  const { guid } = stored.snapshot;
  await attempt(request, "the backup is stored, but its snapshot is not fully secured as anchor", async (options) => {
    await hold(request.zfs, anchorTag(store), stored.backup, options);
    await bookmarkAnchor(request, stored.backup, options);
    await letGoOfOthers(request, dataset, guid, options);
  });
  await attempt(request, "the backup is stored, but the state file could not be written", () =>
    updateStoreState(stateDir, store.url, (state) => {
      state.anchors[dataset.name] = { backup: stored.backup, guid: String(guid) };
    }),
  );
}

/** Before an incremental: gives its base the hold and the bookmark it should have had since it became the anchor. Never throws. */
export async function secureAnchor(request: Advancing, { bookmarks }: DatasetFacts, { kind, name, guid }: BaseCandidate): Promise<void> {
  if (kind === "bookmark") return; // the snapshot is gone, and this is what it was for
  const { zfs, store } = request;
  const snapshot = name as SnapshotName;
  await attempt(request, `the anchor "${name}" is not fully secured`, async (options) => {
    await hold(zfs, anchorTag(store), snapshot, options);
    if (!bookmarks.some((one) => one.guid === guid && isOurs(store, one.name))) await bookmarkAnchor(request, snapshot, options);
  });
}

async function attempt({ progress }: Advancing, otherwise: string, work: (options: Cancellable) => Promise<void>): Promise<void> {
  try {
    await work({ signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    progress.warn(`${otherwise}: ${(error as Error).message}`);
  }
}

function isOurs(store: Store, name: BookmarkName): boolean {
  return shortNameOf(name).startsWith(anchorBookmarkPrefix(store));
}

async function bookmarkAnchor({ zfs, store }: Advancing, snapshot: SnapshotName, options: Cancellable): Promise<void> {
  const name = bookmarkName(datasetOf(snapshot), `${anchorBookmarkPrefix(store)}${shortNameOf(snapshot)}`);
  await bookmark(zfs, snapshot, name, options);
}

async function letGoOfOthers({ zfs, store }: Advancing, dataset: DatasetFacts, anchor: Guid, options: Cancellable): Promise<void> {
  for (const { name, guid, userRefs } of dataset.snapshots) {
    if (userRefs > 0 && guid !== anchor) await release(zfs, anchorTag(store), name, options);
  }
  for (const { name, guid } of dataset.bookmarks) {
    if (guid !== anchor && isOurs(store, name)) await destroyBookmark(zfs, name, guid, options);
  }
}
