/** Takes a snapshot and stores it: a full, or an incremental against the last full of this store. */
import { backup, parseDatasetName, type Recipients, type Store, type Zfs } from "zferry";

const dayMs = 24 * 60 * 60 * 1000;

/** @returns the backup's name, or null when nothing has changed since the last one */
export async function backUp(store: Store, zfs: Zfs, dataset: string, recipients: Recipients, stateDir: string, signal: AbortSignal): Promise<string | null> {
  const { plan, manifest } = await backup({
    zfs, // zfsThrough(["zfs"], process.env), or ["ssh", "host", "zfs"]
    store,
    dataset: parseDatasetName(dataset),
    snapshot: null,
    isOwnSnapshot: false,
    snapshotPrefix: "zferry-",
    policy: { ask: "auto", fullEveryMs: 30 * dayMs, fullWhenIncrementalExceeds: null },
    settings: { packet: "ocb", recipients, chunkBytes: 1024 ** 3, partBytes: 16 * 1024 ** 2, threads: 0 },
    stateDir,
    leaseMs: 60_000,
    isAbandoning: false,
    isDryRun: false,
    now: () => new Date(),
    progress: { onPlan: () => undefined, onEstimate: () => undefined, onRead: () => undefined, onStored: () => undefined, warn: console.warn },
    signal,
  });
  console.log(plan.reason);
  return manifest?.backup ?? null;
}
