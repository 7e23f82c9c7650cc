/** Receives the newest backup of a dataset, with the full it needs, into a new dataset. */
import { defaultReceiveOptions, type Keyring, parseDatasetName, restore, Sources, type Store, type Zfs } from "zferry";

/** @param stores - asked in this order; the next one stands in where one fails */
export async function bringBack(stores: readonly Store[], zfs: Zfs, dataset: string, target: string, keyring: Keyring, signal: AbortSignal): Promise<string[]> {
  const steps = await restore({
    store: new Sources(stores, ({ why }) => {
      console.warn(why);
    }),
    zfs,
    wanted: { kind: "latest", dataset: parseDatasetName(dataset) },
    target: parseDatasetName(target),
    receive: defaultReceiveOptions,
    stateDir: null,
    isDryRun: false,
    onStep: ({ entry }) => {
      console.log(`receiving ${entry.backup}`);
    },
    keyring,
    allowUnauthenticated: false,
    concurrency: 2,
    onFetched: () => undefined,
    warn: console.warn,
    signal,
  });
  return steps.map(({ entry }) => entry.backup);
}
