/**
 * `zferry prune --strays`: objects of attempts that came to nothing, found and removed.
 *
 * An attempt goes only when everything says that nobody needs it: no manifest names it, it is older than the grace
 * period, and neither a journal of this host nor a lease in the store names it. Whatever cannot be read protects all
 * that it might name; a store that cannot be listed ends the sweep before anything is removed. Every stray is judged
 * again right before it goes. What is interrupted is taken up by the next sweep.
 */
import { gather } from "./bytes.ts";
import { fetchManifest, readCatalog } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import {
  attemptPrefix,
  type Attempt,
  backupOfManifestKey,
  chunkKey,
  chunkStem,
  manifestKey,
  packetNames,
  restoreNoteKey,
  streamsPrefix,
} from "./format/layout.ts";
import type { ObjectKey, Store, StoredObject } from "./store/store.ts";
import { type DatasetName, datasetOf, parseSnapshotName, type SnapshotName } from "./zfs/names.ts";

/** Keys removed by one call; S3 takes a thousand at once. */
const deleteBatch = 1000;
/** Larger is no lease. */
const maxLeaseBytes = 64 * 1024;
/** A lease that was not renewed for a day has run out; twice that, for clocks that differ. */
const longestLeaseMs = 2 * 24 * 3_600_000;

export interface SweepRequest {
  readonly store: Store;
  /** An attempt whose newest object is younger stays. */
  readonly graceMs: number;
  readonly now: () => Date;
  /** The attempts that have a journal on this host (`journaledAttempts`). Asked again before each removal; must throw when it cannot tell. */
  readonly journaled: () => Promise<ReadonlySet<Attempt>>;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/** The objects of one attempt, as far as they are ours. */
export interface SeenAttempt {
  readonly backup: SnapshotName;
  readonly attempt: Attempt;
  readonly objectCount: number;
  readonly sizeBytes: number;
  readonly newestAt: Date;
  /** Its RESTORE.md is there, which is written when all chunks are. */
  readonly isWhole: boolean;
}

export interface StayingAttempt extends SeenAttempt {
  readonly reason: string;
}

export interface Survey {
  readonly strays: readonly SeenAttempt[];
  /** Attempts that no manifest names and that stay all the same. */
  readonly staying: readonly StayingAttempt[];
  /** Attempts that are backups. */
  readonly committedCount: number;
  /** Objects under `streams/` whose keys are none of ours: they are never touched. */
  readonly foreignCount: number;
}

/** What became of a stray. */
export type Removal =
  | { readonly kind: "removed"; readonly objectCount: number; readonly unfinishedCount: number }
  | { readonly kind: "stays"; readonly reason: string };

/**
 * Looks at every object under `streams/` and every manifest. Removes nothing.
 *
 * Objects are listed before manifests, so that a run that commits meanwhile is seen as committed.
 *
 * Memory: a few numbers for each attempt.
 *
 * @throws ZferryError the store's codes, when anything that could protect an attempt cannot be asked for
 */
export async function surveyStrays(request: SweepRequest): Promise<Survey> {
  const { store, warn, signal } = request;
  const { attempts, foreignCount } = await listAttempts(store, streamsPrefix, signal);
  const catalog = await readCatalog(store, { dataset: null, stateDir: null, warn, signal });
  const committed = new Set(catalog.backups.map(({ backup, attempt }) => attemptPrefix(backup, attempt)));
  const unreadable = new Set(catalog.damaged.map(({ key }) => key));
  const isBare = catalog.backups.length + catalog.damaged.length === 0;
  const strays: SeenAttempt[] = [];
  const staying: StayingAttempt[] = [];
  let committedCount = 0;
  for (const [prefix, seen] of attempts) {
    if (committed.has(prefix)) {
      committedCount += 1;
      continue;
    }
    const reason = (isBare && seen.isWhole ? manifestsLost : null) ?? manifestInTheWay(seen, unreadable) ?? (await reasonToStay(seen, request));
    if (reason === null) strays.push(seen);
    else staying.push({ ...seen, reason });
  }
  return { strays, staying, committedCount, foreignCount };
}

/**
 * Removes one stray of a survey, unless something speaks for it by now: first its unfinished uploads, so that it is still
 * found when this is interrupted, then its objects.
 *
 * @throws ZferryError the store's codes; some of its objects may be gone then
 */
export async function removeStray(stray: SeenAttempt, request: SweepRequest): Promise<Removal> {
  const { store, signal } = request;
  const { backup, attempt } = stray;
  const prefix = attemptPrefix(backup, attempt);
  const seen = (await listAttempts(store, prefix, signal)).attempts.get(prefix);
  if (seen === undefined) return { kind: "removed", objectCount: 0, unfinishedCount: 0 };
  const reason = (await reasonToStay(seen, request)) ?? (await committedMeanwhile(seen, request));
  if (reason !== null) return { kind: "stays", reason };
  const unfinishedCount = await store.removeUnfinished(prefix, { signal });
  return { kind: "removed", objectCount: await deleteOurs(store, prefix, signal), unfinishedCount };
}

/**
 * A store with whole attempts and not one manifest has more likely lost its manifests (a link that is not followed, a
 * lifecycle rule) than never had any. What is left can be restored with gpg.
 */
const manifestsLost = "all of it is there, and the store has no manifest at all: they may have been lost";

/** Every attempt under `prefix`, by its own prefix. */
async function listAttempts(
  store: Store,
  prefix: string,
  signal: AbortSignal,
): Promise<{ attempts: ReadonlyMap<string, SeenAttempt>; foreignCount: number }> {
  const attempts = new Map<string, SeenAttempt>();
  let foreignCount = 0;
  for await (const object of store.list(prefix, { signal })) {
    const owner = attemptOfKey(object.key);
    if (owner === null) {
      foreignCount += 1;
      continue;
    }
    const own = attemptPrefix(owner.backup, owner.attempt);
    attempts.set(own, joined(attempts.get(own) ?? { ...owner, objectCount: 0, sizeBytes: 0, newestAt: object.modifiedAt, isWhole: false }, object));
  }
  return { attempts, foreignCount };
}

function joined(seen: SeenAttempt, { key, sizeBytes, modifiedAt }: StoredObject): SeenAttempt {
  return {
    ...seen,
    objectCount: seen.objectCount + 1,
    sizeBytes: seen.sizeBytes + sizeBytes,
    newestAt: modifiedAt > seen.newestAt ? modifiedAt : seen.newestAt,
    isWhole: seen.isWhole || key === restoreNoteKey(seen.backup, seen.attempt),
  };
}

/** Whose object a key is; null unless it is exactly a key that zferry makes. */
export function attemptOfKey(key: ObjectKey): { readonly backup: SnapshotName; readonly attempt: Attempt } | null {
  const match = /^(.+)\/([0-9a-f]{8})\/[^/]+$/.exec(key.slice(streamsPrefix.length));
  if (match === null || !key.startsWith(streamsPrefix)) return null;
  const [, name = "", attempt = ""] = match;
  let backup: SnapshotName;
  try {
    backup = parseSnapshotName(name);
  } catch {
    return null; // not the name of a snapshot, so nothing of ours
  }
  return isOurs(key, backup, attempt) ? { backup, attempt } : null;
}

function isOurs(key: ObjectKey, backup: SnapshotName, attempt: Attempt): boolean {
  if (key === restoreNoteKey(backup, attempt)) return true;
  const number = Number(/\.(\d{6})$/.exec(key)?.[1] ?? Number.NaN);
  const packets = packetNames.filter((packet) => key.includes(`/${chunkStem(backup, packet)}.`));
  return packets.some((packet) => key === chunkKey(backup, attempt, packet, number));
}

/** A manifest that cannot be read may name any attempt of its backup; one whose key says nothing, any at all. */
function manifestInTheWay({ backup }: SeenAttempt, unreadable: ReadonlySet<ObjectKey>): string | null {
  const own = manifestKey(backup);
  if (unreadable.has(own)) return `the manifest "${own}" cannot be read, and may name it`;
  const nameless = [...unreadable].find((key) => key.endsWith(".json") && backupOfManifestKey(key) === null);
  return nameless === undefined ? null : `"${nameless}" is not a manifest's name, and what it protects is not known`;
}

/** Why an attempt without a manifest stays; null when nothing speaks for it. */
async function reasonToStay(seen: SeenAttempt, request: SweepRequest): Promise<string | null> {
  const { graceMs, now, journaled } = request;
  if (now().getTime() - seen.newestAt.getTime() <= graceMs) {
    return `its newest object is from ${seen.newestAt.toISOString()}, within the grace period`;
  }
  if ((await journaled()).has(seen.attempt)) return "the journal of an unfinished run on this host names it";
  return leaseInTheWay(seen, request);
}

/** The key of a dataset's lease (`docs/format.md` § Objects). */
function leaseKey(dataset: DatasetName): ObjectKey {
  return `locks/${dataset}.json`;
}

/**
 * A lease names the attempt of the run that holds it, if that knew it yet. One that names it counts even when it has run
 * out: the next run of that dataset takes it over, and with it the attempt. One without a name may mean any attempt, as
 * long as it can be alive.
 */
async function leaseInTheWay(seen: SeenAttempt, { store, now, signal }: SweepRequest): Promise<string | null> {
  const key = leaseKey(datasetOf(seen.backup));
  const lease = await readLease(store, key, signal);
  if (lease === null) return null;
  const named = attemptInLease(lease.bytes);
  if (named === undefined) return `the lease "${key}" cannot be read, and may name it`;
  if (named !== null) return named === seen.attempt ? `the lease "${key}" names it` : null;
  const isAlive = now().getTime() - lease.renewedAt.getTime() <= longestLeaseMs;
  return isAlive ? `the lease "${key}" is held, and does not say for which attempt` : null;
}

interface ReadLease {
  readonly bytes: Buffer;
  readonly renewedAt: Date;
}

/** Null when there is none; no bytes for one that is too long to be a lease. */
async function readLease(store: Store, key: ObjectKey, signal: AbortSignal): Promise<ReadLease | null> {
  const tooLong = new ZferryError("store-failed", `"${key}" is too long for a lease`);
  let renewedAt = new Date(0);
  const onFound = (found: StoredObject): void => {
    renewedAt = found.modifiedAt;
  };
  try {
    return { bytes: await gather(store.get(key, { signal, onFound }), maxLeaseBytes, () => tooLong), renewedAt };
  } catch (error) {
    if (error === tooLong) return { bytes: Buffer.alloc(0), renewedAt };
    if (isZferryError(error, "object-missing")) return null;
    throw error;
  }
}

/** The attempt a lease names; null for none, undefined when it cannot be read. */
function attemptInLease(lease: Buffer): Attempt | null | undefined {
  let value: unknown;
  try {
    value = JSON.parse(lease.toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const attempt = (value as { readonly attempt?: unknown }).attempt ?? null;
  if (attempt === null) return null;
  return typeof attempt === "string" && /^[0-9a-f]{8}$/.test(attempt) ? attempt : undefined;
}

/** The last look before the first object goes. */
async function committedMeanwhile({ backup, attempt }: SeenAttempt, { store, signal }: SweepRequest): Promise<string | null> {
  try {
    const { manifest } = await fetchManifest(store, backup, signal);
    return manifest.attempt === attempt ? "it was committed meanwhile" : null;
  } catch (error) {
    if (isZferryError(error, "backup-not-found")) return null;
    if (isZferryError(error, "manifest-invalid", "format-too-new")) return `the manifest "${manifestKey(backup)}" cannot be read, and may name it`;
    throw error;
  }
}

async function deleteOurs(store: Store, prefix: string, signal: AbortSignal): Promise<number> {
  let keys: ObjectKey[] = [];
  let count = 0;
  const flush = async (): Promise<void> => {
    if (keys.length > 0) await store.delete(keys, { signal });
    count += keys.length;
    keys = [];
  };
  for await (const { key } of store.list(prefix, { signal })) {
    if (attemptOfKey(key) !== null) keys.push(key);
    if (keys.length === deleteBatch) await flush();
  }
  await flush();
  return count;
}
