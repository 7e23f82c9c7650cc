/**
 * `zferry prune --strays`: objects and unfinished uploads of attempts that came to nothing, found and removed.
 *
 * An attempt goes only when everything says that nobody needs it: no manifest names it, it is older than the grace
 * period, and neither a journal of this host nor a lease in the store speaks for it. Whatever cannot be read protects
 * all that it might name; a store that cannot be listed ends the sweep before anything is removed. Every stray is judged
 * again right before it goes, while the sweep itself has the lock and the lease of its dataset: nothing that is removed
 * can be of a live run. What is interrupted is taken up by the next sweep.
 */
import type { Guard } from "./alone.ts";
import { readCatalog } from "./catalog.ts";
import { manifestOf } from "./commit.ts";
import { isZferryError } from "./errors.ts";
import {
  addedKeyKey,
  attemptPrefix,
  type Attempt,
  backupOfManifestKey,
  chunkKey,
  chunkStem,
  manifestKey,
  nameOfAddedKey,
  packetNames,
  restoreNoteKey,
  streamsPrefix,
} from "./format/layout.ts";
import { expiryOf, findLease, type FoundLease, leaseKey, leaseTiming, maxTtlMs } from "./store/lease-object.ts";
import type { ObjectKey, Store, StoredObject, UnfinishedPut } from "./store/store.ts";
import { listUnfinished, removeUnfinished } from "./unfinished.ts";
import { type DatasetName, datasetOf, parseSnapshotName, type SnapshotName } from "./zfs/names.ts";

/** Keys removed by one call; S3 takes a thousand at once. */
const deleteBatch = 1000;
/** For what a lease does not say itself. */
const timing = leaseTiming(maxTtlMs);

export interface SweepRequest {
  readonly store: Store;
  /** An attempt stays whose newest object was written, or whose newest unfinished upload was begun, within this time. */
  readonly graceMs: number;
  readonly now: () => Date;
  /** The attempts that a journal on this host speaks for (`old-puts.ts`). Asked again before each removal; must throw when it cannot tell. */
  readonly journaled: () => Promise<ReadonlySet<Attempt>>;
  /** Runs `work` while no run is at work on the dataset (`alone.ts`). @throws ZferryError `locked` when one is */
  readonly alone: <T>(dataset: DatasetName, work: (guard: Guard) => Promise<T>) => Promise<T>;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/** The objects of one attempt, as far as they are ours. */
export interface SeenAttempt {
  readonly backup: SnapshotName;
  readonly attempt: Attempt;
  readonly objectCount: number;
  readonly sizeBytes: number;
  /** Uploads that were begun and not ended. */
  readonly unfinishedCount: number;
  /** Of objects and of the begin of unfinished uploads. */
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
  const uploads = await listUnfinished(store, streamsPrefix, request);
  const { attempts, foreignCount } = await listAttempts(store, streamsPrefix, uploads, signal);
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
    const reason =
      (isBare && seen.isWhole ? manifestsLost : null) ??
      manifestInTheWay(seen, unreadable) ??
      (await reasonToStay(seen, request)) ??
      (await leaseInTheWay(seen, request));
    if (reason === null) strays.push(seen);
    else staying.push({ ...seen, reason });
  }
  return { strays, staying, committedCount, foreignCount };
}

/**
 * Removes one stray of a survey, unless something speaks for it by now or a run is at work on its dataset.
 *
 * @throws ZferryError the store's codes; some of its objects may be gone then
 */
export async function removeStray(stray: SeenAttempt, request: SweepRequest): Promise<Removal> {
  // A lease that speaks for the attempt is left alone; any other that has run out is taken over.
  const reason = await leaseInTheWay(stray, request);
  if (reason !== null) return { kind: "stays", reason };
  try {
    return await request.alone(datasetOf(stray.backup), ({ signal, throwIfOver }) => removeAlone(stray, { ...request, signal }, throwIfOver));
  } catch (error) {
    if (isZferryError(error, "locked")) return { kind: "stays", reason: error.message };
    throw error;
  }
}

/** First its unfinished uploads, so that it is still found when this is interrupted, then its objects. */
async function removeAlone({ backup, attempt }: SeenAttempt, request: SweepRequest, throwIfOver: () => void): Promise<Removal> {
  const { store, signal } = request;
  const prefix = attemptPrefix(backup, attempt);
  const untold = { warn: () => undefined, signal }; // the survey has told who may not look
  const uploads = await listUnfinished(store, prefix, untold);
  const seen = (await listAttempts(store, prefix, uploads, signal)).attempts.get(prefix);
  if (seen === undefined) return { kind: "removed", objectCount: 0, unfinishedCount: 0 };
  const reason = (await reasonToStay(seen, request)) ?? (await committedMeanwhile(seen, request));
  if (reason !== null) return { kind: "stays", reason };
  throwIfOver();
  const unfinishedCount = await (uploads.length === 0 ? removeUnfinished(store, prefix, untold) : store.removeUnfinished(prefix, { signal }));
  return { kind: "removed", objectCount: await deleteOurs(store, prefix, { signal, throwIfOver }), unfinishedCount };
}

