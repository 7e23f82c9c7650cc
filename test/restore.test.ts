/** `restore` from a store that answers the same question twice and not in the same way. */
import { describe, expect, it } from "vitest";
import { ZferryError } from "../src/errors.ts";
import { type FallOver, Sources } from "../src/fall-over.ts";
import { manifestKey } from "../src/format/layout.ts";
import { type Manifest, sealManifest } from "../src/format/manifest.ts";
import { restore, type RestoreRequest, type Wanted } from "../src/restore.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { Store } from "../src/store/store.ts";
import { parseDatasetName, parseSnapshotName } from "../src/zfs/names.ts";
import { defaultReceiveOptions } from "../src/zfs/receive.ts";
import { bobsKeyring, bytesOf, ferrying, keysIn, never, someBackup } from "./ferrying.ts";
import { faultyStore } from "./faulty-store.ts";
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

function requestFor(store: Store | Sources, { zfs }: FakeZfs, wanted: Wanted): RestoreRequest {
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

/** The same objects in another store. */
async function copyOf(store: Store): Promise<MemoryStore> {
  const copy = new MemoryStore();
  for (const key of await keysIn(store)) await copy.put(key, await bytesOf(store, key), { when: "create", signal: never });
  return copy;
}

describe("of two stores, one of which", () => {
  const latest: Wanted = { kind: "latest", dataset };

  interface Outcome {
    readonly backups: readonly string[];
    readonly fallOvers: readonly FallOver[];
  }

  async function chosen(stores: readonly Store[], wanted: Wanted): Promise<Outcome> {
    const fallOvers: FallOver[] = [];
    const sources = new Sources(stores, (one) => fallOvers.push(one));
    const steps = await restore({ ...requestFor(sources, fakeZfs({ datasets: {} }), wanted), isDryRun: true });
    return { backups: steps.map(({ entry }) => entry.backup), fallOvers };
  }

  /** Two true copies, and one in which the manifest of `which` is forged. */
  async function withForgery(which: 0 | 1, lie: Partial<Manifest["snapshot"]>): Promise<{ honest: Store; liar: Store }> {
    const honest = new MemoryStore();
    const genuine = (await nights(honest))[which];
    const liar = await copyOf(honest);
    const forged = sealManifest({ ...genuine, snapshot: { ...genuine.snapshot, ...lie } }, Buffer.alloc(32));
    await liar.put(manifestKey(genuine.backup), forged, { when: "replace", signal: never });
    return { honest, liar };
  }

  const times = { "an old one": new Date("2020-01-01T00:00:00Z"), "a late one": new Date("2030-01-01T00:00:00Z") };

  it.for([
    [1, "an old one", "first"],
    [1, "a late one", "first"],
    [1, "an old one", "second"],
    [1, "a late one", "second"],
    [0, "a late one", "first"],
    [0, "a late one", "second"],
  ] as const)("gives backup %i a time nobody with the key has written, %s, as the %s of them: the newest true one is taken", async ([which, time, place]) => {
    const { honest, liar } = await withForgery(which, { createdAt: times[time] });
    const { backups, fallOvers } = await chosen(place === "first" ? [liar, honest] : [honest, liar], latest);
    expect(backups).toEqual([someBackup, second]);
    expect(fallOvers.every(({ backup, chunk }) => backup !== null && chunk === null)).toBe(true);
    if (time === "a late one") expect(fallOvers.map(({ code }) => code)).toEqual(["manifest-invalid"]);
  });

  it("is alone in naming a backup, and nobody with the key has written it, ends the restore: an older one is not taken without a word", async () => {
    const { honest, liar } = await withForgery(1, {});
    await honest.delete([manifestKey(second)], { signal: never });
    for (const stores of [[honest, liar], [liar, honest]]) {
      await expect(chosen(stores, latest)).rejects.toMatchObject({ code: "manifest-invalid" });
    }
  });

  it.for([
    ["first", "store-failed"],
    ["second", "store-failed"],
    ["first", "manifest-invalid"],
    ["second", "store-denied"],
  ] as const)("cannot be listed is left out when it is the %s, and that is told: %s", async ([place, code]) => {
    const store = new MemoryStore();
    await nights(store);
    const down = faultyStore(await copyOf(store));
    down.fail("list", { error: new ZferryError(code, "injected"), when: "before" });
    const { backups, fallOvers } = await chosen(place === "first" ? [down, store] : [store, down], latest);
    expect(backups).toEqual([someBackup, second]);
    expect(fallOvers).toMatchObject([{ backup: null, key: null, code, why: expect.stringContaining("may hold newer backups") as string }]);
    down.assertAllFired();
  });

  it("fails for a reason that is not its own ends the restore", async () => {
    const store = new MemoryStore();
    await nights(store);
    const stopped = faultyStore(store);
    stopped.fail("list", { error: new ZferryError("terminated", "stopped by SIGTERM"), when: "before" });
    await expect(chosen([stopped, store], latest)).rejects.toMatchObject({ code: "terminated" });
  });
});
