/**
 * What backups a store holds: reads manifests, believes them only as far as they can be checked, and reads none again that
 * `catalog-cache.ts` remembers.
 *
 * A manifest that cannot be read never hides the others: it is listed as damaged. A store that cannot be read is an
 * error and never an empty catalog.
 */
import { sessionKeyOf } from "./added-keys.ts";
import { gather, MiB } from "./bytes.ts";
import { entryOfVersion, recall, remember } from "./catalog-cache.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { type BackupEntry, byAge, entryOf, isSameManifest } from "./format/entry.ts";
import { backupOfManifestKey, manifestKey, manifestsOf, manifestsPrefix } from "./format/layout.ts";
import { type Manifest, maxManifestBytes, type ParsedManifest, parseManifest } from "./format/manifest.ts";
import { ManifestReplaced } from "./manifest-replaced.ts";
import { manifestKey as hmacKey, type Keyring } from "./openpgp/session.ts";
import type { KnownManifest, StoreState } from "./state.ts";
import type { Store, StoredObject } from "./store/store.ts";
import { parallel } from "./stream/parallel.ts";
import { Run } from "./stream/run.ts";
import type { DatasetName, SnapshotName } from "./zfs/names.ts";

/** Manifests fetched at a time: over 50 ms to the store, 600 a second. `store/s3-client.ts` keeps as many sockets spare. */
const fetchLimit = 32;
/** Larger manifests are fetched one at a time: that of a 10 TB backup has 45 MB, and takes several times that parsed. */
const largeManifestBytes = MiB;

/** Most that are of no use, 2 KB each: whoever makes a listing without end must not fill the memory with it. */
const maxDamagedCount = 10_000;

/** A manifest that is there and cannot be used. */
export interface DamagedEntry {
  readonly key: string;
  readonly error: ZferryError;
}

export interface Catalog {
  /** Ascending by the time of the snapshot. */
  readonly backups: readonly BackupEntry[];
  readonly damaged: readonly DamagedEntry[];
  /** By key, the manifests of `backups` in the versions that were listed. */
  readonly manifests: ReadonlyMap<string, KnownManifest>;
  /** What the state file knew of this store before. */
  readonly remembered: StoreState;
}

