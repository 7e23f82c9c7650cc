/** What `prune` is asked for and what it answers: the words its steps share. */
import type { KeepPolicy } from "../config/keep.ts";
import type { Event } from "../events.ts";
import type { BackupEntry } from "../format/entry.ts";
import type { Reason } from "../keep-rules.ts";
import type { Store } from "../store/store.ts";
import type { Zfs } from "../zfs/command.ts";
import type { SnapshotFacts } from "../zfs/inventory.ts";
import type { DatasetName } from "../zfs/names.ts";

/** One dataset, in one store and on the pool. */
export interface PruneRequest {
  /** Null where the pool is out of reach: then only the store is judged, and without what the pool knows of anchors. */
  readonly zfs: Zfs | null;
  readonly store: Store;
  readonly dataset: DatasetName;
  /** Null for a side that is left alone. */
  readonly keep: { readonly local: KeepPolicy | null; readonly store: KeepPolicy | null };
  readonly stateDir: string;
  /** How long the lease may go without a renewal; null for no lease (`alone.ts`). */
  readonly leaseMs: number | null;
  /** Only judge. */
  readonly isDryRun: boolean;
  readonly now: () => Date;
  readonly progress: { readonly warn: (text: string) => void };
  readonly signal: AbortSignal;
}

/** What became of a backup or a snapshot: `would-go` is a dry run's, `failed` what could not be removed. */
export type Fate = "stays" | "would-go" | "removed" | "failed";

export interface Pruned<T> {
  readonly subject: T;
  readonly fate: Fate;
  /** Why it stays; none for what goes. */
  readonly reasons: readonly Reason[];
  /** Why it could not be removed; null for all others. */
  readonly problem: string | null;
}

export interface PruneOutcome {
  /** Of the dataset in the store, ascending by the time of the snapshot; empty where the store is left alone. */
  readonly backups: readonly Pruned<BackupEntry>[];
  /** Snapshots of ours on the pool, ascending createTxg; empty where the pool is left alone. */
  readonly snapshots: readonly Pruned<SnapshotFacts>[];
  /** Manifests in the store that cannot be used, by key: they keep backups that they may need. */
  readonly unreadable: readonly string[];
}

/** What was removed, or could not be, as it is told to programs. */
export function removalsIn({ backups, snapshots }: PruneOutcome, storeUrl: string): readonly (Event & { readonly event: "removed" })[] {
  const all = [
    ...backups.map(({ subject, ...rest }) => ({ ...rest, what: "backup" as const, name: subject.backup, store: storeUrl })),
    ...snapshots.map(({ subject, ...rest }) => ({ ...rest, what: "snapshot" as const, name: subject.name, store: null })),
  ];
  return all.filter(({ fate }) => fate === "removed" || fate === "failed").map(({ what, name, store, problem }) => ({ event: "removed", what, name, store, problem }));
}

/** What a person must see to: names of what could not be removed, and of manifests that cannot be read. */
export function failuresIn({ backups, snapshots, unreadable }: PruneOutcome): readonly string[] {
  const failed = [...backups.map(({ fate, subject }) => [fate, subject.backup]), ...snapshots.map(({ fate, subject }) => [fate, subject.name])];
  return [...failed.filter(([fate]) => fate === "failed").map(([, name]) => name ?? ""), ...unreadable];
}
