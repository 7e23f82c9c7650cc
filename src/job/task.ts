/**
 * The words a run of jobs is told in: what is to be done for one dataset, what it is done with, and what it came to.
 */
import type { FerrySettings } from "../cargo.ts";
import type { JobSettings } from "../config/jobs.ts";
import { ZferryError } from "../errors.ts";
import type { FilesOutcome } from "../plain/copy-files.ts";
import type { Keyring } from "../openpgp/session.ts";
import type { PlanPolicy } from "../plan.ts";
import type { Store } from "../store/store.ts";
import type { BackupOutcome, BackupProgress } from "../voyage.ts";
import type { Zfs } from "../zfs/command.ts";
import type { CopyWorld } from "./copies.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";

/** One dataset of one job, tonight. */
export interface Task {
  readonly job: JobSettings;
  readonly dataset: DatasetName;
  /** An existing snapshot to store; null for a new one. */
  readonly snapshot: SnapshotName | null;
  /** Asked for by name and not a job: it waits for no other run, and prunes nothing. */
  readonly isAdHoc: boolean;
}

/** Where a job's backups go: its store, open, and how backups are packed for it. */
export interface Place {
  readonly store: Store;
  readonly settings: FerrySettings;
  /** How long a lease may go without a renewal; null for no lease. */
  readonly leaseMs: number | null;
  /** Parts in flight. */
  readonly concurrency: number;
  /** What opens what was stored before. */
  readonly readKeyring: () => Promise<Keyring>;
  close(): Promise<void>;
}

/** How the progress of one task is shown. */
export interface TaskProgress extends BackupProgress {
  /** No more of it. */
  end(): void;
}

/** What a run works with; the command line makes one of its session. */
export interface World extends CopyWorld {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isAbandoning: boolean;
  readonly zfsOf: (job: JobSettings) => Zfs;
  readonly policyOf: (job: JobSettings) => PlanPolicy;
  readonly openPlace: (job: JobSettings) => Promise<Place>;
  readonly progressOf: (task: Task) => TaskProgress;
  /** Called once for each task, as soon as it has come to its end. */
  readonly ended: (end: TaskEnd) => void;
  /** Called for each failure, of a dataset or of a job, in the order in which they happen. */
  readonly failed: (error: unknown) => void;
}

/** What became of a task. `skipped`: another run was at work on the dataset, and the job says not to wait for it. */
export type TaskResult =
  | { readonly kind: "backed-up"; readonly outcome: BackupOutcome }
  | { readonly kind: "files"; readonly outcome: FilesOutcome }
  | { readonly kind: "failed" | "skipped"; readonly error: unknown };

export interface TaskEnd {
  readonly task: Task;
  /** As the store calls itself; as the configuration calls it when it was never open. */
  readonly storeUrl: string;
  readonly startedAt: Date;
  readonly endedAt: Date;
  /** How long services were down for its snapshot, in milliseconds; null without hooks. */
  readonly downtimeMs: number | null;
  readonly result: TaskResult;
}

/** `job: dataset` where the job has several, and only its name where it has one. */
export function titleOf({ job, dataset }: Pick<Task, "job" | "dataset">): string {
  return job.datasets.length === 1 && (job.datasets[0] === dataset && !job.isRecursive) ? job.name : `${job.name}: ${dataset}`;
}

/** An error as history and notifications have it. */
export function toldError(error: unknown): { readonly code: string; readonly message: string; readonly hint: string | null } {
  if (error instanceof ZferryError) return { code: error.code, message: error.message, hint: error.hint };
  return { code: "bug", message: error instanceof Error ? error.message : String(error), hint: null };
}
