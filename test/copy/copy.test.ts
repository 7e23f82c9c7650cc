/**
 * Copies between stores: what arrives, in which order, what is left when it is cut off anywhere, and what a damaged or forged
 * source, a target that fails and a lost lease come to.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { aloneInStore } from "../../src/alone.ts";
import { copy, type CopyOutcome, type CopyRequest, failuresOf } from "../../src/copy/copy.ts";
import { ZferryError } from "../../src/errors.ts";
import { chunkKey, manifestKey } from "../../src/format/layout.ts";
import { openBackup } from "../../src/catalog.ts";
import { withLocalLock } from "../../src/lock.ts";
import { retrieve } from "../../src/retrieve.ts";
import { takeLease } from "../../src/store/lease.ts";
import { leaseTiming } from "../../src/store/lease-object.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { verify } from "../../src/verify/verify.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";
import { type FaultyStore, faultyStore } from "../faulty-store.ts";
import { ferrying, bobsKeyring, bytesOf, fullStream, keysIn, never } from "../ferrying.ts";
import { ownFolder } from "../folder.ts";
import { recorded } from "../replay/forge.ts";
import { noRules } from "../retaining.ts";

const dataset = parseDatasetName("tank/src");
const [one, two] = ["tank/src@s1", "tank/src@s2"].map(parseSnapshotName) as [ReturnType<typeof parseSnapshotName>, ReturnType<typeof parseSnapshotName>];

/** Spares opening the same key again and again. */
const keyless = { keyring: { passphrases: [], privateKeys: [] }, allowUnauthenticated: false, concurrency: 2 };

let main: FaultyStore;
let away: FaultyStore;
let stateDir: string;

function called(url: string): FaultyStore {
  return Object.assign(faultyStore(new MemoryStore()), { url });
}

beforeEach(async () => {
  [main, away, stateDir] = [called("memory:main"), called("memory:away"), ownFolder()];
  await ferrying(main);
  await ferrying(main, { stream: recorded("inc-i"), cargo: { backup: two, baseBackup: () => one } });
});

function copying(options: Partial<CopyRequest> & { readonly warnings?: string[] } = {}): Promise<CopyOutcome> {
  const { warnings = [], ...rest } = options;
  return copy({
    from: main,
    to: away,
    dataset,
    keep: null,
    reading: { keyring: bobsKeyring, allowUnauthenticated: false, concurrency: 2 },
    stateDir,
    leaseMs: 60_000,
    isDryRun: false,
    now: () => new Date("2026-11-21T12:00:00Z"),
    progress: { onBegin: () => undefined, onCopied: () => undefined, warn: (text) => void warnings.push(text) },
    signal: never,
    ...rest,
  });
}

function tellOf({ backups }: CopyOutcome): string[] {
  return backups.map(({ entry, fate }) => `${fate} ${entry.backup}`);
}

async function expectSame(): Promise<void> {
  const keys = await keysIn(main);
  expect(await keysIn(away)).toEqual(keys);
  for (const key of keys) expect((await bytesOf(away, key)).equals(await bytesOf(main, key)), key).toBe(true);
}

async function restored(store: Store): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const options = { concurrency: 2, onFetched: () => undefined, signal: never };
  for await (const slice of retrieve(store, await openBackup(store, one, bobsKeyring, never), options)) pieces.push(Buffer.from(slice));
  return Buffer.concat(pieces);
}

async function damage(store: Store, backup: typeof one, index: number): Promise<string> {
  const { attempt } = (await openBackup(store, backup, bobsKeyring, never)).manifest;
  const key = chunkKey(backup, attempt, "ocb", index);
  const bytes = await bytesOf(store, key);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  await store.put(key, bytes, { when: "replace", signal: never });
  return key;
}

async function manifestsIn(store: Store): Promise<string[]> {
  return (await keysIn(store)).filter((key) => key.startsWith("manifests/"));
}

