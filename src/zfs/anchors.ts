/**
 * What keeps an anchor alive: a hold, so that the snapshot cannot be destroyed, and a bookmark, so that incrementals
 * stay possible when it is destroyed all the same.
 *
 * All of these may be repeated: a state that holds already is success, so a run that died half-way can be run again.
 */
import { ZferryError } from "../errors.ts";
import { runZfs, type Cancellable, type Zfs } from "./command.ts";
import { complained, saysMissing } from "./complaints.ts";
import { parseGuid, type BookmarkName, type Guid, type SnapshotName } from "./names.ts";
import { readProperties, valueOf } from "./properties.ts";

/** Holds a snapshot under a tag. @throws ZferryError `zfs-not-found` when the snapshot is not there */
export async function hold(zfs: Zfs, tag: string, name: SnapshotName, options: Cancellable): Promise<void> {
  try {
    await runZfs(zfs, ["hold", "--", tag, name], options);
  } catch (error) {
    if (!complained(error, "tag already exists on this dataset")) throw error;
  }
}

/**
 * Releases the hold of that tag. A snapshot that is gone has no hold left; a dataset that is gone (or whose pool is
 * not imported) is an error.
 */
export async function release(zfs: Zfs, tag: string, name: SnapshotName, options: Cancellable): Promise<void> {
  try {
    await runZfs(zfs, ["release", "--", tag, name], options);
  } catch (error) {
    if (!complained(error, "no such tag on this dataset") && !saysMissing(error, name)) throw error;
  }
}

/**
 * Bookmarks a snapshot. `exists`: there is one of this name and of the same guid; `unsupported`: this zfs or this pool
 * has no bookmarks.
 *
 * @throws ZferryError `zfs-failed` when the name is taken by the bookmark of another snapshot
 */
export async function bookmark(
  zfs: Zfs,
  snapshot: SnapshotName,
  name: BookmarkName,
  options: Cancellable,
): Promise<"made" | "exists" | "unsupported"> {
  try {
    await runZfs(zfs, ["bookmark", "--", snapshot, name], options);
    return "made";
  } catch (error) {
    if (complained(error, "unrecognized command") || complained(error, "bookmark feature not enabled")) return "unsupported";
    if (!complained(error, "bookmark exists")) throw error;
  }
  const [wanted, found] = [await guidOf(zfs, snapshot, options), await guidOf(zfs, name, options)];
  if (wanted === found) return "exists";
  throw new ZferryError("zfs-failed", `cannot bookmark "${snapshot}": "${name}" is of another snapshot (guid ${found})`, {
    hint: "destroy the bookmark if nothing needs it, or choose another name",
  });
}

/**
 * Destroys a bookmark if it still has that guid. That it is gone already is what was wanted.
 *
 * @throws ZferryError `zfs-failed` when it has another guid
 */
export async function destroyBookmark(
  zfs: Zfs,
  name: BookmarkName,
  expectGuid: Guid,
  options: Cancellable,
): Promise<void> {
  try {
    const found = await guidOf(zfs, name, options);
    if (found === expectGuid) await runZfs(zfs, ["destroy", "--", name], options);
    else throw strangerOf(name, { found, expectGuid });
  } catch (error) {
    if (!saysMissing(error, name)) throw error;
  }
}

async function guidOf(zfs: Zfs, name: SnapshotName | BookmarkName, options: Cancellable): Promise<Guid> {
  return parseGuid(valueOf(await readProperties(zfs, ["guid"], name, options), name, "guid"));
}

function strangerOf(name: BookmarkName, guids: { found: Guid; expectGuid: Guid }): ZferryError {
  return new ZferryError(
    "zfs-failed",
    `will not destroy "${name}": its guid is ${guids.found}, not ${guids.expectGuid}`,
    { hint: "somebody replaced the bookmark under its name; run again to decide anew" },
  );
}
