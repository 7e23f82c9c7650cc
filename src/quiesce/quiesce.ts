/**
 * Services down for the moment of the snapshot only, and always up again (docs/quiesce.md).
 */
import type { HookSettings } from "../config/hooks.ts";
import { ZferryError } from "../errors.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";

/** What is about to be snapshotted, told to the hooks. */
export interface QuiesceSubject {
  readonly jobs: readonly string[];
  readonly datasets: readonly DatasetName[];
  readonly snapshots: readonly SnapshotName[];
}

export interface QuiesceRequest {
  /** In the order in which they are gone through before the snapshot; the way back is the reverse. */
  readonly hooks: readonly HookSettings[];
  readonly subject: QuiesceSubject;
  readonly stateDir: string;
  /** Of which the hooks get a short list of variables, none of them a secret's. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  /** Aborting ends a before-hook that runs; the after-hooks that are owed are run all the same. */
  readonly signal: AbortSignal;
}

export interface Quiesced<T> {
  readonly value: T;
  /** From the start of the first before-hook to the end of the last after-hook; null without hooks. */
  readonly downtimeMs: number | null;
  /** `hook-failed` of each after-hook that failed to the last; `zferry recover` goes on trying. */
  readonly failures: readonly ZferryError[];
}

/**
 * Runs the before-hooks, then `work`, then the after-hooks of all that began, in reverse order; returns when they are done.
 *
 * @param work - takes the snapshot. Its signal aborts with the request's, and when the services were started again
 * without waiting for it any longer
 * @throws ZferryError `hook-failed` when a before-hook failed or timed out, and `work` was not begun; whatever `work` throws
 */
export async function quiesced<T>(request: QuiesceRequest, work: (signal: AbortSignal) => Promise<T>): Promise<Quiesced<T>> {
  request.signal.throwIfAborted();
  if (request.hooks.length > 0) throw new ZferryError("hook-failed", "hooks are not run by this version");
  return { value: await work(request.signal), downtimeMs: null, failures: [] };
}
