/** Says which backups of a dataset a policy does not keep; with `isDryRun: false` it removes them. */
import { parseDatasetName, prune, type Store } from "zferry";

export async function superfluous(store: Store, dataset: string, stateDir: string, signal: AbortSignal): Promise<string[]> {
  const { backups } = await prune({
    zfs: null, // only the store is judged
    store,
    dataset: parseDatasetName(dataset),
    keep: { local: null, store: { last: 1, withinMs: null, daily: 7, weekly: 4, monthly: 12, yearly: 0, fulls: 2 } },
    stateDir,
    leaseMs: null,
    isDryRun: true,
    now: () => new Date(),
    progress: { warn: console.warn },
    signal,
  });
  return backups.filter(({ fate }) => fate === "would-go").map(({ subject }) => subject.backup);
}
