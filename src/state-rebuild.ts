/**
 * `zferry state rebuild`: forgets what is remembered of a store and reads it again.
 */
import { readCatalog } from "./catalog.ts";
import { byAge, datasetOfEntry } from "./format/entry.ts";
import { updateStoreState } from "./state.ts";
import type { Store } from "./store/store.ts";

export interface RebuildRequest {
  readonly store: Store;
  readonly stateDir: string;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface Rebuilt {
  readonly backupCount: number;
  readonly damagedCount: number;
  /** By dataset, the backup that is the anchor. */
  readonly anchors: ReadonlyMap<string, string>;
}

/** The anchor of each dataset becomes its newest full in the store; whether the pool has it is found at the next backup. */
export async function rebuildState({ store, stateDir, warn, signal }: RebuildRequest): Promise<Rebuilt> {
  const { backups, damaged } = await readCatalog(store, { dataset: null, stateDir: null, warn, signal });
  const fulls = backups.filter(({ kind, streamKind }) => kind === "full" && streamKind === "single").sort(byAge);
  await updateStoreState(stateDir, store.url, (state) => {
    state.manifests = {};
    state.lost = {};
    state.anchors = Object.fromEntries(
      fulls.map((entry) => [datasetOfEntry(entry), { backup: entry.backup, guid: String(entry.guid) }]),
    );
  });
  await readCatalog(store, { dataset: null, stateDir, warn, signal });
  const anchors = new Map(fulls.map((entry) => [datasetOfEntry(entry), entry.backup]));
  return { backupCount: backups.length, damagedCount: damaged.length, anchors };
}
