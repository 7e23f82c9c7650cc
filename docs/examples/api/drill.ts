/** Restores a backup by lot below a dataset, compares its guid, and takes it away again. */
import { randomBytes } from "node:crypto";
import { drill, type Keyring, parseDatasetName, type Store, type Zfs } from "zferry";

/** @returns how long the restore took, in seconds; null when it failed */
export async function rehearse(store: Store, zfs: Zfs, place: string, keyring: Keyring, stateDir: string, signal: AbortSignal): Promise<number | null> {
  const { report, error } = await drill({
    store,
    zfs,
    stateDir,
    job: null,
    selects: (datasets) => datasets,
    backup: null,
    into: parseDatasetName(place),
    sampleCount: 0,
    seed: randomBytes(4).toString("hex"),
    now: () => new Date(),
    onPlan: ({ backup }) => {
      console.log(`trying ${backup}`);
    },
    keyring,
    allowUnauthenticated: false,
    concurrency: 2,
    onFetched: () => undefined,
    warn: console.warn,
    signal,
  });
  if (error !== null) console.error(error.message);
  return report.restoreSeconds;
}
