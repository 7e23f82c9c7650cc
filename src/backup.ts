/**
 * `zferry backup`: one dataset, one night.
 *
 *   alone → look → take up an unfinished run, or plan → snapshot → hold → send … commit (`ferry.ts`) → advance the anchor
 *
 * The snapshot and the anchor are held before the first byte is sent, and the anchor moves only after the commit. A run
 * that the store failed, that outslept its lease, or that SIGTERM ended with a chunk stored, keeps journal, holds and
 * snapshot for the next one to go on (`resume.ts`). After any other failure the holds are released and a snapshot this run
 * has made is destroyed again.
 */
import { advanceAnchor, secureAnchor } from "./advance.ts";
import { alone, aloneInStore, type Guard, unguarded } from "./alone.ts";
import { AttemptDiffers } from "./attempt.ts";
import type { Cargo } from "./cargo.ts";
import { readCatalog } from "./catalog.ts";
import { rememberWritten } from "./catalog-cache.ts";
import { ZferryError } from "./errors.ts";
import { ferry } from "./ferry.ts";
import type { BackupEntry } from "./format/entry.ts";
import type { Manifest } from "./format/manifest.ts";
import { letGo, withHolds } from "./holding.ts";
import { dropIntent } from "./intent.ts";
import { type BaseCandidate, type Plan, planBackup } from "./plan.ts";
import { refuseTakenName } from "./taken-name.ts";
import { takeSnapshot } from "./taken.ts";
import { attemptFor, intentOf, takeUp } from "./resume.ts";
import type { BeginFacts } from "./stream/inspect.ts";
import type { BackupOutcome, BackupRequest, Scene, Voyage } from "./voyage.ts";
import type { Zfs } from "./zfs/command.ts";
import { type DatasetFacts, readDataset, type SnapshotFacts } from "./zfs/inventory.ts";
import { type DatasetName, parseGuid, type SnapshotName } from "./zfs/names.ts";
import { estimateSend, send, sendFlagsFor } from "./zfs/send.ts";

/**
 * @throws ZferryError `zfs-…` for the pool's side, `store-…` for the store's, `stream-invalid`, `backup-conflict`
 */
export function backup(request: BackupRequest): Promise<BackupOutcome> {
  if (request.isDryRun) return run(request, unguarded(request.signal));
  return alone(request, request.dataset, (guard) => run({ ...request, signal: guard.signal }, guard));
}

/**
 * The same for a caller that holds the dataset's local lock, and may have taken the snapshot for this backup: when that is
 * not stored the caller gives it back (`taken.ts`), unless it means to try again.
 *
 * @throws ZferryError as {@link backup}
 */
export function backupUnderLock(request: BackupRequest): Promise<BackupOutcome> {
  return aloneInStore(request, request.dataset, (guard) => run({ ...request, signal: guard.signal }, guard));
}

async function run(request: BackupRequest, guard: Guard): Promise<BackupOutcome> {
  let scene = await look(request);
  const unfinished = await takeUp(request, scene);
  if (unfinished === "settled") scene = await look(request);
  const isNew = unfinished === "settled" || unfinished === "none";
  const voyage = isNew ? await setOut(request, scene) : unfinished;
  if (voyage.target === null) return { plan: voyage.plan, manifest: null };
  const { target, base } = voyage;
  const names = base?.kind === "snapshot" ? [target.name, base.name as SnapshotName] : [target.name];
  const manifest = await withHolds(request, { names, voyage }, async () => {
    if (base !== null) await secureAnchor(request, scene.dataset, base);
    const stored = await carry(request, voyage, guard);
    await advanceAnchor(request, scene.dataset, stored);
    return stored;
  });
  const isAskedFor = request.snapshot === target.name || (request.snapshot === null && request.policy.ask === "auto");
  if (!isNew && !isAskedFor) return run(request, guard); // that was last night's; now what was asked for
  return { plan: voyage.plan, manifest };
}

async function look({ zfs, store, dataset, stateDir, settings, progress, signal }: BackupRequest): Promise<Scene> {
  const facts = await factsOf(zfs, dataset, signal);
  const catalog = await readCatalog(store, { dataset, stateDir, warn: progress.warn, signal });
  for (const { error } of catalog.damaged) progress.warn(error.message);
  const flags = await sendFlagsFor(zfs, facts, { signal });
  if (settings.packet === "none" && !flags.includes("-w")) {
    throw new ZferryError("usage", `packet "none" would store "${dataset}" in clear text, because ZFS does not encrypt it`, {
      hint: 'use packet "ocb", or encrypt the dataset with ZFS',
    });
  }
  return { dataset: facts, catalog, flags };
}

async function factsOf(zfs: Zfs, dataset: DatasetName, signal: AbortSignal): Promise<DatasetFacts> {
  const facts = await readDataset(zfs, dataset, { signal });
  if (facts !== null) return facts;
  throw new ZferryError("zfs-not-found", `there is no dataset "${dataset}"`, { hint: "`zfs list` shows what there is" });
}

