/**
 * `zferry restore`: from the store into `zfs recv`, the full first and then the incremental.
 *
 * Everything that can be known is looked at before the first byte moves: that the chain is whole, that every manifest
 * of it is authentic and the very one the choice was made by, that the target can take it. What the target is said to hold
 * already is no exception. After each step the received snapshot's guid is looked up on the pool.
 *
 * Of several stores the newest backup of all is chosen, and each of the chain read from the first store that has it
 * (`catalogs.ts`, `fall-over.ts`).
 */
import type { Catalog, OpenedBackup } from "./catalog.ts";
import { type Catalogs, readCatalogs } from "./catalogs.ts";
import { ZferryError } from "./errors.ts";
import { isCurable, type Sources, sourcesOf } from "./fall-over.ts";
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
  /** A store, or several in the order in which they are asked. */
  readonly store: Store | Sources;
  readonly zfs: Zfs;
  readonly wanted: Wanted;
  readonly target: DatasetName;
  readonly receive: ReceiveOptions;
  readonly stateDir: string | null;
  readonly isDryRun: boolean;
  readonly onStep: (step: RestoreStep) => void;
  /** What will be fetched if nothing is fetched twice; before the first step. */
  readonly onTotal?: (bytes: number) => void;
  /** Called when what was missing in the target has been received, and its guid was found there. */
  readonly onReceived?: (step: RestoreStep) => void;
}

/** One backup of the chain, and whether the target holds its snapshot already. */
export interface RestoreStep {
  readonly entry: BackupEntry;
  readonly isThere: boolean;
  /** URL of the store its manifest was read from. */
  readonly store: string;
}

/** A step that can be taken. */
interface OpenedStep {
  readonly step: RestoreStep;
  readonly opened: OpenedBackup;
  readonly sources: Sources;
}

/**
 * @returns the steps, the last one being the backup that was wanted
 * @throws ZferryError `backup-not-found` for a missing backup or a gap in its chain; `manifest-invalid` and
 * `format-too-new` when it is there and cannot be read; `target-exists`; the codes of `get` and of `receive`
 */
export async function restore(request: RestoreRequest): Promise<RestoreStep[]> {
  const { wanted, stateDir, warn, signal } = request;
  const sources = sourcesOf(request.store);
  const dataset = wanted.kind === "snapshot" ? datasetOf(wanted.name) : wanted.dataset;
  const catalogs = await readCatalogs(sources, { dataset: null, stateDir, warn, signal });
  for (const { key, error } of catalogs.damaged) if (key.startsWith(manifestsOf(dataset))) warn(error.message);
  const steps = await openChain(request, sources, catalogs);
  if (!request.isDryRun) {
    request.onTotal?.(steps.reduce((sum, { step }) => sum + (step.isThere ? 0 : step.entry.messageBytes), 0));
    for (const one of steps) {
      request.onStep(one.step);
      if (one.step.isThere) continue;
      await receiveStep(request, one);
      request.onReceived?.(one.step);
    }
  }
  return steps.map(({ step }) => step);
}

/** Chooses and opens, until all that was chosen is authentic. */
async function openChain(request: RestoreRequest, sources: Sources, catalogs: Catalogs): Promise<OpenedStep[]> {
  for (;;) {
    const chain = chainFor(request.wanted, sources, catalogs);
    const there = await thereOf(request, chain);
    const steps: OpenedStep[] = [];
    for (const [index, entry] of chain.entries()) {
      const found = await openStep(request, sources, catalogs, entry);
      if (found !== null) steps.push({ ...found, step: { entry, isThere: index < there, store: found.store.url } });
    }
    if (steps.length === chain.length) return steps;
  }
}

/** @throws ZferryError `backup-not-found`, and why a manifest cannot be read that may be the one */
function chainFor(wanted: Wanted, sources: Sources, catalogs: Catalogs): readonly BackupEntry[] {
  const entry = pick(catalogs, wanted, sources);
  const chain = chainTo(entry, catalogs);
  if (typeof chain !== "string") return chain;
  refuseDamaged(catalogs, entry.base?.backup ?? null);
  throw new ZferryError("backup-not-found", `"${entry.backup}" cannot be restored: ${chain}`, {
    hint: "`zferry list` shows what can be restored; nothing was received",
  });
}

