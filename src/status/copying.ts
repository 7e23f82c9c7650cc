/**
 * How far a copy of a job is behind: pure, from what was noted of copies and runs, and what is remembered of both stores.
 */
import type { CopyRecord } from "../copy-history.ts";
import type { RunRecord } from "../history.ts";
import type { DatasetName } from "../zfs/names.ts";
import { entriesOf, type KnownStore, latest } from "./held.ts";

export interface Copying {
  /** As the job calls the store. */
  readonly store: string;
  /** Null when none was ever made here. */
  readonly lastRun: CopyRecord | null;
  readonly lastSuccessAt: Date | null;
  /** When the oldest backup was made that is newer than all that the copy has; null when it has the newest. */
  readonly waitingSince: Date | null;
}

export interface CopyEvidence {
  readonly dataset: DatasetName;
  readonly store: string;
  /** Of this job, dataset and store, ascending by their start. */
  readonly records: readonly CopyRecord[];
  /** Of this job and dataset, ascending by their start: they know of backups that were pruned since. */
  readonly runs: readonly RunRecord[];
  /** The job's own store, and the copy's; null for one that nothing is remembered of. */
  readonly source: KnownStore | null;
  readonly target: KnownStore | null;
}

export function copyingOf({ dataset, store, records, runs, source, target }: CopyEvidence): Copying {
  const made = timesIn(source, dataset);
  const newest = latest(timesIn(target, dataset));
  const isNewer = (at: Date): boolean => newest === null || at > newest;
  const waiting = made.filter(isNewer);
  const runsSince = runs.filter(({ outcome, startedAt }) => outcome === "stored" && isNewer(startedAt)).map(({ startedAt }) => startedAt);
  return {
    store,
    lastRun: records.at(-1) ?? null,
    lastSuccessAt: latest(records.filter(({ outcome }) => outcome !== "failed").map(({ endedAt }) => endedAt)),
    waitingSince: waiting.length === 0 ? null : earliest([...waiting, ...runsSince]),
  };
}

/** Of the snapshots whose backups the store holds. */
function timesIn(store: KnownStore | null, dataset: DatasetName): Date[] {
  return store === null ? [] : entriesOf(store, dataset).map(({ createdAt }) => createdAt);
}

function earliest(times: readonly Date[]): Date {
  return times.reduce((one, other) => (other < one ? other : one));
}
