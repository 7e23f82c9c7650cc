/**
 * Which backups are to be copied: what the target's policy would keep, if it had all that both stores have. Pure.
 */
import type { KeepPolicy } from "../config/keep.ts";
import { chainTo } from "../format/chain.ts";
import { type BackupEntry, byAge, datasetOfEntry } from "../format/entry.ts";
import { judgeBackups } from "../retention.ts";
import type { DatasetName } from "../zfs/names.ts";

export interface Sides {
  readonly dataset: DatasetName;
  /** Of all datasets: a base may have been stored under another dataset's name. */
  readonly source: readonly BackupEntry[];
  readonly target: readonly BackupEntry[];
  /** Null for everything. */
  readonly keep: KeepPolicy | null;
  readonly now: Date;
}

export interface Wanted {
  /** Anchors before what starts from them, then by age. */
  readonly missing: readonly BackupEntry[];
  /** What is to be in the target, and is. */
  readonly kept: readonly BackupEntry[];
  /** Backups of the dataset in the source that are in the target under the same name. */
  readonly thereCount: number;
  /** Those that the policy would not keep. */
  readonly unwantedCount: number;
  /** In the source, with why: their base is in neither store, so a copy of them would be of no use. */
  readonly unrestorable: readonly { readonly entry: BackupEntry; readonly why: string }[];
}

/** A name stands for one backup: where both stores have it, the target's counts, and whether they are the same is asked later. */
export function wantedOf({ dataset, source, target, keep, now }: Sides): Wanted {
  const there = new Set(target.map(({ backup }) => backup));
  const all = [...target, ...source.filter(({ backup }) => !there.has(backup))].sort(byAge);
  const own = source.filter((entry) => datasetOfEntry(entry) === dataset);
  const candidates = own.filter(({ backup }) => !there.has(backup));
  const unrestorable = candidates.flatMap((entry) => {
    const chain = chainTo(entry, { backups: all });
    return typeof chain === "string" ? [{ entry, why: chain }] : [];
  });
  const lost = new Set(unrestorable.map(({ entry }) => entry));
  const backups = all.filter((entry) => !lost.has(entry));
  const facts = { dataset, backups, unreadable: [], verified: new Map(), guarded: new Map(), anchors: new Set<never>(), now };
  const kept = judgeBackups(facts, keep).filter(({ reasons }) => reasons.length > 0).map(({ subject }) => subject);
  const stepsTo = (entry: BackupEntry): readonly BackupEntry[] => {
    const chain = chainTo(entry, { backups: all });
    return typeof chain === "string" ? [] : chain;
  };
  const steps = new Set(kept.flatMap(stepsTo));
  const missing = new Set([...steps].filter(({ backup }) => !there.has(backup)));
  const depths = new Map([...missing].map((entry) => [entry, stepsTo(entry).length]));
  return {
    missing: [...missing].sort((a, b) => (depths.get(a) ?? 0) - (depths.get(b) ?? 0) || byAge(a, b)),
    kept: [...steps].filter(({ backup }) => there.has(backup)),
    thereCount: own.length - candidates.length,
    unwantedCount: candidates.filter((entry) => !lost.has(entry) && !missing.has(entry)).length,
    unrestorable,
  };
}
