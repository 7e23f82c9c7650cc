/**
 * `zferry restore`: from the store into `zfs recv`, the full first and then the incremental.
 *
 * Everything that can be known is looked at before the first byte moves: that the chain is whole, that every manifest
 * of it is authentic and the very one the choice was made by, that the target can take it. What the target is said to hold
 * already is no exception. After each step the received snapshot's guid is looked up on the pool.
 */
import { type Catalog, type OpenedBackup, readCatalog } from "./catalog.ts";
import { ZferryError } from "./errors.ts";
import { chainTo } from "./format/chain.ts";
import type { BackupEntry } from "./format/entry.ts";
import { manifestKey, manifestsOf } from "./format/layout.ts";
import { openListed, type ReadOptions } from "./get.ts";
import { retrieve } from "./retrieve.ts";
import type { Store } from "./store/store.ts";
import type { Zfs } from "./zfs/command.ts";
import { readDataset } from "./zfs/inventory.ts";
import { type DatasetName, datasetOf, type Guid, type SnapshotName } from "./zfs/names.ts";
import { receive, type ReceiveOptions } from "./zfs/receive.ts";

/** Which backup: one by name, the newest, or the newest that is not younger than a time. */
export type Wanted =
  | { readonly kind: "snapshot"; readonly name: SnapshotName }
  | { readonly kind: "latest"; readonly dataset: DatasetName }
  | { readonly kind: "at"; readonly dataset: DatasetName; readonly time: Date };

export interface RestoreRequest extends ReadOptions {
  readonly store: Store;
  readonly zfs: Zfs;
  readonly wanted: Wanted;
  readonly target: DatasetName;
  readonly receive: ReceiveOptions;
  readonly stateDir: string | null;
  readonly isDryRun: boolean;
  readonly onStep: (step: RestoreStep) => void;
}

/** One backup of the chain, and whether the target holds its snapshot already. */
export interface RestoreStep {
  readonly entry: BackupEntry;
  readonly isThere: boolean;
}

/**
 * @returns the steps, the last one being the backup that was wanted
 * @throws ZferryError `backup-not-found` for a missing backup or a gap in its chain; `manifest-invalid` and
 * `format-too-new` when it is there and cannot be read; `target-exists`; the codes of `get` and of `receive`
 */
export async function restore(request: RestoreRequest): Promise<RestoreStep[]> {
  const { store, wanted, stateDir, warn, signal } = request;
  const dataset = wanted.kind === "snapshot" ? datasetOf(wanted.name) : wanted.dataset;
  const catalog = await readCatalog(store, { dataset: null, stateDir, warn, signal });
  for (const { key, error } of catalog.damaged) if (key.startsWith(manifestsOf(dataset))) warn(error.message);
  const entry = pick(catalog, wanted, dataset, store);
  const chain = chainTo(entry, catalog);
  if (typeof chain === "string") {
    refuseDamaged(catalog, entry.base?.backup ?? null);
    throw new ZferryError("backup-not-found", `"${entry.backup}" cannot be restored: ${chain}`, {
      hint: "`zferry list` shows what can be restored; nothing was received",
    });
  }
  const steps = await stepsFor(request, chain);
  const opened = new Map<SnapshotName, OpenedBackup>();
  for (const { entry: step } of steps) opened.set(step.backup, await openListed(store, step, request));
  if (!request.isDryRun) {
    for (const step of steps) {
      request.onStep(step);
      const source = opened.get(step.entry.backup);
      if (!step.isThere && source !== undefined) await receiveStep(request, step.entry, source);
    }
  }
  return steps;
}

function pick(catalog: Catalog, wanted: Wanted, dataset: DatasetName, store: Store): BackupEntry {
  const inDataset = catalog.backups.filter(({ backup }) => datasetOf(backup) === dataset);
  const found = inDataset.findLast(
    ({ backup, createdAt }) =>
      wanted.kind === "latest" || (wanted.kind === "snapshot" ? backup === wanted.name : createdAt <= wanted.time),
  );
  if (found !== undefined) return found;
  if (wanted.kind === "snapshot") refuseDamaged(catalog, wanted.name);
  const what =
    wanted.kind === "snapshot"
      ? `no backup "${wanted.name}"`
      : wanted.kind === "at"
        ? `no backup of "${dataset}" from ${wanted.time.toISOString()} or before`
        : `no backup of "${dataset}"`;
  throw new ZferryError("backup-not-found", `there is ${what} in "${store.url}"`, {
    hint: "`zferry list` shows what there is",
  });
}

/** A backup whose manifest cannot be read is damaged (or too new), which is not the same as missing. */
function refuseDamaged({ damaged }: Catalog, backup: SnapshotName | null): void {
  const found = backup === null ? undefined : damaged.find(({ key }) => key === manifestKey(backup));
  if (found !== undefined) throw found.error;
}

/** Looks at the target: a fresh one takes the whole chain; one that holds a step's snapshot goes on behind it. */
async function stepsFor(request: RestoreRequest, chain: readonly BackupEntry[]): Promise<RestoreStep[]> {
  const { zfs, target, signal } = request;
  const there = await readDataset(zfs, target, { signal });
  if (there === null) return chain.map((entry) => ({ entry, isThere: false }));
  const guids = new Set<Guid>(there.snapshots.map(({ guid }) => guid));
  const last = chain.findLastIndex(({ guid }) => guids.has(guid));
  if (last < 0 && !request.receive.force) {
    throw new ZferryError("target-exists", `the target "${target}" exists and holds no snapshot of this chain`, {
      hint: "restore to a new dataset, or give --force (zfs receive -F) to overwrite it",
    });
  }
  return chain.map((entry, index) => ({ entry, isThere: index <= last }));
}

async function receiveStep(request: RestoreRequest, entry: BackupEntry, source: OpenedBackup): Promise<void> {
  const { zfs, store, target, signal } = request;
  // A compound stream carries properties, and a received mountpoint could cover live data.
  const exclude = entry.streamKind === "compound" ? ["mountpoint"] : [];
  const options = { ...request.receive, exclude: [...request.receive.exclude, ...exclude] };
  await receive(zfs, retrieve(store, source, request), { target, options }, { signal });
  const after = await readDataset(zfs, target, { signal });
  if (after?.snapshots.some(({ guid }) => guid === entry.guid) === true) return;
  throw new ZferryError("zfs-failed", `zfs receive ended well, but "${target}" has no snapshot with guid ${entry.guid}`, {
    hint: "look at `zfs list -t snapshot -o name,guid` of the target; the backup itself was found right",
  });
}
