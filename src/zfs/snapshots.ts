/**
 * Making snapshots, and taking back those we made.
 *
 * A snapshot of ours carries the user property {@link ownProperty}, set on itself at its creation. Nothing else is ever
 * destroyed, whatever its name looks like, and nothing whose guid is not the one the caller decided about.
 */
import { randomBytes } from "node:crypto";
import { ZferryError } from "../errors.ts";
import { runZfs, type Cancellable, type Zfs } from "./command.ts";
import { saysMissing } from "./complaints.ts";
import { isOurs, ownProperty } from "./inventory.ts";
import { parseGuid, type Guid, type SnapshotName } from "./names.ts";
import { readProperties, valueOf, type PropertyTable } from "./properties.ts";

/** `<prefix>20260131T235959Z`, in UTC, to the second: what follows the `@`. */
export function newSnapshotName(prefix: string, at: Date): string {
  return prefix + at.toISOString().replace(/\.\d+/, "").replaceAll(/[-:]/g, "");
}

/** Of one taking: whoever finds a snapshot of a name that it meant to take can tell by it whether it took it. */
export function newMark(): string {
  return randomBytes(8).toString("hex");
}

/**
 * Makes all of them in one atomic command: all from one instant or none at all. They must be of one pool, and of
 * different datasets. zfs-fuse can do one at a time only, and fails for more.
 *
 * @throws ZferryError `target-exists` when one of the names is taken, `zfs-not-found` for a missing dataset
 */
export async function createSnapshots(zfs: Zfs, names: readonly SnapshotName[], { mark, signal }: Cancellable & { readonly mark: string }): Promise<void> {
  if (names.length === 0) return;
  await runZfs(zfs, ["snapshot", "-o", `${ownProperty}=${mark}`, "--", ...names], { signal });
}

/**
 * Destroys one snapshot of ours. That it is gone already is what was wanted.
 *
 * @throws ZferryError `zfs-failed` when it is not ours or has another guid, `zfs-busy` when it is held or cloned
 */
export async function destroySnapshot(
  zfs: Zfs,
  name: SnapshotName,
  expectGuid: Guid,
  options: Cancellable,
): Promise<void> {
  refuseRanges(name);
  try {
    refuseStrangers(name, expectGuid, await readProperties(zfs, ["guid", ownProperty], name, options));
  } catch (error) {
    if (saysMissing(error, name)) return;
    throw error;
  }
  await runZfs(zfs, ["destroy", "--", name], options);
}

/** To `zfs destroy`, `tank@a%c` is every snapshot from a to c. No name has a % that was not made by ZFS for itself. */
function refuseRanges(name: SnapshotName): void {
  if (!name.includes("%")) return;
  throw new ZferryError("usage", `will not destroy "${name}": zfs would take it for a range of snapshots`, {
    hint: "name one snapshot",
  });
}

function refuseStrangers(name: SnapshotName, expectGuid: Guid, table: PropertyTable): void {
  const guid = parseGuid(valueOf(table, name, "guid"));
  if (guid !== expectGuid) {
    throw new ZferryError("zfs-failed", `will not destroy "${name}": its guid is ${guid}, not ${expectGuid}`, {
      hint: "somebody replaced the snapshot under its name; run again to decide anew",
    });
  }
  if (!isOurs(table)) {
    throw new ZferryError("zfs-failed", `will not destroy "${name}": zferry did not make it`, {
      hint: `destroy it with zfs itself, or mark it as ours with zfs set ${ownProperty}=1`,
    });
  }
}
