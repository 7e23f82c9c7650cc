/**
 * What a store holds of one dataset, as far as this host remembers it: from the state file, without asking the store.
 */
import { chainTo } from "../format/chain.ts";
import { type BackupEntry, byAge, datasetOfEntry } from "../format/entry.ts";
import type { StoreState } from "../state.ts";
import { type LastVerified, lastVerified, type VerifyResults } from "../verified.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";

export interface Held {
  /** As people call the store: its name in the configuration, otherwise its URL. */
  readonly store: string;
  readonly storeUrl: string;
  readonly backupCount: number;
  readonly storedBytes: number;
  /** When the snapshot of the oldest and of the newest backup was taken that can be restored; null for none. */
  readonly oldestRestorableAt: Date | null;
  readonly newestRestorableAt: Date | null;
  /** The newest backup, restorable or not. */
  readonly newest: BackupEntry | null;
  /** The last result to show of the newest backup that was verified; null for never. */
  readonly verified: LastVerified | null;
  /** When a backup was last read to its last byte or received, and nothing was found; null for never. */
  readonly restoreVerifiedAt: Date | null;
  /** Backups in which verify has found something. */
  readonly damaged: readonly SnapshotName[];
  /** Backups that were seen once, were not removed by this host, and are gone or are others now. */
  readonly lostCount: number;
}

/** Levels at which every byte is decrypted and parsed, as a restore does it. */
const asRestored = ["stream", "receive"] as const;

/** A backup, and the manifest that it was read from. */
interface Kept {
  readonly key: string;
  readonly etag: string;
  readonly entry: BackupEntry;
}

/** Entries of a store, looked through once for all of its datasets: whoever asks a server often has it done often. */
export interface KnownStore {
  readonly store: string;
  readonly state: StoreState;
  /** Ascending by age. */
  readonly backups: readonly BackupEntry[];
  /** The same by their datasets. */
  readonly keptOf: ReadonlyMap<DatasetName, readonly Kept[]>;
}

export function knownStore(state: StoreState, store: string): KnownStore {
  const kept = Object.entries(state.manifests).map(([key, { etag, entry }]): Kept => ({ key, etag, entry })).sort((a, b) => byAge(a.entry, b.entry));
  const keptOf = new Map<DatasetName, Kept[]>();
  for (const one of kept) {
    const dataset = datasetOfEntry(one.entry);
    const others = keptOf.get(dataset);
    if (others === undefined) keptOf.set(dataset, [one]);
    else others.push(one);
  }
  return { store, state, backups: kept.map(({ entry }) => entry), keptOf };
}

/** Of one dataset, ascending by age. */
export function entriesOf({ keptOf }: KnownStore, dataset: DatasetName): readonly BackupEntry[] {
  return (keptOf.get(dataset) ?? []).map(({ entry }) => entry);
}

export function heldOf({ store, state, backups, keptOf }: KnownStore, dataset: DatasetName): Held {
  const own = keptOf.get(dataset) ?? [];
  const results = own.map(({ key, etag, entry }) => ({ entry, etag, all: resultsOf(state, key) })).reverse();
  const verified = results.map(({ entry, etag, all }) => ({ entry, last: lastVerified(all, etag) }));
  const restorable = own.map(({ entry }) => entry).filter((entry) => typeof chainTo(entry, { backups }) !== "string");
  const lost = Object.values(state.lost ?? {}).filter(({ entry }) => datasetOfEntry(entry) === dataset);
  return {
    store,
    storeUrl: state.url,
    backupCount: own.length,
    storedBytes: own.reduce((sum, { entry }) => sum + entry.messageBytes, 0),
    oldestRestorableAt: restorable[0]?.createdAt ?? null,
    newestRestorableAt: restorable.at(-1)?.createdAt ?? null,
    newest: results[0]?.entry ?? null,
    verified: verified.find(({ last }) => last !== null)?.last ?? null,
    restoreVerifiedAt: latest(results.flatMap(({ etag, all }) => asRestored.map((level) => goodAt(all, level, etag)))),
    damaged: verified.filter(({ last }) => last?.ok === false).map(({ entry }) => entry.backup),
    lostCount: lost.length,
  };
}

function resultsOf({ verified }: StoreState, key: string): VerifyResults | undefined {
  return verified !== undefined && Object.hasOwn(verified, key) ? verified[key] : undefined;
}

function goodAt(results: VerifyResults | undefined, level: (typeof asRestored)[number], etag: string): Date | null {
  const result = results?.[level];
  return result?.etag === etag && result.findingCount === 0 ? result.at : null;
}

/** The latest of some times; null for none. */
export function latest(times: readonly (Date | null)[]): Date | null {
  const known = times.flatMap((time) => (time === null ? [] : [time.getTime()]));
  return known.length === 0 ? null : new Date(known.reduce((one, other) => Math.max(one, other)));
}
