/**
 * The store's side: judges the backups of a dataset and removes what may go, each after a fresh look.
 *
 * The judgement itself is pure (`retention.ts`); here is where its facts come from, and what happens when a removal is
 * refused: that backup stays then, and so does the full it needs.
 */
import type { Guard } from "../alone.ts";
import type { Catalog } from "../catalog.ts";
import { isZferryError } from "../errors.ts";
import { type BackupEntry, byAge, datasetOfEntry } from "../format/entry.ts";
import { manifestKey } from "../format/layout.ts";
import type { Reason } from "../keep-rules.ts";
import { type BackupFacts, inOrderOfRemoval, judgeBackups, type Unreadable, type Verdict } from "../retention.ts";
import { expectNoMore, forgetManifests, updateStoreState } from "../state.ts";
import { type LastVerified, lastVerified } from "../verified.ts";
import type { DatasetFacts } from "../zfs/inventory.ts";
import { type Guid, parseGuid, type SnapshotName } from "../zfs/names.ts";
import { type LockOf, locksIn } from "./locks.ts";
import { type Memory, removeBackup } from "./remove.ts";
import type { Pruned, PruneRequest } from "./request.ts";
import { lookAgain, type Sight, without } from "./sight.ts";

export interface Scene {
  readonly sight: Sight;
  /** Null where the pool is out of reach, or has no such dataset. */
  readonly pool: DatasetFacts | null;
  /** Null for a dry run. */
  readonly guard: Guard | null;
  /** The one moment that everything is judged at. */
  readonly now: Date;
  /** Called with each name that is gone, as soon as it is. */
  readonly onRemoved: (name: SnapshotName) => void;
}

/** @throws ZferryError the store's codes: what was removed until then is gone, and the rest is whole */
export async function pruneBackups(request: PruneRequest, scene: Scene): Promise<readonly Pruned<BackupEntry>[]> {
  const judge = judging(request, scene, await locksIn(request));
  const first = await judge(scene.sight, new Set());
  if (scene.guard === null) return first.map((verdict) => pruned(verdict, "would-go"));
  const { tried, last } = await removeAll(request, { ...scene, guard: scene.guard }, judge, first);
  const triedNames = new Set(tried.map(({ subject }) => subject.backup));
  const rest = last.filter(({ subject }) => !triedNames.has(subject.backup)).map((verdict) => pruned(verdict, "stays"));
  return [...tried, ...rest].sort((a, b) => byAge(a.subject, b.subject));
}

function pruned<T>({ subject, reasons }: Verdict<T>, otherwise: "would-go" | "stays"): Pruned<T> {
  return { subject, fate: reasons.length > 0 ? "stays" : otherwise, reasons, problem: null };
}

/** @param stuck - could not be removed */
type Judge = (sight: Sight, stuck: ReadonlySet<SnapshotName>) => Promise<readonly Verdict<BackupEntry>[]>;

/** Judges, and judges again while locks are found on what would go: a lock on an incremental keeps its full. */
function judging({ dataset, keep }: PruneRequest, { pool, now }: Scene, lockOf: LockOf): Judge {
  return async ({ catalog }, stuck) => {
    const guarded = new Map<SnapshotName, readonly Reason[]>(newestOnPool(catalog, dataset, pool));
    for (const backup of stuck) guarded.set(backup, [{ kind: "held", text: "could not be removed" }]);
    for (;;) {
      const facts: BackupFacts = {
        dataset,
        backups: catalog.backups,
        unreadable: unreadableIn(catalog),
        verified: verifiedIn(catalog),
        guarded,
        anchors: anchorsIn(catalog, dataset, pool),
        now,
      };
      const verdicts = judgeBackups(facts, keep.store);
      const before = guarded.size;
      for (const entry of inOrderOfRemoval(verdicts, catalog.backups)) {
        const lock = await lockOf(entry);
        if (lock !== null) guarded.set(entry.backup, [lock]);
      }
      if (guarded.size === before) return verdicts;
    }
  };
}

interface Tried {
  /** Removed, or not for want of a right. */
  readonly tried: readonly Pruned<BackupEntry>[];
  readonly last: readonly Verdict<BackupEntry>[];
}

