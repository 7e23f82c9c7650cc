/**
 * `zferry backup`: one dataset, one night.
 *
 *   look → plan → snapshot → hold → send … commit (`ferry.ts`) → advance the anchor
 *
 * The snapshot and the anchor are held before the first byte is sent, and the anchor moves only after the commit.
 * Whatever fails, the holds of this run are released and a snapshot this run has made is destroyed again.
 */
import { advanceAnchor } from "./advance.ts";
import type { FerryProgress, FerrySettings } from "./cargo.ts";
import { type Catalog, readCatalog } from "./catalog.ts";
import { ZferryError } from "./errors.ts";
import { ferry } from "./ferry.ts";
import type { Manifest } from "./format/manifest.ts";
import { keptOnlyIfStored, withHolds } from "./holding.ts";
import { type BaseCandidate, type Plan, planBackup, type PlanPolicy } from "./plan.ts";
import { refuseTakenName } from "./put.ts";
import type { Store } from "./store/store.ts";
import type { Zfs } from "./zfs/command.ts";
import { type DatasetFacts, readDataset, type SnapshotFacts } from "./zfs/inventory.ts";
import { type DatasetName, parseGuid, snapshotName, type SnapshotName } from "./zfs/names.ts";
import { estimateSend, send, sendFlagsFor } from "./zfs/send.ts";
import { createSnapshots, newSnapshotName } from "./zfs/snapshots.ts";

export interface BackupRequest {
  readonly zfs: Zfs;
  readonly store: Store;
  readonly dataset: DatasetName;
  /** An existing snapshot to store, or null to take a new one. */
  readonly snapshot: SnapshotName | null;
  readonly snapshotPrefix: string;
  readonly policy: PlanPolicy;
  readonly settings: FerrySettings;
  readonly stateDir: string;
  /** Only decide. */
  readonly isDryRun: boolean;
  readonly now: () => Date;
  readonly progress: BackupProgress;
  readonly signal: AbortSignal;
}

export interface BackupProgress extends FerryProgress {
  readonly onPlan: (plan: Plan) => void;
  /** How long the stream may become, in bytes; a hint that can be half of the truth, or null. */
  readonly onEstimate: (bytes: number | null) => void;
}

/** `manifest` is null when nothing was stored: nothing to send, or a dry run. */
export interface BackupOutcome {
  readonly plan: Plan;
  readonly manifest: Manifest | null;
}

/**
 * @throws ZferryError `zfs-…` for the pool's side, `store-…` for the store's, `stream-invalid`, `backup-conflict`
 */
export async function backup(request: BackupRequest): Promise<BackupOutcome> {
  const scene = await look(request);
  const plan = decide(request, scene);
  request.progress.onPlan(plan);
  if (plan.kind === "nothing" || request.isDryRun) return { plan, manifest: null };

  const target = await targetOf(request, scene);
  const base = plan.kind === "incremental" ? plan.base : null;
  const held = base?.kind === "snapshot" ? [target.name, base.name as SnapshotName] : [target.name];
  const manifest = await keptOnlyIfStored(request, target, () =>
    withHolds(request, held, async () => {
      const stored = await carry(request, scene, plan, target);
      await advanceAnchor(request, scene.dataset, stored);
      return stored;
    }),
  );
  return { plan, manifest };
}

/** What is there tonight: on the pool, and in the store. */
interface Scene {
  readonly dataset: DatasetFacts;
  readonly catalog: Catalog;
  /** What `zfs send` will be given. */
  readonly flags: readonly string[];
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
  const { zfs, signal } = request;
  const name = snapshotName(request.dataset, newSnapshotName(request.snapshotPrefix, request.now()));
  await createSnapshots(zfs, [name], { signal });
  return existing(await factsOf(zfs, request.dataset, signal), name);
}

/** Sends the snapshot into the store. */
async function carry(request: BackupRequest, scene: Scene, plan: Plan, target: SnapshotFacts): Promise<Manifest> {
  const { zfs, store, settings, progress, signal } = request;
  const base = plan.kind === "incremental" ? plan.base : null;
  const sendPlan = { snapshot: target.name, base: base === null ? null : base.name, flags: scene.flags };
  progress.onEstimate(await estimateSend(zfs, sendPlan, { signal }));
  return ferry(
    store,
    {
      backup: target.name,
      open: (runSignal) => send(zfs, sendPlan, { signal: runSignal }),
      expect: { toGuid: target.guid, fromGuid: base === null ? null : base.guid },
      onBegin: () => refuseTakenName(store, target.name, target.guid, signal),
      baseBackup: () => (plan.kind === "incremental" ? plan.anchor.backup : null),
      createTxg: target.createTxg,
      flags: scene.flags,
    },
    settings,
    progress,
    signal,
  );
}
