/**
 * Level `receive`: the whole chain into a dataset of the user's choice, the guid compared on the pool, a sample of files
 * compared with the source if that is wanted, and all of it destroyed again.
 *
 * Nothing is destroyed that this run has not made: the dataset was not there before, all its snapshots are the chain's
 * by their guids, nothing lies below it that no stream can have brought, and its own guid is still the one that was
 * looked at. Whatever else is found there is left alone, and said.
 */
import { ZferryError, isZferryError } from "../errors.ts";
import type { BackupEntry } from "../format/entry.ts";
import type { ReadOptions } from "../get.ts";
import { restore } from "../restore.ts";
import type { Store } from "../store/store.ts";
import { type Finding, finding } from "./findings.ts";
import { compareSample, type Sample, type SampleRequest } from "./sample.ts";
import type { Zfs } from "../zfs/command.ts";
import { destroyDataset } from "../zfs/datasets.ts";
import { listDatasets, readDataset } from "../zfs/inventory.ts";
import { type DatasetName, type Guid, parseDatasetName } from "../zfs/names.ts";
import { defaultReceiveOptions } from "../zfs/receive.ts";

/** How long the destruction may take after a run was interrupted. */
const destroyTimeoutMs = 60_000;

/** Where to receive. */
export interface Scratch {
  readonly zfs: Zfs;
  readonly into: DatasetName;
  /** Files to compare with the source, or null. */
  readonly sample: SampleRequest | null;
  readonly onSample: (sample: Sample) => void;
  /** Told how long it took from the first look at the store to the guid found on the pool: what `zferry restore` takes. */
  readonly onReceived?: (seconds: number) => void;
}

/** What a run can have received. */
export interface Received {
  /** Of the chain's snapshots. */
  readonly guids: readonly Guid[];
  /** A package brings children and more snapshots. */
  readonly isPackage: boolean;
  /** Nobody else makes datasets of this name: then one without snapshots is what a receive left that was cut off. */
  readonly isOwnName: boolean;
}

/** What a chain brings. */
export function receivedOf(chain: readonly BackupEntry[], { isOwnName }: { readonly isOwnName: boolean }): Received {
  return { guids: chain.map(({ guid }) => guid), isPackage: chain.some(({ streamKind }) => streamKind === "compound"), isOwnName };
}

/** @throws ZferryError `usage` for the top of a pool, `target-exists`, `zfs-not-found` for a missing parent */
export async function checkScratch({ zfs, into }: Scratch, signal: AbortSignal): Promise<void> {
  const slash = into.lastIndexOf("/");
  if (slash < 0) {
    throw new ZferryError("usage", `cannot receive into "${into}": it is the top of a pool`, {
      hint: "name a dataset that does not exist yet, as in --into tank/scratch",
    });
  }
  if ((await readDataset(zfs, into, { signal })) !== null) {
    throw new ZferryError("target-exists", `the scratch dataset "${into}" exists`, {
      hint: "name one that does not: it is destroyed in the end; if an earlier run was killed, destroy what it left yourself",
    });
  }
  const parent = parseDatasetName(into.slice(0, slash));
  if ((await readDataset(zfs, parent, { signal })) !== null) return;
  throw new ZferryError("zfs-not-found", `the parent of the scratch dataset, "${parent}", does not exist`, {
    hint: "create it, or name another place with --into",
  });
}

interface Receiving extends ReadOptions {
  readonly store: Store;
  readonly scratch: Scratch;
  /** The backups to receive one after the other, the wanted one last. */
  readonly chain: readonly BackupEntry[];
  readonly stateDir: string;
}

/**
 * @returns what zfs has against the stream
 * @throws ZferryError what `restore` throws when the stream itself is bad; `zfs-…` when zfs cannot be used, or when the
 * scratch dataset could not be taken away
 */
export async function checkReceive(request: Receiving): Promise<Finding[]> {
  const { store, scratch, chain, stateDir, warn } = request;
  const entry = chain[chain.length - 1];
  if (entry === undefined) throw new ZferryError("bug", "an empty chain was to be received");
  await checkScratch(scratch, request.signal);
  const ours = receivedOf(chain, { isOwnName: false });
  const startedAt = performance.now();
  let found: Finding[] = [];
  try {
    await restore({
      ...request,
      store,
      zfs: scratch.zfs,
      wanted: { kind: "snapshot", name: entry.backup },
      target: scratch.into,
      receive: defaultReceiveOptions,
      stateDir,
      isDryRun: false,
      onStep: () => undefined,
    });
    scratch.onReceived?.((performance.now() - startedAt) / 1000);
    if (scratch.sample !== null) {
      const { sample, findings } = await compareSample(scratch, entry, scratch.sample, request.signal);
      scratch.onSample(sample);
      found = findings;
    }
  } catch (error) {
    if (!isZferryError(error, "zfs-failed", "target-modified")) {
      await takeAway(scratch, ours, AbortSignal.timeout(destroyTimeoutMs)).catch((second: unknown) => {
        warn(`the scratch dataset "${scratch.into}" may be left: ${(second as Error).message}`);
      });
      throw error;
    }
    found = [finding("receive", error.message)];
  }
  await takeAway(scratch, ours, AbortSignal.timeout(destroyTimeoutMs));
  return found;
}

/**
 * Destroys what was received, after a look at what it is. That it is gone is what was wanted.
 *
 * @throws ZferryError `zfs-failed` when there is something in it that was not received, `zfs-busy` when it is in use
 */
export async function takeAway({ zfs, into }: Pick<Scratch, "zfs" | "into">, { guids, isPackage, isOwnName }: Received, signal: AbortSignal): Promise<void> {
  const there = await readDataset(zfs, into, { signal });
  if (there === null) return;
  const ours = new Set<Guid>(guids);
  const hasOurs = there.snapshots.some(({ guid }) => ours.has(guid)) || (isOwnName && there.snapshots.length === 0);
  const strangers = there.snapshots.filter(({ guid }) => !ours.has(guid)).map(({ name }) => name);
  const below = (await listDatasets(zfs, into, { signal })).filter((name) => name !== into);
  if (hasOurs && (isPackage || strangers.length + below.length === 0)) return destroyDataset(zfs, into, there.guid, { signal });
  const what = !hasOurs ? "it holds no snapshot of this backup" : `it holds "${[...strangers, ...below].join('", "')}"`;
  throw new ZferryError("zfs-failed", `will not destroy the scratch dataset "${into}": ${what}, which this run has not made`, {
    hint: "look at it, and destroy it with zfs itself",
  });
}
