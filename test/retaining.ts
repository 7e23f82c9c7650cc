/** Backups and facts for the tests of what is kept. */
import type { KeepPolicy } from "../src/config/keep.ts";
import type { BackupEntry } from "../src/format/entry.ts";
import type { BackupFacts, Verdict } from "../src/retention.ts";
import { type Guid, parseDatasetName, parseSnapshotName, type SnapshotName } from "../src/zfs/names.ts";
import { backupEntry } from "./entries.ts";

export const noRules: KeepPolicy = { last: 0, withinMs: null, daily: 0, weekly: 0, monthly: 0, yearly: 0, fulls: 0 };

export interface Sketch {
  /** `tank/home@name`, or what follows the `@` of `tank/home`. */
  readonly name: string;
  readonly at: string | Date;
  readonly guid?: number;
  /** Guid of the base; a full when left out. */
  readonly on?: number;
}

/** A backup of the dataset `tank/home`, with a guid of its own unless one is given. */
export function sketched({ name, at, guid = numberOf(name), on }: Sketch): BackupEntry {
  const base = on === undefined ? null : { guid: BigInt(on) as Guid, backup: null };
  return backupEntry({ backup: named(name), guid: BigInt(guid) as Guid, createdAt: new Date(at), base });
}

export function named(name: string): SnapshotName {
  return parseSnapshotName(name.includes("@") ? name : `tank/home@${name}`);
}

function numberOf(name: string): number {
  return Number.parseInt(Buffer.from(name).toString("hex").slice(-12), 16);
}

export function factsOf(backups: readonly BackupEntry[], facts: Partial<BackupFacts> = {}): BackupFacts {
  return {
    dataset: parseDatasetName("tank/home"),
    backups,
    unreadable: [],
    verified: new Map(),
    guarded: new Map(),
    anchors: new Set(),
    now: new Date("2030-01-01T00:00Z"),
    ...facts,
  };
}

/** The names of what stays, after the `@` for `tank/home`. */
export function staying(verdicts: readonly Verdict<BackupEntry>[]): string[] {
  return verdicts.filter(({ reasons }) => reasons.length > 0).map(({ subject }) => subject.backup.replace("tank/home@", ""));
}

/** The texts of one backup's reasons. */
export function whyStays(verdicts: readonly Verdict<BackupEntry>[], name: string): string[] {
  return verdicts.find(({ subject }) => subject.backup === named(name))?.reasons.map(({ text }) => text) ?? [];
}
