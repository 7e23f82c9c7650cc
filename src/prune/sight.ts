/**
 * What there is, seen again right before each removal: somebody may have stored an incremental meanwhile that needs what
 * is about to go. Looking costs one listing of the manifests; only when it shows anything new are they read again.
 */
import { type Catalog, readCatalog } from "../catalog.ts";
import { manifestKey, manifestsPrefix } from "../format/layout.ts";
import type { Store } from "../store/store.ts";
import type { SnapshotName } from "../zfs/names.ts";

interface Looking {
  readonly store: Store;
  readonly stateDir: string;
  readonly progress: { readonly warn: (text: string) => void };
  readonly signal: AbortSignal;
}

/** A catalog of the whole store, and the listing it is good for. */
export interface Sight {
  readonly catalog: Catalog;
  /** By key, etag and size. */
  readonly listed: ReadonlyMap<string, string>;
}

/** @throws ZferryError the store's codes */
export async function look(looking: Looking): Promise<Sight> {
  const { store, stateDir, progress, signal } = looking;
  const listed = await listing(looking); // first: what comes between the two is seen at the next look
  const catalog = await readCatalog(store, { dataset: null, stateDir, warn: progress.warn, signal });
  return { catalog, listed };
}

/** The same sight when nothing has changed since but what the caller has removed, and a new one otherwise. */
export async function lookAgain(looking: Looking, before: Sight): Promise<Sight> {
  const now = await listing(looking);
  const isSame = now.size === before.listed.size && [...now].every(([key, version]) => before.listed.get(key) === version);
  return isSame ? before : look(looking);
}

/** Without a backup the caller has removed. */
export function without({ catalog, listed }: Sight, gone: SnapshotName): Sight {
  const key = manifestKey(gone);
  const backups = catalog.backups.filter(({ backup }) => backup !== gone);
  return { catalog: { ...catalog, backups }, listed: new Map([...listed].filter(([other]) => other !== key)) };
}

async function listing({ store, signal }: Looking): Promise<ReadonlyMap<string, string>> {
  const listed = new Map<string, string>();
  for await (const { key, etag, sizeBytes } of store.list(manifestsPrefix, { signal })) listed.set(key, `${etag} ${sizeBytes}`);
  return listed;
}
