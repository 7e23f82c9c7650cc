/** `restore` from a store that answers the same question twice and not in the same way. */
import { describe, expect, it } from "vitest";
import { manifestKey } from "../src/format/layout.ts";
import { type Manifest, sealManifest } from "../src/format/manifest.ts";
import { restore, type RestoreRequest, type Wanted } from "../src/restore.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { Store } from "../src/store/store.ts";
import { parseDatasetName, parseSnapshotName } from "../src/zfs/names.ts";
import { defaultReceiveOptions } from "../src/zfs/receive.ts";
import { bobsKeyring, ferrying, never, someBackup } from "./ferrying.ts";
import { ownFolder } from "./folder.ts";
import { recorded } from "./replay/forge.ts";
import { twoFaced } from "./two-faced.ts";
import { type FakeZfs, fakeZfs } from "./zfs/fake.ts";

const dataset = parseDatasetName("tank/src");
const second = parseSnapshotName("tank/src@s2");

async function nights(store: Store): Promise<readonly [full: Manifest, incremental: Manifest]> {
  const full = await ferrying(store);
  return [full, await ferrying(store, { stream: recorded("inc-i"), cargo: { backup: second, baseBackup: () => someBackup } })];
}

function requestFor(store: Store, { zfs }: FakeZfs, wanted: Wanted): RestoreRequest {
  return {
    store,
    zfs,
    wanted,
    target: parseDatasetName("pool/back"),
    receive: defaultReceiveOptions,
    stateDir: ownFolder(),
    isDryRun: false,
    onStep: () => undefined,
    keyring: bobsKeyring,
    allowUnauthenticated: false,
    concurrency: 2,
    onFetched: () => undefined,
    warn: () => undefined,
    signal: never,
  };
}

function receives(pool: FakeZfs): readonly unknown[] {
  return pool.calls().filter(([verb]) => verb === "receive");
}

describe("a manifest that nobody with the key has written, shown to whoever chooses and to no one who reads", () => {
  const long = new Date("2020-01-01T00:00:00Z");
  const later = new Date("2030-01-01T00:00:00Z");
  const latest: Wanted = { kind: "latest", dataset };

  it.for([
    ["passes off a backup as received, by the guid of its base", 1, ([full]) => ({ guid: full.snapshot.guid }), latest],
    ["passes off an old backup as the newest", 0, () => ({ createdAt: later }), latest],
    ["passes off a backup as older than it is", 1, () => ({ createdAt: long }), { kind: "at", dataset, time: new Date("2021-01-01T00:00:00Z") }],
  ] as const satisfies readonly (readonly [string, 0 | 1, (of: readonly [Manifest, Manifest]) => Partial<Manifest["snapshot"]>, Wanted])[])(
    "never %s",
    async ([, which, lie, wanted]) => {
      const inner = new MemoryStore();
      const manifests = await nights(inner);
      const genuine = manifests[which];
      const forged = sealManifest({ ...genuine, snapshot: { ...genuine.snapshot, ...lie(manifests) } }, Buffer.alloc(32));
      const store = twoFaced(inner, manifestKey(genuine.backup), forged, (nth) => nth === 0);
      const guid = String(manifests[0].snapshot.guid);
      const pool = fakeZfs({ datasets: { "pool/back": { snapshots: { s1: { guid, holds: [], ours: false } } } } });
      await expect(restore(requestFor(store, pool, wanted))).rejects.toMatchObject({
        code: "manifest-invalid",
        message: expect.stringMatching(`the manifest of "${genuine.backup}" is not the one it was`) as unknown,
      });
      expect(receives(pool)).toEqual([]);
    },
  );
});
