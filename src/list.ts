/**
 * `zferry list`: every backup of a store, and whether it can be restored from what is there.
 */
import { type Catalog, readCatalog, type CatalogOptions, type DamagedEntry } from "./catalog.ts";
import { chainTo } from "./format/chain.ts";
import { type BackupEntry, datasetOfEntry } from "./format/entry.ts";
import { manifestKey, manifestsOf, manifestsPrefix } from "./format/layout.ts";
import type { Store } from "./store/store.ts";
import { type LastVerified, lastVerified } from "./verified.ts";

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

function verifiedOf(entry: BackupEntry, { manifests, remembered }: Catalog): LastVerified | null {
  if (remembered.verified === undefined) return null;
  const key = manifestKey(entry.backup);
  return lastVerified(remembered.verified[key], manifests.get(key)?.etag ?? null);
}

function obstacleOf(entry: BackupEntry, catalog: Catalog): string | null {
  const chain = chainTo(entry, catalog);
  return typeof chain === "string" ? chain : null;
}
