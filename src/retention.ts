/**
 * What stays and what may go, and why: of the backups of one dataset in a store, and of its snapshots on the pool. Pure.
 *
 * The rules of the policy (`keep-rules.ts`) say what is wanted. Beyond them stays what something that stays needs, and what
 * must not be lost whatever a policy says: the newest that can be restored, the last one proven by verify, the anchor, what
 * is held, and whatever cannot be judged. Rules count only what can be restored: a backup that is broken, was found to be
 * damaged, or claims to be from the future never takes the place of a good one.
 */
import { keepsAnything, type KeepPolicy } from "./config/keep.ts";
import { ZferryError } from "./errors.ts";
import { baseOf, candidatesFor, chainTo } from "./format/chain.ts";
import { type BackupEntry, byAge, datasetOfEntry } from "./format/entry.ts";
import { byNewest, isAhead, keptByRules, type Reason, type Taken } from "./keep-rules.ts";
import type { LastVerified } from "./verified.ts";
import type { DatasetName, Guid, SnapshotName } from "./zfs/names.ts";

/** A manifest that is there and cannot be used. */
export interface Unreadable {
  readonly key: string;
  /** What it was when this host last could read it; null when it never could. */
  readonly entry: BackupEntry | null;
}

export interface BackupFacts {
  readonly dataset: DatasetName;
  /** Every backup of the store. Those of other datasets all stay, and so does what they need. */
  readonly backups: readonly BackupEntry[];
  /** Of the whole store. */
  readonly unreadable: readonly Unreadable[];
  /** By backup, the result that counts. */
  readonly verified: ReadonlyMap<SnapshotName, LastVerified>;
  /** What must stay for reasons that only others know: locked, in use. */
  readonly guarded: ReadonlyMap<SnapshotName, readonly Reason[]>;
  /** The anchors in use, as state file and pool know them; the latest full by its time is one besides. */
  readonly anchors: ReadonlySet<Guid>;
  readonly now: Date;
}

/** It stays if there is any reason; what goes has none. */
export interface Verdict<T> {
  readonly subject: T;
  readonly reasons: readonly Reason[];
}

/**
 * Judges each backup of the dataset. Dropping all that has no reason and judging again drops nothing more.
 *
 * @param policy - null keeps everything
 * @returns in the order of `backups`
 * @throws ZferryError `config-invalid` for a policy that keeps nothing
 */
export function judgeBackups(facts: BackupFacts, policy: KeepPolicy | null): readonly Verdict<BackupEntry>[] {
  const { backups, dataset } = facts;
  const own = backups.filter((entry) => datasetOfEntry(entry) === dataset);
  const reasons = new Reasons();
  if (policy === null) for (const { backup } of own) reasons.add(backup, noPolicy);
  else applyPolicy(own, facts, policy, reasons);
  for (const [backup, why] of facts.guarded) for (const reason of why) reasons.add(backup, reason);
  doubt(own, facts, reasons);
  keepNeeded(facts, reasons);
  return own.map((entry) => ({ subject: entry, reasons: reasons.of(entry.backup) }));
}

/** What goes, in the order it may: nothing before what needs it, and otherwise the oldest first. */
export function inOrderOfRemoval(verdicts: readonly Verdict<BackupEntry>[], backups: readonly BackupEntry[]): readonly BackupEntry[] {
  const doomed = verdicts.filter(({ reasons }) => reasons.length === 0).map(({ subject }) => subject);
  const depths = new Map(doomed.map((entry) => [entry, chainTo(entry, { backups }).length]));
  return doomed.sort((a, b) => (depths.get(b) ?? 0) - (depths.get(a) ?? 0) || byAge(a, b));
}

const noPolicy: Reason = { kind: "no-policy", text: "no policy" };

function refuseEmpty(policy: KeepPolicy): void {
  if (keepsAnything(policy)) return;
  throw new ZferryError("config-invalid", "a retention policy that keeps nothing would delete everything", {
    hint: "give at least one of last, within, daily, weekly, monthly, yearly and fulls; leave keep out to keep everything",
  });
}

/** By name, in the order they were found. */
class Reasons {
  readonly #reasons = new Map<string, Reason[]>();

