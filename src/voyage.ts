/**
 * What `backup` is asked for, what it finds, and one backup on its way: the words its steps share.
 */
import type { Attempt } from "./attempt.ts";
import type { FerryProgress, FerrySettings } from "./cargo.ts";
import type { Catalog } from "./catalog.ts";
import type { Manifest } from "./format/manifest.ts";
import type { BaseCandidate, Plan, PlanPolicy } from "./plan.ts";
import type { Store } from "./store/store.ts";
import type { Zfs } from "./zfs/command.ts";
import type { DatasetFacts, SnapshotFacts } from "./zfs/inventory.ts";
import type { DatasetName, SnapshotName } from "./zfs/names.ts";

export interface BackupRequest {
  readonly zfs: Zfs;
  readonly store: Store;
  readonly dataset: DatasetName;
  /** An existing snapshot to store, or null to take a new one. */
  readonly snapshot: SnapshotName | null;
  /** `snapshot` was taken for this backup, and its intent is noted (`taken.ts`): a failed backup destroys it, or leaves that to whoever took it. */
  readonly isOwnSnapshot: boolean;
  readonly snapshotPrefix: string;
  readonly policy: PlanPolicy;
  readonly settings: FerrySettings;
  readonly stateDir: string;
  /** How long the lease may go without a renewal; null for no lease (`alone.ts`). */
  readonly leaseMs: number | null;
  /** Give up an unfinished run instead of going on with it. */
  readonly isAbandoning: boolean;
  /** Only decide. */
  readonly isDryRun: boolean;
  readonly now: () => Date;
  readonly progress: BackupProgress;
  readonly signal: AbortSignal;
}

export interface BackupProgress extends FerryProgress {
  readonly onPlan: (plan: Plan) => void;
  /** How long the stream may become, in bytes; a hint that can be half of the truth, or null. */
  readonly onEstimate: (bytes: number | null) => void;
}

/** `manifest` is null when nothing was stored: nothing to send, or a dry run. */
export interface BackupOutcome {
  readonly plan: Plan;
  readonly manifest: Manifest | null;
}

/** What is there tonight: on the pool, and in the store. */
export interface Scene {
  readonly dataset: DatasetFacts;
  readonly catalog: Catalog;
  /** What `zfs send` will be given. */
  readonly flags: readonly string[];
}

/** One backup on its way. */
export interface Voyage {
  /** With base and backup: replaced when the incremental turns out to be none that may be taken. */
  plan: Plan;
  readonly target: SnapshotFacts;
  base: BaseCandidate | null;
  baseBackup: SnapshotName | null;
  readonly flags: readonly string[];
  /** Whether this run has taken the snapshot, and so may destroy it. */
  readonly isOwnSnapshot: boolean;
  readonly settings: FerrySettings;
  /** Whether something may have been sent: from then on a failure of the store leaves the run to be gone on with. */
  isUnderWay: boolean;
  /** Replaced when the stream turns out to be another one than before. */
  attempt: Attempt;
}