/**
 * A store with whole attempts and not one manifest has more likely lost its manifests (a link that is not followed, a
 * lifecycle rule) than never had any. What is left can be restored with gpg.
 */
const manifestsLost = "all of it is there, and the store has no manifest at all: they may have been lost";

/** Every attempt under `prefix`, by its own prefix; those of which only uploads are there as well. */
async function listAttempts(
  store: Store,
  prefix: string,
  uploads: readonly UnfinishedPut[],
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
    attempts.set(own, joined(attempts.get(own) ?? { ...owner, ...nothing }, object));
  }
  for (const { key, startedAt } of uploads) {
    const owner = attemptOfKey(key);
    if (owner === null || !key.startsWith(prefix)) continue;
    const own = attemptPrefix(owner.backup, owner.attempt);
    const seen = attempts.get(own) ?? { ...owner, ...nothing };
    attempts.set(own, { ...seen, unfinishedCount: seen.unfinishedCount + 1, newestAt: later(seen.newestAt, startedAt) });
  }
  return { attempts, foreignCount };
}

const nothing = { objectCount: 0, sizeBytes: 0, unfinishedCount: 0, newestAt: new Date(0), isWhole: false };

function joined(seen: SeenAttempt, { key, sizeBytes, modifiedAt }: StoredObject): SeenAttempt {
  return {
    ...seen,
    objectCount: seen.objectCount + 1,
    sizeBytes: seen.sizeBytes + sizeBytes,
    newestAt: later(seen.newestAt, modifiedAt),
    isWhole: seen.isWhole || key === restoreNoteKey(seen.backup, seen.attempt),
  };
}

function later(one: Date, other: Date): Date {
  return one > other ? one : other;
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
  const name = nameOfAddedKey(key);
  if (name !== null) return key === addedKeyKey(backup, attempt, name);
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

/** Why an attempt without a manifest stays, whatever leases say; null when nothing speaks for it. */
async function reasonToStay(seen: SeenAttempt, { graceMs, now, journaled }: SweepRequest): Promise<string | null> {
  if (now().getTime() - seen.newestAt.getTime() <= graceMs) {
    return `the newest of it is from ${seen.newestAt.toISOString()}, within the grace period`;
  }
  return (await journaled()).has(seen.attempt) ? "the journal of an unfinished run on this host names it" : null;
}

/**
 * A lease that is held speaks for all attempts of its dataset. One that names an attempt speaks for that even when it has
 * run out, and one that cannot be read for any.
 */
async function leaseInTheWay(seen: SeenAttempt, { store, now, signal }: SweepRequest): Promise<string | null> {
  const key = leaseKey(datasetOf(seen.backup));
  const lease = await findLease(store, key, signal);
  if (lease === null) return null;
  const named = attemptIn(lease);
  if (named === undefined) return `the lease "${key}" cannot be read, and may name it`;
  if (named === seen.attempt) return `the lease "${key}" names it`;
  const expiryMs = expiryOf(lease, timing, { wallMs: () => now().getTime() });
  return expiryMs === null || expiryMs > now().getTime() ? `the lease "${key}" is held: a run is at work` : null;
}

/** The attempt a lease names; null for none, undefined when it cannot be read. */
function attemptIn({ record }: FoundLease): Attempt | null | undefined {
  if (record === null) return undefined;
  return record.attempt === null || /^[0-9a-f]{8}$/.test(record.attempt) ? record.attempt : undefined;
}

/** The last look before the first object goes. */
async function committedMeanwhile({ backup, attempt }: SeenAttempt, { store, signal }: SweepRequest): Promise<string | null> {
  try {
    return (await manifestOf(store, backup, { id: attempt, journal: null }, signal)) !== null ? "it was committed meanwhile" : null;
  } catch (error) {
    if (isZferryError(error, "manifest-invalid", "format-too-new")) return `the manifest "${manifestKey(backup)}" cannot be read, and may name it`;
    throw error;
  }
}

/**
 * Removes what zferry has stored under the prefix of an attempt, and nothing that others put beside it.
 *
 * @param spared - a key that stays
 * @returns how many objects
 * @throws whatever `throwIfOver` does, which is asked before each call that removes something; the store's codes
 */
export async function deleteOurs(
  store: Store,
  prefix: string,
  { signal, throwIfOver }: Pick<Guard, "signal" | "throwIfOver">,
  spared: ObjectKey | null = null,
): Promise<number> {
  let keys: ObjectKey[] = [];
  let count = 0;
  const flush = async (): Promise<void> => {
    throwIfOver();
    if (keys.length > 0) await store.delete(keys, { signal });
    count += keys.length;
    keys = [];
  };
  for await (const { key } of store.list(prefix, { signal })) {
    if (key !== spared && attemptOfKey(key) !== null) keys.push(key);
    if (keys.length === deleteBatch) await flush();
  }
  await flush();
  return count;
}