  add(name: string, reason: Reason): void {
    const before = this.of(name);
    if (!before.some(({ text }) => text === reason.text)) this.#reasons.set(name, [...before, reason]);
  }

  of(name: string): readonly Reason[] {
    return this.#reasons.get(name) ?? [];
  }

  has(name: string): boolean {
    return this.#reasons.has(name);
  }
}

interface Subject extends Taken {
  readonly entry: BackupEntry;
}

/** What the rules keep of the good ones, and of all: so what is damaged goes when its time has come, and costs no good one. */
function applyPolicy(own: readonly BackupEntry[], facts: BackupFacts, policy: KeepPolicy, reasons: Reasons): void {
  refuseEmpty(policy);
  const { now } = facts;
  const settled = own
    .map((entry): Subject => ({ entry, name: entry.backup, takenAt: entry.createdAt, isFull: entry.kind === "full" }))
    .filter((subject) => !isAhead(subject.takenAt, now) && typeof chainTo(subject.entry, facts) !== "string");
  const sound = settled.filter(({ entry }) => isSound(entry, facts)).sort(byNewest);
  for (const some of [sound, settled]) {
    for (const [name, why] of keptByRules(some, policy, now)) for (const reason of why) reasons.add(name, reason);
  }
  for (const { name } of sound.slice(0, 1)) reasons.add(name, { kind: "newest", text: "newest restorable" });
  for (const { name, text } of lastProven(sound, facts)) reasons.add(name, { kind: "verified", text });
  for (const name of anchorsOf(settled, own, facts)) reasons.add(name, { kind: "anchor", text: "anchor in use" });
}

/** Nothing that verify has found speaks against it or what it needs. */
function isSound(entry: BackupEntry, { backups, verified }: BackupFacts): boolean {
  const chain = chainTo(entry, { backups });
  return typeof chain !== "string" && chain.every(({ backup }) => verified.get(backup)?.ok !== false);
}

/** Proven to decrypt, or else at the highest level any was: both the newest of them and the one that was proven last. */
function lastProven(newestFirst: readonly Subject[], { verified }: BackupFacts): readonly { readonly name: string; readonly text: string }[] {
  const proofs = newestFirst.flatMap(({ name, entry }) => {
    const last = verified.get(entry.backup);
    return last?.ok === true ? [{ name, level: last.level, at: last.at }] : [];
  });
  const best = [["stream", "receive"], ["digest"], ["exists"]].map((levels) => proofs.filter(({ level }) => levels.includes(level))).find(({ length }) => length > 0);
  const [newest, ...others] = best ?? [];
  if (newest === undefined) return [];
  const last = others.reduce((latest, proof) => (proof.at > latest.at ? proof : latest), newest);
  return [newest, last].map(({ name, level }) => ({ name, text: `last verified (${level})` }));
}

/** The latest full by time, whatever is wrong with it: the next night may need it. And the one that is known to be in use. */
function anchorsOf(settled: readonly Subject[], own: readonly BackupEntry[], { anchors }: BackupFacts): readonly string[] {
  const [latest] = settled.filter(({ isFull }) => isFull).sort(byNewest);
  const known = own.filter(({ guid }) => anchors.has(guid)).map(({ backup }) => backup);
  return latest === undefined ? known : [latest.name, ...known];
}

/** What cannot be judged stays, and so does what it may need. */
function doubt(own: readonly BackupEntry[], { backups, unreadable, now }: BackupFacts, reasons: Reasons): void {
  const unknown = unreadable.find(({ entry }) => entry === null);
  for (const entry of own) {
    const chain = chainTo(entry, { backups });
    if (typeof chain === "string") reasons.add(entry.backup, { kind: "doubt", text: `not restorable: ${chain}` });
    if (isAhead(entry.createdAt, now)) {
      reasons.add(entry.backup, { kind: "ahead", text: "its time is ahead of the clock, so its age is not known" });
    }
    if (unknown !== undefined) reasons.add(entry.backup, { kind: "doubt", text: `"${unknown.key}" cannot be read, and may need it` });
  }
}

