/**
 * `zferry copy`: backups of one dataset from one store into another: ciphertext as it is, under the same keys.
 *
 *   look at both stores → be alone in the target → what an earlier copy left → what verify found damaged there
 *   → each backup: chunks, note, manifest → look again
 *
 * Fulls come before what starts from them and the manifest of each comes last, so whatever is visible in the target can be
 * restored from it. What is stored of a backup that was cut off is gone on with by the next copy, or removed by it.
 */
import { aloneInStore, type Guard } from "../alone.ts";
import { type Begun, noteEnded, readBegun } from "../begun.ts";
import { type Catalog, readCatalog } from "../catalog.ts";
import { giveUp, manifestOf } from "../commit.ts";
import type { KeepPolicy } from "../config/keep.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import type { Tell } from "../events.ts";
import { chainTo } from "../format/chain.ts";
import { type BackupEntry, datasetOfEntry, isSameManifest } from "../format/entry.ts";
import { attemptPrefix, manifestKey, manifestsOf } from "../format/layout.ts";
import type { ReadOptions } from "../get.ts";
import type { Pressure } from "../stream/pressure.ts";
import type { Store } from "../store/store.ts";
import { chunkFindings } from "../verified.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";
import { copyBackup, mendBackup } from "./backup.ts";
import { type Wanted, wantedOf } from "./wanted.ts";

/** What a copy tells while it goes on. */
export interface CopyingProgress {
  /** Called when nobody else is at work in the target: what is `locked` from here on has failed. */
  readonly onBegin: () => void;
  /** Counts since the last call. */
  readonly onCopied: (bytes: number) => void;
  /** Of all that will be copied, before the first byte. */
  readonly onTotal?: (bytes: number) => void;
  readonly pressure?: Pressure;
  readonly warn: (text: string) => void;
  /** Each step as it is done, for whoever wants to know. */
  readonly tell?: Tell;
}

export interface CopyRequest {
  readonly from: Store;
  readonly to: Store;
  readonly dataset: DatasetName;
  /** What the target is to have; null for everything. */
  readonly keep: KeepPolicy | null;
  /** With a key in it every manifest must be authentic; with none they are checked for damage alone. */
  readonly reading: Pick<ReadOptions, "keyring" | "allowUnauthenticated" | "concurrency">;
  readonly stateDir: string;
  /** How long the lease in the target may go without a renewal; null for no lease (`alone.ts`). */
  readonly leaseMs: number | null;
  /** Only look. */
  readonly isDryRun: boolean;
  readonly now: () => Date;
  readonly progress: CopyingProgress;
  readonly signal: AbortSignal;
}

/** What became of one backup. */
export interface CopiedBackup {
  readonly entry: BackupEntry;
  /** `mended`: it was there, and chunks that verify had found missing or damaged were sent again. */
  readonly fate: "copied" | "mended" | "would-copy" | "would-mend" | "failed";
  /** Bytes of chunks that were sent; less than the backup has when an earlier copy had begun it, or where it is mended. */
  readonly sentBytes: number;
  /** Why it failed; null for all others. */
  readonly error: ZferryError | null;
}

export interface CopyOutcome extends Pick<Wanted, "thereCount" | "unwantedCount"> {
  /** In the order they were tried. */
  readonly backups: readonly CopiedBackup[];
  /** Manifests of the dataset that cannot be used, in either store, and names that mean another backup in each. */
  readonly problems: readonly ZferryError[];
}

/** Everything that failed, in the order it did. */
export function failuresOf({ backups, problems }: CopyOutcome): readonly ZferryError[] {
  return [...problems, ...backups.flatMap(({ error }) => error ?? [])];
}

/**
 * Copies what the target lacks. A backup that is damaged fails by itself, and so does what starts from it.
 *
 * @throws ZferryError `usage` for one store in both places, `locked`, the codes of both stores; what was copied until then is
 * whole, and the rest is gone on with
 */
export async function copy(request: CopyRequest): Promise<CopyOutcome> {
  const { from, to, dataset, isDryRun, progress } = request;
  if (from.url === to.url) {
    throw new ZferryError("usage", `"${from.url}" cannot be copied into itself`, { hint: "name two stores" });
  }
  const copying = { ...request, progress: { ...progress, warn: onceEach(progress.warn) } }; // both stores are looked at twice
  const first = await look(copying);
  if (isDryRun || !(await hasWork(copying, first))) return outcomeOf(first, planned(first));
  return aloneInStore({ ...copying, store: to }, dataset, (guard) => run({ ...copying, signal: guard.signal }, guard));
}

function onceEach(warn: (text: string) => void): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (!told.has(text)) warn(text);
    told.add(text);
  };
}

interface Sight {
  readonly source: Catalog;
  readonly target: Catalog;
  readonly wanted: Wanted;
  readonly damaged: readonly Damaged[];
  readonly problems: readonly ZferryError[];
}

