/**
 * The decision of a night: a full, an incremental, or nothing, and why. Pure: it looks at facts and runs nothing.
 *
 * An incremental is always taken against the anchor, the latest full in this store whose snapshot (or bookmark) still
 * exists on the pool, recognised by guid and never by name.
 */
import { type BackupEntry, byAge } from "./format/entry.ts";
import type { BookmarkName, Guid, SnapshotName } from "./zfs/names.ts";

/** What exists on the pool and can be an incremental's base. */
export interface BaseCandidate {
  readonly kind: "snapshot" | "bookmark";
  readonly name: SnapshotName | BookmarkName;
  readonly guid: Guid;
  readonly createTxg: bigint;
}

export interface PlanFacts {
  /** This dataset's backups in the store. */
  readonly backups: readonly BackupEntry[];
  /** Snapshots and bookmarks of the dataset on the pool. */
  readonly onPool: readonly BaseCandidate[];
  /** Guid of the anchor as the state file remembers it; null when it remembers none. */
  readonly rememberedAnchor: Guid | null;
  /** An existing snapshot to send; null when a new one will be made. */
  readonly target: { readonly name: SnapshotName; readonly guid: Guid; readonly createTxg: bigint } | null;
  /** Flags `zfs send` will be given. */
  readonly flags: readonly string[];
  readonly now: Date;
}

export interface PlanPolicy {
  readonly ask: "auto" | "full" | "incremental";
  readonly fullEveryMs: number | null;
}

export type Plan =
  | { readonly kind: "full"; readonly reason: string }
  | { readonly kind: "incremental"; readonly reason: string; readonly anchor: BackupEntry; readonly base: BaseCandidate }
  | { readonly kind: "nothing"; readonly reason: string };

/** `--incremental` asks for what `auto` would do but for the age of the anchor; a full is made when there is no way. */
export function planBackup(facts: PlanFacts, policy: PlanPolicy): Plan {
  const stored = facts.target === null ? undefined : facts.backups.find(({ guid }) => guid === facts.target?.guid);
  if (stored !== undefined) return { kind: "nothing", reason: `this snapshot is in the store as "${stored.backup}"` };
  if (policy.ask === "full") return { kind: "full", reason: "asked for" };

  const fulls = facts.backups.filter(({ kind, streamKind }) => kind === "full" && streamKind === "single").sort(byAge);
  const anchor = fulls.at(-1);
  if (facts.rememberedAnchor !== null && !fulls.some(({ guid }) => guid === facts.rememberedAnchor)) {
    return { kind: "full", reason: "the manifest of the anchor is missing in the store" };
  }
  if (anchor === undefined) return { kind: "full", reason: "there is no full backup in the store yet" };
  const ageMs = facts.now.getTime() - anchor.createdAt.getTime();
  if (policy.ask === "auto" && policy.fullEveryMs !== null && ageMs >= policy.fullEveryMs) {
    return { kind: "full", reason: `the anchor "${anchor.backup}" is ${days(ageMs)} old, the limit is ${days(policy.fullEveryMs)}` };
  }
  if (anchor.flags === null) {
    return { kind: "full", reason: `the anchor "${anchor.backup}" was stored by put, so the flags it was sent with are not known` };
  }
  if (!sameFlags(anchor.flags, facts.flags)) {
    const [then, now] = [anchor.flags, facts.flags].map((flags) => `"${flags.join(" ")}"`);
    return { kind: "full", reason: `the anchor was sent with ${then}, now it would be ${now}, and flags are constant along an anchor's life` };
  }
  const base = baseOf(anchor, facts);
  if (base === undefined) {
    return { kind: "full", reason: `the anchor "${anchor.backup}" has neither snapshot nor bookmark on the pool any more` };
  }
  if (facts.target !== null && base.createTxg >= facts.target.createTxg) {
    return { kind: "full", reason: `the snapshot is older than the anchor "${anchor.backup}"` };
  }
  const from = base.kind === "snapshot" ? `the anchor "${anchor.backup}"` : `the bookmark "${base.name}" of the anchor, whose snapshot is gone`;
  return { kind: "incremental", reason: `against ${from}`, anchor, base };
}

/** The anchor on the pool: its snapshot, or else a bookmark of it. */
function baseOf(anchor: BackupEntry, { onPool }: PlanFacts): BaseCandidate | undefined {
  const same = onPool.filter(({ guid }) => guid === anchor.guid);
  return same.find(({ kind }) => kind === "snapshot") ?? same[0];
}

function sameFlags(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join(" ") === [...b].sort().join(" ");
}

function days(ms: number): string {
  const count = (ms / 86_400_000).toFixed(1).replace(/\.0$/, "");
  return count === "1" ? "1 day" : `${count} days`;
}