export interface CatalogOptions {
  /** Only this dataset; all of them when null. */
  readonly dataset: DatasetName | null;
  /** Folder of the state file, where short forms are remembered; null to remember nothing. */
  readonly stateDir: string | null;
  /** For what a person should know and no one has to act on. */
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Reads the manifests of a store, or of one dataset in it. Of each only the short form is kept: what is in memory is
 * `fetchLimit` manifests of up to `largeManifestBytes` each, and one that is larger.
 *
 * @throws ZferryError `manifest-invalid` when more than ten thousand are of no use, and the store's codes
 */
export async function readCatalog(store: Store, options: CatalogOptions): Promise<Catalog> {
  const { dataset, signal } = options;
  const remembered = await recall(store, options);
  const prefix = dataset === null ? manifestsPrefix : manifestsOf(dataset);
  const backups: BackupEntry[] = [];
  const damaged: DamagedEntry[] = [];
  const manifests = new Map<string, KnownManifest>();
  const run = new Run(signal);
  const inTurn = largeInTurn();
  const entries = parallel(store.list(prefix, { signal: run.signal }), { limit: fetchLimit, run }, async (object) => {
    const known = entryOfVersion(remembered, object);
    if (known !== null) return { object, entry: known };
    return { object, entry: await inTurn(object.sizeBytes, (maxBytes) => readEntry(store, object, maxBytes, run.signal)) };
  });
  for await (const { object, entry } of entries) {
    const { key, etag, sizeBytes } = object;
    if (entry instanceof ZferryError) {
      damaged.push({ key, error: entry });
      if (damaged.length > maxDamagedCount) throw tooManyDamaged(store, prefix);
    } else {
      backups.push(entry);
      manifests.set(key, { etag, sizeBytes, entry });
    }
  }
  await remember(store, options, { prefix, manifests, remembered });
  return { backups: backups.sort(byAge), damaged, manifests, remembered };
}

function tooManyDamaged({ url }: Store, prefix: string): ZferryError {
  const message = `more than ${maxDamagedCount} objects under "${prefix}" in "${url}" are no manifests that can be used`;
  return new ZferryError("manifest-invalid", message, {
    hint: "give the store a prefix that no other program writes to, or restore its manifests from a second copy",
  });
}

/**
 * Runs works on manifests that a listing gives so many bytes: at once for small ones, one after the other in the order
 * they come for large ones. Each is told how many bytes its manifest may really have, whatever the listing says.
 */
export function largeInTurn(): <T>(listedBytes: number, work: (maxBytes: number) => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (listedBytes, work) => {
    if (listedBytes <= largeManifestBytes) return work(largeManifestBytes);
    const result = last.then(() => work(maxManifestBytes));
    last = result.catch(() => undefined); // whoever asked for it hears of it
    return result;
  };
}

/** The short form, or why there is none; a store that fails is thrown. */
async function readEntry(
  store: Store,
  { key }: StoredObject,
  maxBytes: number,
  signal: AbortSignal,
): Promise<BackupEntry | ZferryError> {
  const backup = backupOfManifestKey(key);
  if (backup === null) {
    return new ZferryError("manifest-invalid", `"${key}" is not the key of a manifest`);
  }
  try {
    return entryOf(await fetchManifest(store, backup, signal, maxBytes));
  } catch (error) {
    if (isZferryError(error, "manifest-invalid", "format-too-new", "backup-not-found")) return error;
    throw error;
  }
}

/**
 * The parsed manifest of one backup, not yet believed.
 *
 * @param maxBytes - fewer than a manifest can have where it is listed with fewer, and others are read at the same time
 * @throws ZferryError `backup-not-found`, `manifest-invalid`, `format-too-new`
 */
export async function fetchManifest(
  store: Store,
  backup: SnapshotName,
  signal: AbortSignal,
  maxBytes = maxManifestBytes,
): Promise<ParsedManifest> {
  return (await fetchManifestFile(store, backup, signal, maxBytes)).parsed;
}

/** The same, and the bytes it was parsed from. */
export async function fetchManifestFile(
  store: Store,
  backup: SnapshotName,
  signal: AbortSignal,
  maxBytes = maxManifestBytes,
): Promise<{ readonly file: Buffer; readonly parsed: ParsedManifest }> {
  const key = manifestKey(backup);
  const most = maxBytes < maxManifestBytes ? "it is listed with" : "any manifest can be";
  const tooLong = () => new ZferryError("manifest-invalid", `manifest "${key}" is longer than ${most}`);
  try {
    const file = await gather(store.get(key, { signal }), maxBytes, tooLong);
    return { file, parsed: parseManifest(file, key, backup) };
  } catch (error) {
    if (!isZferryError(error, "object-missing")) throw error;
    throw new ZferryError("backup-not-found", `there is no backup "${backup}" in "${store.url}"`, {
      hint: "`zferry list` shows what there is",
      cause: error,
    });
  }
}

/**
 * The manifest an entry was made of. What was chosen by the one must not be done by another, and what a key shows of a
 * manifest must be true of what it was chosen by.
 *
 * @throws ZferryError `ManifestReplaced` when it is another one now; the codes of `fetchManifest`
 */
export async function fetchListed(store: Store, listed: BackupEntry, signal: AbortSignal, maxBytes?: number): Promise<ParsedManifest> {
  const parsed = await fetchManifest(store, listed.backup, signal, maxBytes);
  const now = entryOf(parsed);
  if (isSameManifest(listed, now)) return parsed;
  throw new ManifestReplaced(listed, now);
}

/** A backup whose manifest was found to be what its writer wrote, as far as a key can tell. */
export interface OpenedBackup {
  readonly manifest: Manifest;
  /** Null only with packet `none` and no key. */
  readonly sessionKey: Buffer | null;
  /** False when the writer had no key: the seal then finds damage but not malice. */
  readonly isAuthentic: boolean;
}

/**
 * Fetches a manifest, opens its session key and checks its seal.
 *
 * @throws ZferryError as `fetchManifest`; `key-missing`, `key-wrong`, and `manifest-invalid` when the seal is broken
 */
export async function openBackup(
  store: Store,
  backup: SnapshotName,
  keyring: Keyring,
  signal: AbortSignal,
): Promise<OpenedBackup> {
  return openManifest(store, await fetchManifest(store, backup, signal), keyring, signal);
}

/**
 * Opens the session key of a manifest, also by keys that were added to the backup in that store, and checks its seal.
 *
 * @throws ZferryError `key-missing`, `key-wrong`, and `manifest-invalid` when the seal is broken
 */
export async function openManifest(store: Store, parsed: ParsedManifest, keyring: Keyring, signal: AbortSignal): Promise<OpenedBackup> {
  const { backup, encryption } = parsed.manifest;
  const { packet, sessionKeyPackets } = encryption;
  if (!parsed.isKeyed) {
    if (packet === "none") return { manifest: parsed.manifest, sessionKey: null, isAuthentic: false };
    throw new ZferryError("manifest-invalid", `the manifest of "${backup}" is encrypted and yet sealed without a key`);
  }
  if (sessionKeyPackets === null) {
    throw new ZferryError("manifest-invalid", `the manifest of "${backup}" is sealed with a key it does not carry`);
  }
  const sessionKey = await sessionKeyOf(store, parsed.manifest, { keyring, signal });
  parsed.checkSeal(hmacKey(sessionKey));
  return { manifest: parsed.manifest, sessionKey, isAuthentic: true };
}