describe("a copy", () => {
  it("has every object as it is, the full before the incremental, and restores by itself", async () => {
    const outcome = await copying();
    expect(tellOf(outcome)).toEqual(["copied tank/src@s1", "copied tank/src@s2"]);
    expect(failuresOf(outcome)).toEqual([]);
    await expectSame();
    expect((await restored(away)).equals(fullStream)).toBe(true);
  });

  it("sends nothing again that is there", async () => {
    await copying();
    away.calls.length = 0;
    const outcome = await copying();
    expect(tellOf(outcome)).toEqual([]);
    expect(outcome.thereCount).toBe(2);
    expect(away.calls.filter((verb) => verb !== "list")).toEqual([]);
  });

  it("of what a policy would not keep is not made", async () => {
    const late = parseSnapshotName("tank/src@late");
    await ferrying(main, { stream: recorded("holes"), cargo: { backup: late } });
    const outcome = await copying({ keep: { ...noRules, last: 1 } });
    const [newest] = outcome.backups.map(({ entry }) => entry).sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
    expect(outcome.backups.length + outcome.unwantedCount).toBe(3);
    expect(outcome.unwantedCount).toBeGreaterThan(0);
    expect(newest).toBeDefined();
  });

  it("that is only planned changes nothing", async () => {
    expect(tellOf(await copying({ isDryRun: true }))).toEqual(["would-copy tank/src@s1", "would-copy tank/src@s2"]);
    expect(await keysIn(away)).toEqual([]);
  });

  it("of an incremental whose full is pruned from the target meanwhile has failed, and the next one makes up for it", async () => {
    const put = away.put.bind(away);
    away.put = async (key, body, options) => {
      if (key === manifestKey(two)) await away.delete([manifestKey(one)], { signal: never });
      return put(key, body, options);
    };
    const { backups } = await copying();
    expect(backups.map(({ fate, error }) => [fate, error?.code ?? null])).toEqual([["failed", "manifest-invalid"], ["failed", "backup-not-found"]]);
    away.put = put;
    expect(failuresOf(await copying())).toEqual([]);
    await expectSame();
  });

  it("into itself is refused", async () => {
    await expect(copying({ to: main })).rejects.toMatchObject({ code: "usage" });
  });

  it("needs no key, and then checks all but who wrote it", async () => {
    expect(failuresOf(await copying({ reading: keyless }))).toEqual([]);
    await expectSame();
  });

  it("of what no key here opens fails, unless that is allowed", async () => {
    const keyring = { passphrases: ["another"], privateKeys: [] };
    const outcome = await copying({ reading: { keyring, allowUnauthenticated: false, concurrency: 2 } });
    expect(failuresOf(outcome).map(({ code }) => code)).toEqual([expect.stringMatching(/^key-/), "backup-not-found"]);
    expect(await manifestsIn(away)).toEqual([]);
    expect(failuresOf(await copying({ reading: { keyring, allowUnauthenticated: true, concurrency: 2 } }))).toEqual([]);
    await expectSame();
  });
});

describe("a source with a damaged chunk", () => {
  it("in an incremental fails that alone, and leaves nothing of it", async () => {
    const key = await damage(main, two, 0);
    const outcome = await copying();
    expect(tellOf(outcome)).toEqual(["copied tank/src@s1", "failed tank/src@s2"]);
    expect(failuresOf(outcome)[0]).toMatchObject({ code: "chunk-invalid", message: expect.stringContaining(key) as string });
    expect((await keysIn(away)).filter((one) => one.includes("s2"))).toEqual([]);
  });

  it("in the last chunk of a full fails what starts from it as well, and nothing is visible", async () => {
    await damage(main, one, 7);
    const outcome = await copying();
    expect(tellOf(outcome)).toEqual(["failed tank/src@s1", "failed tank/src@s2"]);
    expect(await keysIn(away)).toEqual([]);
  });

  it("is copied once it is mended", async () => {
    const key = await damage(main, one, 3);
    await copying();
    const bytes = await bytesOf(main, key);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await main.put(key, bytes, { when: "replace", signal: never });
    expect(failuresOf(await copying())).toEqual([]);
    await expectSame();
  });
});

describe("a source with a manifest", () => {
  it("that cannot be read fails loudly, and the others are copied", async () => {
    await main.put(manifestKey(two), Buffer.from("{}"), { when: "replace", signal: never });
    const outcome = await copying();
    expect(tellOf(outcome)).toEqual(["copied tank/src@s1"]);
    expect(failuresOf(outcome)).toMatchObject([{ code: "manifest-invalid" }]);
  });

  it("of another backup under a name that the target has overwrites nothing", async () => {
    await copying();
    const before = await bytesOf(away, manifestKey(one));
    await main.delete([manifestKey(one)], { signal: never });
    await ferrying(main);
    expect(failuresOf(await copying())).toMatchObject([{ code: "backup-conflict" }]);
    expect((await bytesOf(away, manifestKey(one))).equals(before)).toBe(true);
  });
});