/** A backup that both stores have, with what verify has found of its chunks in the target. */
interface Damaged {
  readonly entry: BackupEntry;
  readonly findings: readonly string[];
}

async function look({ from, to, dataset, keep, stateDir, now, progress, signal }: CopyRequest): Promise<Sight> {
  const options = { dataset: null, stateDir, warn: progress.warn, signal };
  const [source, target] = [await readCatalog(from, options), await readCatalog(to, options)];
  const wanted = wantedOf({ dataset, source: source.backups, target: target.backups, keep, now: now() });
  for (const { entry, why } of wanted.unrestorable) progress.warn(`"${entry.backup}" is not copied: ${why}`);
  const blocked = new Set(target.damaged.map(({ key }) => key));
  const missing = wanted.missing.filter(({ backup }) => !blocked.has(manifestKey(backup)));
  const problems = [...damagedIn(source, dataset), ...damagedIn(target, dataset), ...conflictsIn(source, target, { dataset, to })];
  return { source, target, wanted: { ...wanted, missing }, damaged: damagedOf(wanted.kept, source, target), problems };
}

function damagedOf(kept: readonly BackupEntry[], source: Catalog, target: Catalog): readonly Damaged[] {
  const sources = new Map(source.backups.map((entry) => [entry.backup, entry]));
  return kept.flatMap((entry) => {
    const key = manifestKey(entry.backup);
    const findings = chunkFindings(target.remembered.verified?.[key], target.manifests.get(key)?.etag ?? null);
    const other = sources.get(entry.backup);
    return findings.length > 0 && other !== undefined && isSameManifest(entry, other) ? [{ entry, findings }] : [];
  });
}

function damagedIn({ damaged }: Catalog, dataset: DatasetName): ZferryError[] {
  return damaged.filter(({ key }) => key.startsWith(manifestsOf(dataset))).map(({ error }) => error);
}

/** One name, two backups: one of them was replaced, and which, nobody here can tell. */
function conflictsIn(source: Catalog, target: Catalog, { dataset, to }: { readonly dataset: DatasetName; readonly to: Store }): ZferryError[] {
  const there = new Map(target.backups.map((entry) => [entry.backup, entry]));
  const own = source.backups.filter((entry) => datasetOfEntry(entry) === dataset);
  return own.flatMap((entry) => {
    const other = there.get(entry.backup);
    return other === undefined || isSameManifest(entry, other) ? [] : [conflict(entry.backup, to)];
  });
}

function conflict(backup: SnapshotName, to: Store): ZferryError {
  return new ZferryError("backup-conflict", `"${to.url}" has another backup "${backup}" than the store it is a copy of`, {
    hint: "nothing was overwritten; see with `zferry verify` which of them is sound, and remove the other one's manifest",
  });
}

function planned({ damaged, wanted }: Sight): readonly CopiedBackup[] {
  const plan = (fate: CopiedBackup["fate"]) => (entry: BackupEntry): CopiedBackup => ({ entry, fate, sentBytes: 0, error: null });
  return [...damaged.map(({ entry }) => entry).map(plan("would-mend")), ...wanted.missing.map(plan("would-copy"))];
}

function outcomeOf({ wanted: { thereCount, unwantedCount }, problems }: Sight, backups: readonly CopiedBackup[]): CopyOutcome {
  return { backups, problems, thereCount, unwantedCount };
}

async function hasWork(request: CopyRequest, { wanted, damaged }: Sight): Promise<boolean> {
  return wanted.missing.length + damaged.length > 0 || (await readBegun(placeOf(request))).length > 0;
}

async function run(request: CopyRequest, guard: Guard): Promise<CopyOutcome> {
  request.progress.onBegin();
  const sight = await look(request); // again: what was seen before may have been copied, or pruned, meanwhile
  await settleBegun(request, sight);
  const done: CopiedBackup[] = [];
  for (const one of sight.damaged) done.push(await tryToMend(request, guard, one));
  request.progress.onTotal?.(sight.wanted.missing.reduce((sum, { messageBytes }) => sum + messageBytes, 0));
  for (const entry of sight.wanted.missing) {
    request.signal.throwIfAborted();
    const copied = await tryToCopy(request, guard, { entry, sight, done });
    if (copied !== null) done.push(copied);
  }
  return outcomeOf(sight, await readBack(request, done));
}

/** What an earlier copy has left and this one does not want, goes; what it wants is gone on with. */
async function settleBegun(request: CopyRequest, { wanted }: Sight): Promise<void> {
  for (const begun of await readBegun(placeOf(request))) {
    if (wanted.missing.some(({ backup, attempt }) => backup === begun.backup && attempt === begun.attempt)) continue;
    await drop(request, begun);
  }
}

/** Removes what there is of a backup that was not committed; the note of it stays while anything does, or cannot be told. */
async function drop(request: CopyRequest, begun: Begun, cause: unknown = null): Promise<void> {
  await giveUp(request.to, begun.backup, { id: begun.attempt, journal: null }, request.progress.warn, cause);
  if (await isSettled(request, begun)) await noteEnded(placeOf(request), begun);
}

