/**
 * What this host remembers of manifests: their short forms, in the state file, so that the next listing costs one request
 * per thousand backups.
 *
 * The store is always asked what there is. A short form stands in for reading a manifest again, and only while the
 * listing shows the version it was made of: a manifest is written once, so etag and size tell. It was checked like any
 * other when it was read. A listing proves nothing, though: whoever goes on to read the manifest compares it with the
 * short form (`fetchListed`), and one from before that could be done is read once more.
 */
import { isZferryError } from "./errors.ts";
import type { BackupEntry } from "./format/entry.ts";
import { manifestKey } from "./format/layout.ts";
import { type KnownManifest, noteManifests, readStoreState, type StoreState, updateStoreState } from "./state.ts";
import type { Store, StoredObject } from "./store/store.ts";

interface CacheOptions {
  /** Folder of the state file; null to remember nothing. */
  readonly stateDir: string | null;
  readonly warn: (text: string) => void;
}

/** @throws ZferryError `config-invalid` when the state file cannot be read; garbage is set aside with a warning */
export async function recall({ url }: Pick<Store, "url">, { stateDir, warn }: CacheOptions): Promise<StoreState> {
  if (stateDir === null) return { url, anchors: {}, manifests: {} };
  return readStoreState(stateDir, url, (setAside) => {
    warn(`the state file could not be read; it was set aside as "${setAside}" and is rebuilt from the store`);
  });
}

/** The short form of the very version that was listed, or null. */
export function entryOfVersion({ manifests }: StoreState, { key, etag, sizeBytes }: StoredObject): BackupEntry | null {
  const known = Object.hasOwn(manifests, key) ? manifests[key] : undefined;
  const isWhole = known?.entry.sha256 != null && known.entry.isImported !== undefined;
  return isWhole && known.etag === etag && known.sizeBytes === sizeBytes ? known.entry : null;
}

interface Seen {
  /** All keys under it were looked at. */
  readonly prefix: string;
  readonly manifests: ReadonlyMap<string, KnownManifest>;
  readonly remembered: StoreState;
}

/** Brings what is remembered under `prefix` up to what was seen; writes nothing when it is. */
export async function remember(store: Pick<Store, "url">, { stateDir, warn }: CacheOptions, seen: Seen): Promise<void> {
  if (!isNews(seen)) return;
  await note(store, { stateDir, warn }, (state) => {
    noteManifests(state, seen.prefix, asOfNow(seen, state));
  });
}

/** What was seen, but for what other runs have noted or forgotten since: a listing from before that is older than their word. */
function asOfNow({ manifests, remembered }: Seen, state: StoreState): ReadonlyMap<string, KnownManifest> {
  const known = new Map(manifests);
  for (const key of Object.keys({ ...remembered.manifests, ...state.manifests })) {
    const now = state.manifests[key];
    if (now?.etag === remembered.manifests[key]?.etag) continue;
    if (now === undefined) known.delete(key);
    else known.set(key, now);
  }
  return known;
}

/** Remembers a manifest that was just written: what it says nobody can change any more unnoticed by this host. */
export async function rememberWritten(store: Pick<Store, "url">, options: CacheOptions, known: KnownManifest): Promise<void> {
  await note(store, options, ({ manifests }) => {
    manifests[manifestKey(known.entry.backup)] = known;
  });
}

/** A cache that cannot be written costs time at the next reading, and no backup. */
async function note({ url }: Pick<Store, "url">, { stateDir, warn }: CacheOptions, change: (state: StoreState) => void): Promise<void> {
  if (stateDir === null) return;
  try {
    await updateStoreState(stateDir, url, change);
  } catch (error) {
    if (!isZferryError(error, "config-invalid")) throw error;
    warn(error.message);
  }
}

function isNews({ prefix, manifests, remembered }: Seen): boolean {
  const isGone = (key: string): boolean => key.startsWith(prefix) && !manifests.has(key);
  const isOther = ([key, { etag, sizeBytes, entry }]: [string, KnownManifest]): boolean => {
    const before = remembered.manifests[key];
    const isSame = before?.etag === etag && before.sizeBytes === sizeBytes;
    return !isSame || before.entry.sha256 !== entry.sha256 || before.entry.isImported !== entry.isImported;
  };
  return [...manifests].some(isOther) || Object.keys(remembered.manifests).some(isGone);
}
