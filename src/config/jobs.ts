/**
 * A job as the program works with it: its own settings over the defaults of the file over those of the program.
 */
import type { CopySettings } from "./copies.ts";
import { type FilesSettings, targetOf } from "./files.ts";
import type { HookSettings } from "./hooks.ts";
import type { KeepPolicy } from "./keep.ts";
import { defaultSettings, type JobInput, type SharedInput } from "./schema.ts";
import type { DatasetName } from "../zfs/names.ts";

/** What holds for a job, and for commands without one. */
export interface SharedSettings {
  readonly chunkBytes: number;
  /** Age of the anchor at which a new full is made; null for never. */
  readonly fullEveryMs: number | null;
  /** Share of the full (0.5 for half of it) beyond which an incremental becomes a new full; null for never. */
  readonly fullWhenIncrementalExceeds: number | null;
  readonly snapshotPrefix: string;
  readonly zfs: readonly [string, ...string[]];
  readonly hooks: readonly HookSettings[];
  /** How long hooks may keep services down before it is told; null for any time. */
  readonly maxDowntimeMs: number | null;
  /** Null for a side that is never pruned. */
  readonly keep: { readonly local: KeepPolicy | null; readonly store: KeepPolicy | null };
  /** Where else backups go, in the order in which they are copied there. */
  readonly copies: readonly CopySettings[];
  readonly prune: "never" | "after_backup";
  /** How often a run is expected. */
  readonly everyMs: number;
  /** Age of the last success from which on the job is overdue. */
  readonly overdueAfterMs: number;
  /**
   * Of trial restores: the dataset below which to restore, null for a pool in a file; how many files are read; and whether the
   * file speaks of them, so that a timer is to make them.
   */
  readonly drill: { readonly into: DatasetName | null; readonly sampleCount: number; readonly isTimed: boolean };
  /** When another run of the same dataset is at work. */
  readonly whenRunning: "queue" | "skip";
  readonly isEnabled: boolean;
  readonly disabledWarningMs: number;
}

/** Which datasets, where they go, and all that is done around it. */
export interface JobSettings extends SharedSettings {
  readonly name: string;
  /** Names and globs, at least one (`globs.ts`). */
  readonly datasets: readonly string[];
  readonly exclude: readonly string[];
  /** Takes in what is below `datasets`. */
  readonly isRecursive: boolean;
  /** Jobs of one group share one quiesce and one atomic snapshot. */
  readonly group: string | null;
  /** A name under `stores`, or a URL; of a job of files whose engine is a program what they go to, for people only (`targetOf`). */
  readonly store: string;
  /** How files are copied, in place of backups of streams; null for a job of streams. */
  readonly files: FilesSettings | null;
}

/** @param own - goes before `common`, member by member; of `keep`, side by side */
export function sharedSettings(own: SharedInput, common: SharedInput): SharedSettings {
  const input = { ...common, ...own };
  const everyMs = input.every ?? defaultSettings.everyMs;
  return {
    chunkBytes: input.chunk_size ?? defaultSettings.chunkBytes,
    fullEveryMs: input.full_every === undefined ? defaultSettings.fullEveryMs : input.full_every,
    fullWhenIncrementalExceeds: input.full_when_incremental_exceeds ?? null,
    snapshotPrefix: input.snapshot_prefix ?? defaultSettings.snapshotPrefix,
    zfs: input.zfs ?? defaultSettings.zfs,
    hooks: input.hooks ?? [],
    maxDowntimeMs: input.max_downtime ?? null,
    keep: { local: keepFor("local", own, common), store: keepFor("store", own, common) },
    copies: input.copies ?? [],
    prune: input.prune ?? "never",
    everyMs,
    overdueAfterMs: input.overdue_after ?? everyMs * defaultSettings.overdueFactor,
    drill: { into: input.drill?.into ?? null, sampleCount: input.drill?.sample ?? defaultSettings.drillSample, isTimed: input.drill !== undefined },
    whenRunning: input.when_running ?? "queue",
    isEnabled: input.enabled ?? true,
    disabledWarningMs: input.disabled_warning_after ?? defaultSettings.disabledWarningMs,
  };
}

/** @param store - the one it uses when it names none */
export function jobSettings(name: string, own: JobInput, { common, store }: { common: SharedInput; store: string }): JobSettings {
  return {
    ...sharedSettings(own, common),
    ...(own.files === undefined ? {} : { keep: { local: null, store: null }, prune: "never" as const, copies: [] }), // its snapshots go with its runs
    name,
    datasets: own.datasets ?? (own.dataset === undefined ? [] : [own.dataset]),
    exclude: own.exclude ?? [],
    isRecursive: own.recursive ?? false,
    group: own.group ?? null,
    store: own.files === undefined ? store : targetOf(own.files, store),
    files: own.files ?? null,
  };
}

/** The jobs that have backups in a store. */
export function jobsOfStreams(jobs: Iterable<JobSettings>): readonly JobSettings[] {
  return [...jobs].filter(({ files }) => files === null);
}

/** A job that says null for a side has none, whatever the defaults say. */
function keepFor(side: "local" | "store", own: SharedInput, common: SharedInput): KeepPolicy | null {
  const ownPolicy = own.keep?.[side];
  return ownPolicy === undefined ? (common.keep?.[side] ?? null) : ownPolicy;
}