describe("a target whose manifest cannot be read", () => {
  it("is told, and nothing of it is overwritten", async () => {
    await away.put(manifestKey(one), Buffer.from("{}"), { when: "replace", signal: never });
    const outcome = await copying();
    expect(failuresOf(outcome).map(({ code }) => code)).toContain("manifest-invalid");
    expect((await bytesOf(away, manifestKey(one))).toString()).toBe("{}");
  });
});

describe("a copy in which verify has found bad chunks", () => {
  const looking = { ...keyless, threads: 0, onFetched: () => undefined, warn: () => undefined, signal: never };

  async function verified(level: "exists" | "digest"): Promise<string[]> {
    const now = (): Date => new Date("2026-11-21T13:00:00Z");
    const { backups } = await verify({ ...looking, store: away, scope: { kind: "all" }, level, budgetBytes: null, scratch: null, stateDir, now, onBackup: () => undefined });
    return backups.flatMap(({ findings }) => findings.map(({ kind }) => kind));
  }

  async function chunkOf(index: number): Promise<string> {
    const { attempt } = (await openBackup(main, one, bobsKeyring, never)).manifest;
    return chunkKey(one, attempt, "ocb", index);
  }

  beforeEach(async () => {
    await copying();
  });

  it("gets them again, and nothing else, and is not mended twice", async () => {
    await damage(away, one, 3);
    expect(await verified("digest")).toEqual(["digest"]);
    expect(tellOf(await copying({ isDryRun: true }))).toEqual(["would-mend tank/src@s1"]);
    const puts: string[] = [];
    const watched: Store = {
      ...away,
      put: (key, body, options) => {
        if (key.startsWith("streams/")) puts.push(key);
        return away.put(key, body, options);
      },
    };
    const outcome = await copying({ to: watched });
    expect(outcome.backups).toMatchObject([{ fate: "mended", sentBytes: 64 * 1024, error: null }]);
    expect(puts).toEqual([await chunkOf(3), expect.stringMatching(/RESTORE\.md$/)]);
    await expectSame();
    expect(tellOf(await copying())).toEqual([]);
    expect(await verified("digest")).toEqual([]);
  });

  it("gets those that are missing or cut short, too", async () => {
    await away.delete([await chunkOf(0)], { signal: never });
    await away.put(await chunkOf(1), Buffer.from("cut"), { when: "replace", signal: never });
    expect(await verified("exists")).toEqual(["missing-chunk", "size"]);
    expect(tellOf(await copying())).toEqual(["mended tank/src@s1"]);
    await expectSame();
  });

  it("keeps all it has when the source is no better", async () => {
    await damage(away, one, 3);
    await damage(main, one, 3);
    await verified("digest");
    const before = await keysIn(away);
    const outcome = await copying();
    expect(tellOf(outcome)).toEqual(["failed tank/src@s1"]);
    expect(failuresOf(outcome)).toMatchObject([{ code: "chunk-invalid" }]);
    expect(await keysIn(away)).toEqual(before);
  });

  it("is not touched where the source has another backup under its name, or none", async () => {
    await damage(away, one, 3);
    await verified("digest");
    await main.delete([manifestKey(one)], { signal: never });
    expect(tellOf(await copying())).toEqual([]);
    await ferrying(main);
    expect(tellOf(await copying())).toEqual([]);
  });
});

describe("a target with parts", () => {
  it("too small for a chunk to be put together of is refused before a byte is sent", async () => {
    const small = { ...away, limits: { ...away.limits, maxObjectBytes: 64 * 1024 - 1 } };
    expect(failuresOf(await copying({ to: small }))[0]).toMatchObject({ code: "size-limits", hint: expect.stringContaining("part_size") as string });
    expect(await keysIn(away)).toEqual([]);
  });
});

describe("a warning", () => {
  it("is given once, however often both stores are looked at", async () => {
    await main.delete([manifestKey(one)], { signal: never });
    await ferrying(main, { stream: recorded("holes"), cargo: { backup: parseSnapshotName("tank/src@late") } });
    const warnings: string[] = [];
    expect(failuresOf(await copying({ warnings }))).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining('"tank/src@s2" is not copied: its base')]);
  });
});

