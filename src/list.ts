/**
 * `zferry list`: every backup of a store, and whether it can be restored from what is there.
 */
import { type Catalog, readCatalog, type CatalogOptions, type DamagedEntry } from "./catalog.ts";
import { type BackupEntry, datasetOfEntry } from "./format/entry.ts";
import { manifestKey, manifestsOf, manifestsPrefix } from "./format/layout.ts";
import type { Store } from "./store/store.ts";
import { type LastVerified, lastVerified } from "./verified.ts";
import type { Guid } from "./zfs/names.ts";

export interface ListedBackup {
  readonly entry: BackupEntry;
  /** Null when all it needs is in the store. */
  readonly obstacle: string | null;
  /** The result that counts, of the manifest that is there now; null for never. */
  readonly verified: LastVerified | null;
}

export interface Listing {
  readonly backups: readonly ListedBackup[];
  readonly damaged: readonly DamagedEntry[];
}

/**
 * Reads the catalog; fetches no chunk, so `obstacle` speaks of manifests only. The whole store is read even when one
 * dataset is asked for, because a base may have been stored under another dataset's name.
 */
export async function list(store: Store, options: CatalogOptions): Promise<Listing> {
  const { dataset } = options;
  const catalog = await readCatalog(store, { ...options, dataset: null });
  const wanted = catalog.backups.filter((entry) => dataset === null || datasetOfEntry(entry) === dataset);
  const backups = wanted.map((entry) => ({ entry, obstacle: obstacleOf(entry, catalog), verified: verifiedOf(entry, catalog) }));
  const prefix = dataset === null ? manifestsPrefix : manifestsOf(dataset);
  return { backups, damaged: catalog.damaged.filter(({ key }) => key.startsWith(prefix)) };
}

/** The backup an incremental starts from; null when it is not in the catalog. */
export function baseOf(entry: BackupEntry, { backups }: Pick<Catalog, "backups">): BackupEntry | null {
  const { base } = entry;
  if (base === null) return null;
  const same = (byGuid(backups).get(base.guid) ?? []).filter(({ backup }) => backup !== entry.backup);
  const inDataset = same.find((candidate) => datasetOfEntry(candidate) === datasetOfEntry(entry));
  return same.find(({ backup }) => backup === base.backup) ?? inDataset ?? same[0] ?? null;
}

type ByGuid = ReadonlyMap<Guid, readonly BackupEntry[]>;

/** Made once for each catalog: looking through all of it for each of 10,000 backups takes seconds. */
const madeByGuid = new WeakMap<Catalog["backups"], ByGuid>();

function byGuid(backups: Catalog["backups"]): ByGuid {
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

/** The backups to receive one after the other, the wanted one last; or why there is no such way. */
export function chainTo(entry: BackupEntry, catalog: Pick<Catalog, "backups">): BackupEntry[] | string {
  const chain = [entry];
  for (let first = entry; first.base !== null; ) {
    const base = baseOf(first, catalog);
    if (base === null) return `its base, the snapshot with guid ${first.base.guid}, is not in the store`;
    if (chain.includes(base)) return "its bases form a circle";
    chain.unshift(base);
    first = base;
  }
  return chain;
}

function verifiedOf(entry: BackupEntry, { manifests, remembered }: Catalog): LastVerified | null {
  if (remembered.verified === undefined) return null;
  const key = manifestKey(entry.backup);
  return lastVerified(remembered.verified[key], manifests.get(key)?.etag ?? null);
}

function obstacleOf(entry: BackupEntry, catalog: Catalog): string | null {
  const chain = chainTo(entry, catalog);
  return typeof chain === "string" ? chain : null;
}
