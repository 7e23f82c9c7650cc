/**
 * Which backup needs which: the way from a full to what is wanted, found by guid and never by name.
 *
 * Several backups can hold the snapshot that an incremental starts from. The one its manifest names comes first, then one
 * of its dataset, then any.
 */
import type { Guid } from "../zfs/names.ts";
import { type BackupEntry, datasetOfEntry } from "./entry.ts";

/** Backups of a store, of all its datasets: a base may have been stored under another dataset's name. */
interface Held {
  readonly backups: readonly BackupEntry[];
}

/** The backup an incremental starts from; null when it is not in the catalog. */
export function baseOf(entry: BackupEntry, { backups }: Held): BackupEntry | null {
  const { base } = entry;
  if (base === null) return null;
  const same = candidatesFor(entry, { backups });
  const inDataset = same.find((candidate) => datasetOfEntry(candidate) === datasetOfEntry(entry));
  return same.find(({ backup }) => backup === base.backup) ?? inDataset ?? same[0] ?? null;
}

/** Every backup of the snapshot an incremental starts from; of several, {@link baseOf} takes one. */
export function candidatesFor({ base, backup: own }: BackupEntry, { backups }: Held): readonly BackupEntry[] {
  return base === null ? [] : (byGuid(backups).get(base.guid) ?? []).filter(({ backup }) => backup !== own);
}

type ByGuid = ReadonlyMap<Guid, readonly BackupEntry[]>;

/** Made once for each catalog: looking through all of it for each of 10,000 backups takes seconds. */
const madeByGuid = new WeakMap<readonly BackupEntry[], ByGuid>();

function byGuid(backups: readonly BackupEntry[]): ByGuid {
  const made = madeByGuid.get(backups);
  if (made !== undefined) return made;
  const groups = new Map<Guid, BackupEntry[]>();
  for (const entry of backups) {
    const group = groups.get(entry.guid);
    if (group === undefined) groups.set(entry.guid, [entry]);
    else group.push(entry);
  }
  madeByGuid.set(backups, groups);
  return groups;
}

/** The backups to receive one after the other, the wanted one last; or why there is no such way. Takes time by their number. */
export function chainTo(entry: BackupEntry, held: Held): BackupEntry[] | string {
  const backwards = new Set([entry]);
  for (let first = entry; first.base !== null; ) {
    const base = baseOf(first, held);
    if (base === null) return `its base, the snapshot with guid ${first.base.guid}, is not in the store`;
    if (backwards.has(base)) return "its bases form a circle";
    backwards.add(base);
    first = base;
  }
  return [...backwards].reverse();
}
