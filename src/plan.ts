/**
 * The decision of a night: a full, an incremental, or nothing, and why. Pure: it looks at facts and runs nothing.
 *
 * An incremental is always taken against the anchor, the latest full in this store, whose snapshot (or bookmark) must still
 * exist on the pool, recognised by guid and never by name. Which one is the latest the pool says, which counts its own
 * transaction groups; clocks, which may have been wrong, are asked only about what is gone from it.
 */
import { formatSize } from "./bytes.ts";
import { type BackupEntry, byAge } from "./format/entry.ts";
import { isAhead } from "./keep-rules.ts";
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
  /** Age of the anchor at which a new full is made; null for never. */
  readonly fullEveryMs: number | null;
  /**
   * Part of the anchor's size in the store, 0.5 for half of it: once an incremental against it was larger, a new full is
   * made; null for never. Sizes in the store, because they are what is paid for and fetched again.
   */
  readonly fullWhenIncrementalExceeds: number | null;
}

export type Plan =
  | { readonly kind: "full"; readonly reason: string }
  | { readonly kind: "incremental"; readonly reason: string; readonly anchor: BackupEntry; readonly base: BaseCandidate }
  | { readonly kind: "nothing"; readonly reason: string };

/** `--incremental` asks for what `auto` would do but for the anchor's age and size; a full is made when there is no way. */
export function planBackup(facts: PlanFacts, policy: PlanPolicy): Plan {
  const stored = facts.target === null ? undefined : facts.backups.find(({ guid }) => guid === facts.target?.guid);
  if (stored !== undefined) return { kind: "nothing", reason: `this snapshot is in the store as "${stored.backup}"` };
  if (policy.ask === "full") return { kind: "full", reason: "asked for" };

  const fulls = facts.backups.filter(({ kind, streamKind }) => kind === "full" && streamKind === "single").sort(byAge);
  const anchor = latestOf(fulls, facts);
  if (facts.rememberedAnchor !== null && !fulls.some(({ guid }) => guid === facts.rememberedAnchor)) {
    return { kind: "full", reason: "the manifest of the anchor is missing in the store" };
  }
  if (anchor === undefined) return { kind: "full", reason: "there is no full backup in the store yet" };
  const due = policy.ask === "auto" ? (reasonOfAge(anchor, facts.now, policy) ?? reasonOfSize(anchor, facts.backups, policy)) : null;
  if (due !== null) return { kind: "full", reason: due };
  if (anchor.flags === null) {
    return { kind: "full", reason: `the anchor "${anchor.backup}" was stored by put or import, so the flags it was sent with are not known` };
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

/**
 * The latest by createTxg of those on the pool, unless a later one is gone from there: then a full is due, and not an
 * incremental against what was the anchor before. What was taken by a clock that was ahead is not later for that.
 *
 * @param fulls - ascending by age
 */
function latestOf(fulls: readonly BackupEntry[], { onPool, now }: PlanFacts): BackupEntry | undefined {
  const txgs = new Map(onPool.map(({ guid, createTxg }) => [guid, createTxg]));
  const txgOf = ({ guid }: BackupEntry): bigint => txgs.get(guid) ?? -1n;
  const gone = fulls.findLast((full) => txgOf(full) < 0n && !isAhead(full.createdAt, now));
  const here = fulls.filter((full) => txgOf(full) >= 0n).reduce<BackupEntry | undefined>(
    (latest, full) => (latest !== undefined && txgOf(latest) > txgOf(full) ? latest : full),
    undefined,
  );
  if (here === undefined) return fulls.at(-1);
  return gone !== undefined && byAge(gone, here) > 0 ? gone : here;
}

/** Why its age makes a new full due; null when it does not. */
function reasonOfAge({ backup, createdAt }: BackupEntry, now: Date, { fullEveryMs: limitMs }: PlanPolicy): string | null {
  if (limitMs === null) return null;
  const ageMs = now.getTime() - createdAt.getTime();
  if (isAhead(createdAt, now)) {
    return `the anchor "${backup}" was taken by a clock that was ${days(-ageMs)} ahead, or the clock is behind now, so its age is not known`;
  }
  return ageMs < limitMs ? null : `the anchor "${backup}" is ${days(ageMs)} old, the limit is ${days(limitMs)}`;
}

/** Why the size of the last incremental against it makes a new full due; null when it does not. */
function reasonOfSize(anchor: BackupEntry, backups: readonly BackupEntry[], { fullWhenIncrementalExceeds: limit }: PlanPolicy): string | null {
  const last = backups.filter(({ kind, base }) => kind === "incremental" && base?.guid === anchor.guid).sort(byAge).at(-1);
  if (limit === null || last === undefined || last.messageBytes <= limit * anchor.messageBytes) return null;
  const [size, fullSize] = [last, anchor].map(({ messageBytes }) => formatSize(messageBytes));
  const [part, most] = [last.messageBytes / anchor.messageBytes, limit].map(percent);
  return `the last incremental, "${last.backup}", has ${size}, ${part} of the ${fullSize} of its anchor, and the limit is ${most}`;
}

/** The anchor on the pool: its snapshot, or else a bookmark of it. */
function baseOf(anchor: BackupEntry, { onPool }: PlanFacts): BaseCandidate | undefined {
  const same = onPool.filter(({ guid }) => guid === anchor.guid);
  return same.find(({ kind }) => kind === "snapshot") ?? same[0];
}

function sameFlags(a: readonly string[], b: readonly string[]): boolean {
  return [...a].sort().join(" ") === [...b].sort().join(" ");
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1).replace(/\.0$/, "")}%`;
}

function days(ms: number): string {
  const count = (ms / 86_400_000).toFixed(1).replace(/\.0$/, "");
  return count === "1" ? "1 day" : `${count} days`;
}