/** From everything that stays down to the fulls; backups of other datasets and what cannot be read stay, so they count. */
function keepNeeded({ backups, dataset, unreadable }: BackupFacts, reasons: Reasons): void {
  const isStaying = (entry: BackupEntry): boolean => datasetOfEntry(entry) !== dataset || reasons.has(entry.backup);
  const pending = [...backups.filter(isStaying), ...unreadable.flatMap(({ entry }) => (entry === null ? [] : [entry]))];
  const seen = new Set(pending);
  const needing = new Map<BackupEntry, BackupEntry[]>();
  for (const entry of pending) {
    for (const base of basesOf(entry, backups)) {
      const others = needing.get(base);
      if (others === undefined) needing.set(base, [entry]);
      else others.push(entry);
      if (!seen.has(base)) pending.push(base);
      seen.add(base);
    }
  }
  for (const [base, of] of needing) reasons.add(base.backup, { kind: "needed", text: neededBy(base, of) });
}

/** The one that a restore would take; where that leads nowhere, each that another way could be found by. */
function basesOf(entry: BackupEntry, backups: readonly BackupEntry[]): readonly BackupEntry[] {
  if (typeof chainTo(entry, { backups }) === "string") return candidatesFor(entry, { backups });
  const base = baseOf(entry, { backups });
  return base === null ? [] : [base];
}

function neededBy({ kind }: BackupEntry, [first, ...others]: readonly BackupEntry[]): string {
  const more = others.length === 0 ? "" : ` and ${others.length} more`;
  return `${kind === "full" ? "full" : "base"} of kept incremental ${first?.backup ?? ""}${more}`;
}

/** A snapshot on the pool, as far as it matters here. */
export interface LocalSnapshot {
  readonly name: SnapshotName;
  readonly guid: Guid;
  readonly createdAt: Date;
  /** Made by zferry: others are not judged, and never destroyed. */
  readonly ours: boolean;
  readonly userRefs: number;
}

export interface SnapshotFacts<T extends LocalSnapshot> {
  /** Of the dataset, ascending createTxg. */
  readonly snapshots: readonly T[];
  /** Snapshots that the store holds a full of; for the rule `fulls`. */
  readonly fulls: ReadonlySet<Guid>;
  /** Anchors of any store. */
  readonly anchors: ReadonlySet<Guid>;
  /** Of runs that were begun and not ended. */
  readonly unfinished: ReadonlySet<SnapshotName>;
  readonly now: Date;
}

/**
 * Judges each snapshot of ours. The newest is the one the pool took last, whatever the clock said.
 *
 * @param policy - null keeps everything
 * @throws ZferryError `config-invalid` for a policy that keeps nothing
 */
export function judgeSnapshots<T extends LocalSnapshot>(facts: SnapshotFacts<T>, policy: KeepPolicy | null): readonly Verdict<T>[] {
  const { snapshots, fulls, anchors, unfinished, now } = facts;
  const own = snapshots.filter(({ ours }) => ours);
  const reasons = new Reasons();
  if (policy === null) for (const { name } of own) reasons.add(name, noPolicy);
  else {
    refuseEmpty(policy);
    const settled = own
      .map(({ name, guid, createdAt }): Taken => ({ name, takenAt: createdAt, isFull: fulls.has(guid) }))
      .filter((subject) => !isAhead(subject.takenAt, now));
    for (const [name, why] of keptByRules(settled, policy, now)) for (const reason of why) reasons.add(name, reason);
  }
  for (const { name } of own.slice(-1)) reasons.add(name, { kind: "newest", text: "newest" });
  for (const { name, guid, createdAt, userRefs } of own) {
    if (anchors.has(guid)) reasons.add(name, { kind: "anchor", text: "anchor in use" });
    if (unfinished.has(name)) reasons.add(name, { kind: "unfinished", text: "of an unfinished run" });
    if (userRefs > 0) reasons.add(name, { kind: "held", text: `held (${userRefs} ${userRefs === 1 ? "hold" : "holds"})` });
    if (isAhead(createdAt, now)) reasons.add(name, { kind: "ahead", text: "its time is ahead of the clock, so its age is not known" });
  }
  return own.map((snapshot) => ({ subject: snapshot, reasons: reasons.of(snapshot.name) }));
}