async function removeAll(request: PruneRequest, { sight, guard, onRemoved }: Scene & { readonly guard: Guard }, judge: Judge, first: readonly Verdict<BackupEntry>[]): Promise<Tried> {
  const tried: Pruned<BackupEntry>[] = [];
  const stuck = new Set<SnapshotName>();
  let now = sight;
  let verdicts = first;
  let pending = [...inOrderOfRemoval(verdicts, now.catalog.backups)];
  const judgeAnew = async (): Promise<void> => {
    verdicts = await judge(now, stuck);
    pending = [...inOrderOfRemoval(verdicts, now.catalog.backups)];
  };
  while (pending.length > 0) {
    const before = now;
    now = await lookAgain(request, before);
    if (now !== before) await judgeAnew();
    const next = pending.shift();
    if (next === undefined) break;
    const problem = await tryToRemove(request, guard, next);
    tried.push({ subject: next, fate: problem === null ? "removed" : "failed", reasons: [], problem });
    if (problem === null) {
      onRemoved(next.backup);
      now = without(now, next.backup);
    } else {
      stuck.add(next.backup);
      await judgeAnew();
    }
  }
  return { tried, last: verdicts };
}

/** Null when it is gone, otherwise why it may not be removed. */
async function tryToRemove(request: PruneRequest, guard: Guard, entry: BackupEntry): Promise<string | null> {
  try {
    await removeBackup({ ...request, guard }, entry, memoryOf(request));
    return null;
  } catch (error) {
    if (!isZferryError(error, "store-denied")) throw error;
    request.progress.warn(`cannot remove ${entry.backup}: ${error.message}`);
    return error.message;
  }
}

/** The state file, so that `verify` does not miss what is removed. */
export function memoryOf({ stateDir, store }: Pick<PruneRequest, "stateDir" | "store">): Memory {
  const changing = (change: typeof forgetManifests) => (backup: SnapshotName) =>
    updateStoreState(stateDir, store.url, (state) => {
      change(state, new Set([manifestKey(backup)]));
    });
  return { expectNoMore: changing(expectNoMore), forget: changing(forgetManifests) };
}

function unreadableIn({ damaged, remembered }: Catalog): readonly Unreadable[] {
  const known = { ...remembered.lost, ...remembered.manifests };
  return damaged.map(({ key }) => ({ key, entry: Object.hasOwn(known, key) ? (known[key]?.entry ?? null) : null }));
}

function verifiedIn({ backups, manifests, remembered }: Catalog): ReadonlyMap<SnapshotName, LastVerified> {
  const results = new Map<SnapshotName, LastVerified>();
  for (const { backup } of backups) {
    const key = manifestKey(backup);
    const last = lastVerified(remembered.verified?.[key], manifests.get(key)?.etag ?? null);
    if (last !== null) results.set(backup, last);
  }
  return results;
}

/** The anchor the state file remembers, and the full that the pool took last: `plan.ts` goes by both. */
function anchorsIn({ backups, remembered }: Catalog, dataset: string, pool: DatasetFacts | null): ReadonlySet<Guid> {
  const anchor = Object.hasOwn(remembered.anchors, dataset) ? remembered.anchors[dataset] : undefined;
  const fulls = new Set(backups.filter((entry) => entry.kind === "full" && datasetOfEntry(entry) === dataset).map(({ guid }) => guid));
  const latest = guidsOn(pool).findLast((guid) => fulls.has(guid));
  return new Set([...(anchor === undefined ? [] : [parseGuid(anchor.guid)]), ...(latest === undefined ? [] : [latest])]);
}

/** Of what is stored of the dataset, what the pool took last: a clock that was behind makes it look old. */
function newestOnPool({ backups }: Catalog, dataset: string, pool: DatasetFacts | null): (readonly [SnapshotName, readonly Reason[]])[] {
  const own = backups.filter((entry) => datasetOfEntry(entry) === dataset); // a replica has the same guids
  const stored = new Map(own.map(({ guid, backup }) => [guid, backup]));
  const newest = guidsOn(pool).findLast((guid) => stored.has(guid));
  const backup = newest === undefined ? undefined : stored.get(newest);
  return backup === undefined ? [] : [[backup, [{ kind: "newest", text: "newest on the pool" }]]];
}

/** In the order the pool made them. */
function guidsOn(pool: DatasetFacts | null): readonly Guid[] {
  const all = [...(pool?.snapshots ?? []), ...(pool?.bookmarks ?? [])];
  return all.sort((a, b) => (a.createTxg < b.createTxg ? -1 : 1)).map(({ guid }) => guid);
}