function decide(request: BackupRequest, { dataset, catalog, flags }: Scene): Plan {
  const remembered = catalog.remembered.anchors[request.dataset];
  return planBackup(
    {
      backups: catalog.backups,
      onPool: candidatesOf(dataset),
      rememberedAnchor: remembered === undefined ? null : parseGuid(remembered.guid),
      target: request.snapshot === null ? null : existing(dataset, request.snapshot),
      flags,
      now: request.now(),
    },
    request.policy,
  );
}

function candidatesOf({ snapshots, bookmarks }: DatasetFacts): BaseCandidate[] {
  return [
    ...snapshots.map(({ name, guid, createTxg }) => ({ kind: "snapshot" as const, name, guid, createTxg })),
    ...bookmarks.map(({ name, guid, createTxg }) => ({ kind: "bookmark" as const, name, guid, createTxg })),
  ];
}

function existing({ snapshots }: DatasetFacts, wanted: SnapshotName): SnapshotFacts {
  const found = snapshots.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  throw new ZferryError("zfs-not-found", `there is no snapshot "${wanted}"`, {
    hint: "`zfs list -t snapshot` shows what there is; leave the snapshot out to take a new one",
  });
}

/** The snapshot to store: the one asked for, or one taken now. */
async function targetOf(request: BackupRequest, { dataset }: Scene): Promise<SnapshotFacts> {
  if (request.snapshot !== null) return existing(dataset, request.snapshot);
  const { zfs, stateDir, snapshotPrefix: prefix, now, progress, signal } = request;
  const wanted = { zfs, storeUrl: request.store.url, stateDir, dataset: request.dataset, prefix };
  const name = await takeSnapshot(wanted, { now, ...progress, signal });
  return existing(await factsOf(request.zfs, request.dataset, request.signal), name);
}

/** A new run: what the plan says, and for a backup its snapshot and its journal. */
async function setOut(request: BackupRequest, scene: Scene): Promise<Voyage | { readonly plan: Plan; readonly target: null }> {
  const plan = decide(request, scene);
  request.progress.onPlan(plan);
  if (plan.kind === "nothing" || request.isDryRun) return { plan, target: null };
  const target = await targetOf(request, scene);
  const base = plan.kind === "incremental" ? plan.base : null;
  const baseBackup = plan.kind === "incremental" ? plan.anchor.backup : null;
  const isOwnSnapshot = request.snapshot === null || request.isOwnSnapshot;
  const voyage = { plan, target, base, baseBackup, flags: scene.flags, isOwnSnapshot };
  try {
    const attempt = await attemptFor(request, voyage);
    await dropIntent(intentOf(request), target.name);
    return { ...voyage, settings: request.settings, isUnderWay: false, attempt };
  } catch (error) {
    if (isOwnSnapshot) await letGo(request, [], target);
    throw error;
  }
}

/** Sends the snapshot into the store; once more from the start when an unfinished run turns out to have sent other bytes. */
async function carry(request: BackupRequest, voyage: Voyage, guard: Guard): Promise<Manifest> {
  const { zfs, store, progress, signal } = request;
  const { target, base, baseBackup, plan, flags, settings } = voyage;
  const sendPlan = { snapshot: target.name, base: base === null ? null : base.name, flags };
  progress.onEstimate(await estimateSend(zfs, sendPlan, { signal }));
  const cargo: Cargo = {
    backup: target.name,
    open: (runSignal) => send(zfs, sendPlan, { signal: runSignal }),
    expect: { toGuid: target.guid, fromGuid: base === null ? null : base.guid },
    onBegin: async (begin) => {
      if (plan.kind === "incremental") refuseNewFeatures(begin, plan.anchor);
      await refuseTakenName(store, target.name, target.guid, signal);
    },
    beforeCommit: guard.check,
    onCommitted: (known) => rememberWritten(store, { stateDir: request.stateDir, warn: progress.warn }, known),
    isStillAlone: guard.isStillAlone,
    baseBackup: () => baseBackup,
    createTxg: target.createTxg,
    flags,
  };
  voyage.isUnderWay = true;
  try {
    return await ferry(store, { cargo, attempt: voyage.attempt }, settings, progress, signal);
  } catch (error) {
    if (error instanceof FeaturesDiffer) {
      if (base?.kind === "snapshot") await letGo(request, [base.name as SnapshotName]); // the new journal will not name it
      Object.assign(voyage, { plan: { kind: "full", reason: error.message }, base: null, baseBackup: null });
      progress.onPlan(voyage.plan);
    } else if (error instanceof AttemptDiffers) progress.warn(`${error.message}; a new upload begins with fresh keys`);
    else throw error;
    await voyage.attempt.journal?.close(); // the new one takes its place
    voyage.attempt = await attemptFor(request, voyage);
    return await carry(request, voyage, guard);
  }
}

/** The incremental needs features of the stream format that its anchor did not. */
class FeaturesDiffer extends ZferryError {}

/** Features are constant along an anchor's life, as flags are: toggling large blocks zeroes files (OpenZFS 6224). */
function refuseNewFeatures({ featureFlags, features }: BeginFacts, anchor: BackupEntry): void {
  const added = featureFlags & ~BigInt(anchor.featureFlags);
  if (added === 0n) return;
  throw new FeaturesDiffer(
    "stream-invalid",
    `the stream has features the anchor "${anchor.backup}" was sent without (now: ${features.join(", ")}), and they are constant along an anchor's life`,
  );
}