describe("a copy that is cut off", () => {
  const broken = new ZferryError("store-failed", "injected");
  const cheap = { leaseMs: null, reading: keyless };

  it("at any write shows only what is whole, and the next one goes on with what is stored", async () => {
    const writes = await countWrites();
    expect(writes).toBeGreaterThan(12);
    for (let nth = 0; nth < writes; nth += 1) {
      [away, stateDir] = [called("memory:away"), ownFolder()];
      const [cut, sent] = cutAt(away, nth);
      await expect(copying({ to: cut, ...cheap })).rejects.toBe(broken);
      for (const key of await manifestsIn(away)) expect(key).toBe(manifestKey(sent.has(manifestKey(one)) ? one : two));
      const outcome = await copying({ ...cheap });
      expect(failuresOf(outcome)).toEqual([]);
      await expectSame();
    }
  });

  it("sends no chunk again that the target has", async () => {
    const [cut] = cutAt(away, 5);
    await expect(copying({ to: cut, ...cheap })).rejects.toBe(broken);
    const outcome = await copying({ ...cheap });
    const [first] = outcome.backups;
    expect(first?.entry.backup).toBe(one);
    expect(first?.sentBytes).toBe((first?.entry.messageBytes ?? 0) - 5 * 64 * 1024);
  });

  it("before a manifest that nobody can read came into its place, is in the way of no other backup", async () => {
    const [cut] = cutAt(away, 5);
    await expect(copying({ to: cut, ...cheap })).rejects.toBe(broken);
    const left = await keysIn(away);
    await away.put(manifestKey(one), Buffer.from("{}"), { when: "replace", signal: never });
    const late = parseSnapshotName("tank/src@late");
    await ferrying(main, { stream: recorded("holes"), cargo: { backup: late } });
    const outcome = await copying({ ...cheap });
    expect(tellOf(outcome)).toContain(`copied ${late}`);
    expect(failuresOf(outcome).map(({ code }) => code)).toContain("manifest-invalid");
    expect(await keysIn(away)).toEqual(expect.arrayContaining(left)); // it may be theirs
    await away.delete([manifestKey(one)], { signal: never });
    expect(failuresOf(await copying({ ...cheap }))).toEqual([]);
    await expectSame();
  });

  it("and was pruned from the source meanwhile, leaves nothing once the next one has looked", async () => {
    const [cut] = cutAt(away, 5);
    await expect(copying({ to: cut, ...cheap })).rejects.toBe(broken);
    expect(await keysIn(away)).not.toEqual([]);
    await main.delete([manifestKey(one), manifestKey(two)], { signal: never });
    expect(tellOf(await copying({ ...cheap }))).toEqual([]);
    expect(await keysIn(away)).toEqual([]);
  });

  /** A store that fails at its `nth` write and from then on; and the keys that were written. */
  function cutAt(inner: Store, nth: number): readonly [Store, ReadonlySet<string>] {
    let count = 0;
    const sent = new Set<string>();
    const store: Store = {
      ...faultyStore(inner),
      url: inner.url,
      put: (key, body, options) => {
        if (count++ >= nth) return Promise.reject(broken);
        sent.add(key);
        return inner.put(key, body, options);
      },
    };
    return [store, sent];
  }

  async function countWrites(): Promise<number> {
    const counted = called("memory:away");
    await copying({ to: counted, ...cheap, stateDir: ownFolder() });
    return counted.calls.filter((verb) => verb === "put").length;
  }
});

describe("two copies of a dataset into one store", () => {
  it.for([60_000, null])("are not made at once: the second one ends as locked, and has changed nothing (lease: %s ms)", async (leaseMs) => {
    const first = { store: away, stateDir, leaseMs, progress: { warn: () => undefined }, signal: never };
    await aloneInStore(first, dataset, () => expect(copying({ leaseMs })).rejects.toMatchObject({ code: "locked" }));
    expect(await manifestsIn(away)).toEqual([]);
  });

  it("do not keep the dataset itself, of which backups go on", async () => {
    let isFree = false;
    const watched: Store = {
      ...away,
      put: async (key, body, options) => {
        isFree = await withLocalLock(stateDir, dataset, { signal: never }, () => Promise.resolve(true));
        return away.put(key, body, options);
      },
    };
    expect(failuresOf(await copying({ to: watched }))).toEqual([]);
    expect(isFree).toBe(true);
  });

  it("are not made by two hosts at once either", async () => {
    const clock = { ...leaseTiming(60_000), holder: { id: "elsewhere", host: "other" }, warn: () => undefined, signal: never };
    const lease = await takeLease(away, dataset, clock);
    await expect(copying()).rejects.toMatchObject({ code: "locked", message: expect.stringContaining('"other"') as string });
    expect(await manifestsIn(away)).toEqual([]);
    await lease.release();
    expect(failuresOf(await copying())).toEqual([]);
  });
});
