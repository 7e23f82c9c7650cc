/**
 * Taking away a dataset with all that is in it: only one whose guid the caller has seen, and never a whole pool.
 */
import { ZferryError } from "../errors.ts";
import { runZfs, type Cancellable, type Zfs } from "./command.ts";
import { saysMissing } from "./complaints.ts";
import { parseGuid, type DatasetName, type Guid } from "./names.ts";
import { readProperties, valueOf } from "./properties.ts";

/**
 * Destroys a dataset with its snapshots and children (`zfs destroy -r`). That it is gone already is what was wanted.
 *
 * @param expectGuid - of the dataset, as `readDataset` gave it to whoever decided
 * @throws ZferryError `zfs-failed` when another dataset has the name by now, `zfs-busy` when it is in use or held
 */
export async function destroyDataset(zfs: Zfs, name: DatasetName, expectGuid: Guid, options: Cancellable): Promise<void> {
  if (!name.includes("/")) {
    throw new ZferryError("usage", `will not destroy "${name}": it is the top of a pool`, { hint: "name a dataset below it" });
  }
  try {
    const guid = parseGuid(valueOf(await readProperties(zfs, ["guid"], name, options), name, "guid"));
    if (guid === expectGuid) await runZfs(zfs, ["destroy", "-r", "--", name], options);
    else throw replaced(name, { guid, expectGuid });
  } catch (error) {
    if (!saysMissing(error, name)) throw error;
  }
}

function replaced(name: DatasetName, { guid, expectGuid }: { guid: Guid; expectGuid: Guid }): ZferryError {
  return new ZferryError("zfs-failed", `will not destroy "${name}": its guid is ${guid}, not ${expectGuid}`, {
    hint: "somebody replaced the dataset under its name; look at it and destroy it with zfs itself",
  });
}