/** Whether it is a backup, or nothing of it is there. */
async function isSettled({ to, signal }: CopyRequest, { backup, attempt }: Begun): Promise<boolean> {
  try {
    if ((await manifestOf(to, backup, { id: attempt, journal: null }, signal)) !== null) return true;
  } catch (error) {
    if (isZferryError(error, "manifest-invalid", "format-too-new")) return false; // it may name the attempt
    throw error;
  }
  for await (const _left of to.list(attemptPrefix(backup, attempt), { signal })) return false;
  return true;
}

/** Null when it was removed from the source meanwhile. */
async function tryToCopy(
  request: CopyRequest,
  guard: Guard,
  { entry, sight, done }: { readonly entry: BackupEntry; readonly sight: Sight; readonly done: readonly CopiedBackup[] },
): Promise<CopiedBackup | null> {
  const base = missingBase(entry, sight, done);
  if (base !== null) return failed(entry, new ZferryError("backup-not-found", `"${entry.backup}" was not copied: "${base}", which it starts from, could not be`));
  try {
    return { entry, fate: "copied", sentBytes: await copyBackup(request, guard, entry), error: null };
  } catch (error) {
    if (!isZferryError(error, ...ownFailures)) throw error;
    await drop(request, entry, error);
    if ((await request.from.head(manifestKey(entry.backup), request)) === null) {
      request.progress.warn(`"${entry.backup}" was removed from "${request.from.url}" before it was copied`);
      return null;
    }
    return failed(entry, error);
  }
}

async function tryToMend(request: CopyRequest, guard: Guard, { entry, findings }: Damaged): Promise<CopiedBackup> {
  request.signal.throwIfAborted();
  const uncounted = { ...request, progress: { ...request.progress, onCopied: () => undefined } }; // the total is that of what is missing
  try {
    return { entry, fate: "mended", sentBytes: await mendBackup(uncounted, guard, entry, findings), error: null };
  } catch (error) {
    if (!isZferryError(error, ...ownFailures)) throw error;
    return failed(entry, error);
  }
}

/** What says something of one backup and nothing of the stores. */
const ownFailures = ["chunk-invalid", "manifest-invalid", "format-too-new", "key-missing", "key-wrong", "backup-not-found", "backup-conflict", "size-limits"] as const;

/** The backup it starts from, when that has not come to be in the target. */
function missingBase(entry: BackupEntry, { source, target }: Sight, done: readonly CopiedBackup[]): SnapshotName | null {
  const there = new Set([...target.backups, ...done.filter(({ fate }) => fate === "copied").map((one) => one.entry)].map(({ backup }) => backup));
  const names = new Set(target.backups.map(({ backup }) => backup));
  const chain = chainTo(entry, { backups: [...target.backups, ...source.backups.filter(({ backup }) => !names.has(backup))] });
  const bad = typeof chain === "string" ? undefined : chain.find((step) => step !== entry && !there.has(step.backup));
  return bad?.backup ?? null;
}

function failed(entry: BackupEntry, error: ZferryError): CopiedBackup {
  return { entry, fate: "failed", sentBytes: 0, error };
}

/**
 * Reads the manifests that were written as any reader does, which this host remembers then; one that is not there as it was
 * written is a failure. So is one that starts from what is gone: the full of another dataset's name is under that dataset's
 * lock, so that a prune can have removed it meanwhile.
 */
async function readBack({ to, stateDir, progress, signal }: CopyRequest, done: readonly CopiedBackup[]): Promise<readonly CopiedBackup[]> {
  if (!done.some(({ fate }) => fate === "copied")) return done;
  const { backups } = await readCatalog(to, { dataset: null, stateDir, warn: progress.warn, signal });
  const there = new Map(backups.map((entry) => [entry.backup, entry]));
  return done.map((one) => {
    const now = there.get(one.entry.backup);
    if (one.fate !== "copied") return one;
    const chain = chainTo(one.entry, { backups });
    if (now !== undefined && isSameManifest(one.entry, now)) return typeof chain === "string" ? failed(one.entry, baseless(one.entry, to, chain)) : one;
    return failed(one.entry, new ZferryError("manifest-invalid", `"${to.url}" does not give back the manifest of "${one.entry.backup}" as it was stored`, { hint: "copy it again, and look into that store" }));
  });
}

function baseless({ backup }: BackupEntry, { url }: Store, why: string): ZferryError {
  return new ZferryError("backup-not-found", `"${backup}" was copied, and cannot be restored from "${url}": ${why}`, { hint: "what it starts from was removed meanwhile; the next copy brings it" });
}

function placeOf({ stateDir, to, dataset }: CopyRequest): Parameters<typeof readBegun>[0] {
  return { verb: "copy", stateDir, store: to, dataset };
}