interface Found {
  readonly opened: OpenedBackup;
  readonly store: Store;
  /** The one it was found in first. */
  readonly sources: Sources;
}

/** From the first store in which it is authentic; null when it was in none, and so has been taken out of the catalogs. */
async function openStep(request: RestoreRequest, sources: Sources, catalogs: Catalogs, entry: BackupEntry): Promise<Found | null> {
  const holding = catalogs.holding(entry);
  try {
    const search = sources.search({ backup: entry.backup, chunk: null, key: manifestKey(entry.backup) }, holding);
    const opened = await search.first((store) => openListed(store, entry, request), request.signal);
    catalogs.tellPassedOver(entry, search.store);
    return { opened, store: search.store, sources: sources.preferring(holding) };
  } catch (error) {
    request.signal.throwIfAborted();
    if (!isCurable(error)) throw error;
    catalogs.drop(entry, error);
    return null;
  }
}

function pick({ backups, damaged }: Pick<Catalog, "backups" | "damaged">, wanted: Wanted, { stores }: Sources): BackupEntry {
  const dataset = wanted.kind === "snapshot" ? datasetOf(wanted.name) : wanted.dataset;
  const newest = backups.findLast(
    ({ backup, createdAt }) =>
      datasetOf(backup) === dataset &&
      (wanted.kind === "latest" || (wanted.kind === "snapshot" ? backup === wanted.name : createdAt <= wanted.time)),
  );
  // Of equals that of the first store.
  const found = newest && backups.find(({ backup, createdAt }) => backup === newest.backup && createdAt.getTime() === newest.createdAt.getTime());
  if (found !== undefined) return found;
  if (wanted.kind === "snapshot") refuseDamaged({ damaged }, wanted.name);
  const what =
    wanted.kind === "snapshot"
      ? `no backup "${wanted.name}"`
      : wanted.kind === "at"
        ? `no backup of "${dataset}" from ${wanted.time.toISOString()} or before`
        : `no backup of "${dataset}"`;
  throw new ZferryError("backup-not-found", `there is ${what} in ${stores.map(({ url }) => `"${url}"`).join(" nor in ")}`, {
    hint: "`zferry list` shows what there is",
  });
}

/** A backup whose manifest cannot be read is damaged (or too new), which is not the same as missing. */
function refuseDamaged({ damaged }: Pick<Catalog, "damaged">, backup: SnapshotName | null): void {
  const found = backup === null ? undefined : damaged.find(({ key }) => key === manifestKey(backup));
  if (found !== undefined) throw found.error;
}

/**
 * How many backups of the chain the target holds: a fresh one takes the whole chain; one that holds a step's snapshot goes
 * on behind it.
 */
async function thereOf(request: RestoreRequest, chain: readonly BackupEntry[]): Promise<number> {
  const { zfs, target, signal } = request;
  const there = await readDataset(zfs, target, { signal });
  if (there === null) return 0;
  const guids = new Set<Guid>(there.snapshots.map(({ guid }) => guid));
  const last = chain.findLastIndex(({ guid }) => guids.has(guid));
  if (last < 0 && !request.receive.force) {
    throw new ZferryError("target-exists", `the target "${target}" exists and holds no snapshot of this chain`, {
      hint: "restore to a new dataset, or give --force (zfs receive -F) to overwrite it",
    });
  }
  return last + 1;
}

async function receiveStep(request: RestoreRequest, { step: { entry }, opened, sources }: OpenedStep): Promise<void> {
  const { zfs, target, signal } = request;
  // A compound stream carries properties, and a received mountpoint could cover live data.
  const exclude = entry.streamKind === "compound" ? ["mountpoint"] : [];
  const options = { ...request.receive, exclude: [...request.receive.exclude, ...exclude] };
  await receive(zfs, retrieve(sources, opened, request), { target, options }, { signal });
  const after = await readDataset(zfs, target, { signal });
  if (after?.snapshots.some(({ guid }) => guid === entry.guid) === true) return;
  throw new ZferryError("zfs-failed", `zfs receive ended well, but "${target}" has no snapshot with guid ${entry.guid}`, {
    hint: "look at `zfs list -t snapshot -o name,guid` of the target; the backup itself was found right",
  });
}
