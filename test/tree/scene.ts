/** Trees stored and restored in this process, as engine `s3` does it. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { KeepPolicy } from "../../src/config/keep.ts";
import type { FilesPlace, RunId } from "../../src/format/file-layout.ts";
import type { PacketName } from "../../src/format/layout.ts";
import type { Store } from "../../src/store/store.ts";
import { withFetched } from "../../src/tree/memory.ts";
import { restoreTree, type Restored } from "../../src/tree/restore-tree.ts";
import { fetchList, runsIn } from "../../src/tree/runs.ts";
import { believe, storeTree, type TreeOutcome, type TreeRequest } from "../../src/tree/store-tree.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";
import { ownFolder } from "../folder.ts";

export const { signal } = new AbortController();

export const place: FilesPlace = { job: "my papers/2026", dataset: parseDatasetName("tank/home") };

export const keepLast = (last: number): KeepPolicy => ({ last, withinMs: null, daily: 0, weekly: 0, monthly: 0, yearly: 0, fulls: 0 });

export class TreeScene {
  readonly folder = ownFolder();
  readonly tree = join(this.folder, "tree");
  readonly warnings: string[] = [];
  readonly store: Store;
  stateDir = join(this.folder, "state");
  passphrases: readonly string[] = [];
  packet: PacketName = "none";
  now = new Date("2026-11-21T02:00:00Z");
  #restoreCount = 0;

  constructor(store: Store) {
    this.store = store;
    for (const folder of [this.tree, this.stateDir]) mkdirSync(folder);
  }

  save(more: Partial<TreeRequest> = {}): Promise<TreeOutcome> {
    this.now = new Date(this.now.getTime() + 60_000);
    const { store, packet, passphrases } = this;
    return storeTree({
      ...place,
      root: this.tree,
      snapshot: parseSnapshotName("tank/home@monday"),
      place: { store, packet, recipients: { passphrases, certificates: [] }, keyring: { passphrases, privateKeys: [] }, partBytes: 5 * 1024 * 1024, concurrency: 2, leaseMs: null },
      keep: null,
      stateDir: this.stateDir,
      warn: (text) => this.warnings.push(text),
      now: () => this.now,
      onProgress: () => undefined,
      signal,
      ...more,
    });
  }

  async runs(): Promise<readonly RunId[]> {
    return (await runsIn(this.store, place, signal)).lists;
  }

  /** Into a new folder, unless one is given. */
  async bring(more: { readonly run?: RunId; readonly into?: string; readonly paths?: readonly string[]; readonly overwrite?: boolean } = {}): Promise<Restored & { readonly into: string }> {
    this.#restoreCount += 1;
    const { into = join(this.folder, `back-${this.#restoreCount}`), paths = [], overwrite = false } = more;
    const run = more.run ?? (await this.runs()).at(-1) ?? "";
    const keyring = { passphrases: this.passphrases, privateKeys: [] };
    const restored = await withFetched(this.stateDir, async (path) => {
      const list = await fetchList(this.store, { ...place, run }, path, { signal });
      if (this.passphrases.length > 0) await believe(list, keyring);
      return restoreTree({ store: this.store, place, list, into, paths, keyring, manner: { overwrite, givesOwners: true }, onWritten: () => undefined, signal });
    });
    return { ...restored, into };
  }
}
