/**
 * `verify` where the command line cannot reach: streams and seals forged by someone with the key, stores that fail or
 * change in the middle, an interrupted receive.
 */
import { describe, expect, it } from "vitest";
import { openBackup } from "../../src/catalog.ts";
import { ZferryError } from "../../src/errors.ts";
import { attemptPrefix, chunkKey, manifestKey } from "../../src/format/layout.ts";
import { type Manifest, sealManifest } from "../../src/format/manifest.ts";
import { manifestKey as hmacKey } from "../../src/openpgp/session.ts";
import { readStoreState } from "../../src/state.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { measure } from "../../src/stream/digest.ts";
import { lastVerified } from "../../src/verified.ts";
import { verify, type VerifiedBackup, type VerifyRequest } from "../../src/verify/verify.ts";
import { Budget, byNeed } from "../../src/verify/budget.ts";
import { entryOf } from "../../src/format/entry.ts";
import { parseDatasetName, parseSnapshotName, type SnapshotName } from "../../src/zfs/names.ts";
import { faultyStore } from "../faulty-store.ts";
import { bobsKeyring, bytesOf, ferrying, fullStream, keysIn, never, smallSettings, someBackup } from "../ferrying.ts";
import { ownFolder } from "../folder.ts";
import { recorded } from "../replay/forge.ts";
import { twoFaced } from "../two-faced.ts";
import { fakeZfs } from "../zfs/fake.ts";

const nobody = { passphrases: [], certificates: [] };
const noKey = { passphrases: [], privateKeys: [] };
const second = parseSnapshotName("tank/src@s2");

interface Run {
  readonly results: VerifiedBackup[];
  readonly warnings: string[];
  readonly stateDir: string;
  readonly request: VerifyRequest;
}

function runOn(store: Store, options: Partial<VerifyRequest> = {}): Run {
  const [results, warnings, stateDir]: [VerifiedBackup[], string[], string] = [[], [], options.stateDir ?? ownFolder()];
  const request: VerifyRequest = {
    store,
    scope: { kind: "all" },
    level: null,
    budgetBytes: null,
    scratch: null,
    stateDir,
    now: () => new Date("2026-11-22T03:00:00Z"),
    onBackup: (result) => results.push(result),
    keyring: bobsKeyring,
    allowUnauthenticated: false,
    concurrency: 3,
    onFetched: () => undefined,
    warn: (text) => void warnings.push(text),
    signal: never,
    ...options,
  };
  return { results, warnings, stateDir, request };
}

async function findings(store: Store, options: Partial<VerifyRequest> = {}): Promise<string[]> {
  const { backups } = await verify(runOn(store, options).request);
  return backups.flatMap((one) => one.findings.map(({ kind, message }) => `${kind}: ${message}`));
}

/** A backup that is what `stream` is, whatever the manifest says of it: chunks, marks and digests fit. */
async function forged(manifest: Manifest, stream: Buffer, store: Store): Promise<void> {
  const keyAt = (index: number): string => chunkKey(manifest.backup, manifest.attempt, "none", index);
  await store.delete([...manifest.chunks.keys()].map(keyAt), { signal: never });
  const chunks: Manifest["chunks"] = [];
  for (let at = 0; at < stream.length; at += manifest.chunkBytes) {
    const bytes = stream.subarray(at, at + manifest.chunkBytes);
    const { sizeBytes, sha256, marks } = await measure([bytes] as never, { markBytes: manifest.markBytes });
    chunks.push({ sizeBytes, sha256, marks: [...marks] });
    await store.put(keyAt(chunks.length - 1), bytes, { when: "replace", signal: never });
  }
  const file = sealManifest({ ...manifest, chunks, messageBytes: stream.length }, null);
  await store.put(manifestKey(manifest.backup), file, { when: "replace", signal: never });
}

async function unkeyed(): Promise<{ store: MemoryStore; manifest: Manifest }> {
  const store = new MemoryStore();
  return { store, manifest: await ferrying(store, { settings: { packet: "none", recipients: nobody } }) };
}

describe("level stream", () => {
  const options = { level: "stream", keyring: noKey } as const;

  it("finds nothing in a stream that nobody needs a key for, without a key", async () => {
    const { store } = await unkeyed();
    const { backups } = await verify(runOn(store, options).request);
    expect(backups).toMatchObject([{ level: "stream", findings: [], obstacle: null, isSealChecked: false }]);
  });

  it.for([
    ["a record's checksum", (bytes: Buffer) => { bytes.writeUInt8(bytes.readUInt8(200_000) ^ 1, 200_000); return bytes; }, /^stream: .*record \d+.*at byte \d+/],
    ["the END record missing", (bytes: Buffer) => bytes.subarray(0, -312), /^stream: .*END/],
    ["another snapshot's guid", () => Buffer.from(recorded("holes")), /^stream: .*guid.*record 1, BEGIN, at byte 0/],
  ] as const)("finds %s, though every digest fits", async ([, harm, message]) => {
    const { store, manifest } = await unkeyed();
    await forged(manifest, harm(Buffer.from(fullStream)), store);
    expect(await findings(store, { ...options, level: "digest" })).toEqual([]);
    const found = await findings(store, options);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });

  it("takes a backup that is not sealed with any key for a finding where there is a key", async () => {
    const { store } = await unkeyed();
    expect(await findings(store)).toEqual([expect.stringMatching(/^seal: .*not sealed with any key/)]);
    expect(await findings(store, { allowUnauthenticated: true })).toEqual([]);
  });
});

describe("a store", () => {
  const two = async (): Promise<{ store: MemoryStore; manifests: readonly Manifest[] }> => {
    const store = new MemoryStore();
    const full = await ferrying(store);
    const incremental = await ferrying(store, { stream: recorded("inc-i"), cargo: { backup: second, baseBackup: () => someBackup } });
    return { store, manifests: [full, incremental] };
  };

  it("that fails ends the run with its own error, and what was verified until then is remembered", async () => {
    const { store } = await two();
    const { request, stateDir, results } = runOn(store);
    const flaky = faultyStore(store);
    const failing = verify({
      ...request,
      store: flaky,
      onBackup: (result) => {
        results.push(result);
        if (results.length === 1) flaky.fail("get", { error: new ZferryError("store-failed", "the network is gone"), when: "before" });
      },
    });
    await expect(failing).rejects.toMatchObject({ code: "store-failed" });
    flaky.assertAllFired();
    expect(results.map(({ backup, level }) => [backup, level])).toEqual([[second, "stream"], [someBackup, "exists"]]);
    const { verified = {} } = await readStoreState(stateDir, store.url, () => undefined);
    expect(Object.entries(verified).map(([key, of]) => [key, Object.keys(of)]).sort()).toEqual([
      [manifestKey(someBackup), ["exists"]],
      [manifestKey(second), ["stream"]],
    ]);
  });

  it("that cannot be listed is an error and no empty result", async () => {
    const { store } = await two();
    for (const skip of [0, 1]) {
      const flaky = faultyStore(store);
      const list = flaky.list.bind(flaky);
      let calls = 0;
      const failing: Store = { ...flaky, list: (prefix, options) => {
        if (calls++ === skip) throw new ZferryError("store-failed", "cannot list");
        return list(prefix, options);
      } };
      await expect(verify(runOn(failing).request)).rejects.toMatchObject({ code: "store-failed" });
    }
  });

  it("from which a backup is removed meanwhile has one backup less, and no finding", async () => {
    const { store, manifests } = await two();
    const [, incremental] = manifests;
    const removing: Store = {
      ...faultyStore(store),
      list: async function* (prefix, options) {
        if (prefix.startsWith("streams/") && incremental !== undefined) {
          const gone = (await keysIn(store)).filter((key) => key.startsWith(attemptPrefix(second, incremental.attempt)));
          await store.delete([manifestKey(second), ...gone], { signal: never });
        }
        yield* store.list(prefix, options);
      },
    };
    const { backups } = await verify(runOn(removing).request);
    expect(backups.map(({ backup, findings: found }) => [backup, found])).toEqual([[someBackup, []]]);
  });

  it("is read no more than once, and each byte of each chunk", async () => {
    const { store, manifests } = await two();
    let bytes = 0;
    const { request } = runOn(store, { onFetched: (count) => { bytes += count; } });
    const { backups } = await verify(request);
    const total = manifests.reduce((sum, { messageBytes }) => sum + messageBytes, 0);
    expect([bytes, backups.reduce((sum, one) => sum + one.bytes, 0)]).toEqual([total, total]);
  });

  it.for([1, 2, 5])("of chunks with one mark each is read the same with %i ranges at a time", async (concurrency) => {
    const store = new MemoryStore();
    const manifest = await ferrying(store, { settings: { chunkBytes: smallSettings.partBytes } });
    const key = chunkKey(someBackup, manifest.attempt, "ocb", 11);
    await store.put(key, new Uint8Array(manifest.chunkBytes), { when: "replace", signal: never });
    const found = await findings(store, { level: "digest", concurrency });
    expect(found).toEqual([expect.stringMatching(/^digest: chunk 11 of 29 /)]);
  });
});

describe("a manifest that is not the one this host has read", () => {
  const key = manifestKey(someBackup);

  /** A store that holds two commits of one backup, lists the second and serves the first, whole, when it is told to. */
  async function twiceCommitted(isEarlier: (nth: number) => boolean): Promise<{ honest: Store; lying: Store }> {
    const honest = new MemoryStore();
    await ferrying(honest);
    const earlier = await bytesOf(honest, key);
    await honest.delete([key], { signal: never });
    await ferrying(honest);
    return { honest, lying: twoFaced(honest, key, earlier, isEarlier) };
  }

  const rolledBack = expect.stringMatching(/^rolled-back: the manifest of "tank\/src@s1" is not the one it was: .*only witness/) as unknown;

  it.for(["exists", "digest", "stream"] as const)("is found at level %s night after night, though the listing has not changed", async (level) => {
    const { honest, lying } = await twiceCommitted(() => true);
    const stateDir = ownFolder();
    expect(await findings(honest, { level, stateDir })).toEqual([]);
    for (let night = 0; night < 2; night += 1) expect(await findings(lying, { level, stateDir })).toEqual([rolledBack]);
    expect(await findings(honest, { level, stateDir })).toEqual([]);
  });

  it.for([
    ["while it is listed, looked at", "exists", 1, bobsKeyring],
    ["while it is looked at, opened", "stream", 2, bobsKeyring],
    ["while it is looked at, read without a key", "digest", 3, noKey],
    ["while it is looked at, received", "receive", 3, bobsKeyring],
  ] as const)("is found when it is the right one %s the earlier one", async ([, level, from, keyring]) => {
    const { lying } = await twiceCommitted((nth) => nth >= from);
    const { zfs } = fakeZfs({ datasets: { pool: { snapshots: {} } } });
    const scratch = level === "receive" ? { zfs, into: parseDatasetName("pool/try"), sample: null, onSample: () => undefined } : null;
    expect(await findings(lying, { level, keyring, scratch })).toEqual([rolledBack]);
  });

  /** What whoever holds the certificate can make: another content, sealed as it should be, of the same attempt and time. */
  async function forgedForBob(store: MemoryStore, before: Manifest): Promise<void> {
    await store.delete([key], { signal: never });
    const after = await ferrying(store, { stream: fullStream });
    const { sessionKey } = await openBackup(store, someBackup, bobsKeyring, never);
    for (const index of after.chunks.keys()) {
      const chunk = await bytesOf(store, chunkKey(someBackup, after.attempt, "ocb", index));
      await store.put(chunkKey(someBackup, before.attempt, "ocb", index), chunk, { when: "replace", signal: never });
    }
    const { attempt, committedAt } = before;
    const file = sealManifest({ ...after, attempt, committedAt }, hmacKey(sessionKey ?? Buffer.alloc(0)));
    await store.put(key, file, { when: "replace", signal: never });
  }

  it("is found by the host that has read the true one, though whoever had the certificate has copied attempt and time", async () => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    const manifest = await ferrying(store);
    expect(await findings(store, { stateDir, keyring: noKey })).toEqual([]);
    await forgedForBob(store, manifest);
    expect(await findings(store, { stateDir, keyring: noKey })).toEqual([expect.stringMatching(/^rolled-back: .*was replaced by another one.*only witness/)]);
    expect(await findings(store)).toEqual([]); // with the key and without a memory: the certificate is all it takes
  });
});

describe("an incremental whose base is gone", () => {
  it("has a stream that is fine, and says what is missing", async () => {
    const store = new MemoryStore();
    await ferrying(store, { stream: recorded("inc-i"), cargo: { backup: second, baseBackup: () => someBackup } });
    const { backups } = await verify(runOn(store).request);
    expect(backups).toMatchObject([{ backup: second, level: "stream", findings: [{ kind: "base-missing" }] }]);
    expect(backups[0]?.findings[0]?.message).toMatch(/guid \d+, is not in the store \(it was "tank\/src@s1"\)/);
  });
});

describe("an interrupted receive", () => {
  it("takes away what it has received so far", async () => {
    const store = new MemoryStore();
    const { messageBytes } = await ferrying(store);
    await ferrying(store, { stream: recorded("inc-i"), cargo: { backup: second, baseBackup: () => someBackup } });
    const fake = fakeZfs({ datasets: { "tank/place": {} } });
    const stop = new AbortController();
    let bytes = 0;
    const { request } = runOn(store, {
      level: "receive",
      scope: { kind: "snapshot", name: second },
      scratch: { zfs: fake.zfs, into: parseDatasetName("tank/place/scratch"), sample: null, onSample: () => undefined },
      signal: stop.signal,
      onFetched: (count) => {
        bytes += count;
        if (bytes > messageBytes) stop.abort(new ZferryError("interrupted", "stopped by SIGINT"));
      },
    });
    await expect(verify(request)).rejects.toMatchObject({ code: "interrupted" });
    const calls = fake.calls().map(([verb]) => verb);
    expect(calls).toContain("receive");
    expect(fake.calls().at(-1)).toEqual(["destroy", "-r", "--", "tank/place/scratch"]);
  });

  it("needs a dataset to receive into", async () => {
    await expect(verify(runOn(new MemoryStore(), { level: "receive" }).request)).rejects.toMatchObject({ code: "usage" });
  });
});

describe("the choice by budget", () => {
  const base = (async () => entryOf({ manifest: await ferrying(new MemoryStore()), sha256: "" }))();

  /** Candidates as `name:cost:day verified or -`, each a day older than the one before it. */
  async function chosen(budgetBytes: number | null, ...texts: readonly string[]): Promise<string[]> {
    const entry = await base;
    const candidates = texts.map((text, index) => {
      const [name = "", cost, day] = text.split(":");
      const backup: SnapshotName = parseSnapshotName(`tank/a@${name}`);
      const createdAt = new Date(Date.UTC(2026, 10, 20 - index));
      return { entry: { ...entry, backup, createdAt }, costBytes: Number(cost), verifiedAt: day === "-" ? null : new Date(Date.UTC(2026, 0, Number(day))) };
    });
    const budget = new Budget(budgetBytes);
    const read: string[] = [];
    for (const { entry: { backup }, costBytes } of candidates.sort(byNeed)) {
      if (!budget.allows(costBytes)) break;
      budget.spend(costBytes);
      read.push(backup.slice("tank/a@".length));
    }
    return read;
  }

  it.for([
    ["never verified first, the newest of them first", null, ["a:1:5", "b:1:-", "c:1:-"], ["b", "c", "a"]],
    ["then the longest unverified", null, ["a:1:9", "b:1:2", "c:1:7"], ["b", "c", "a"]],
    ["the newest of equals", null, ["a:1:3", "b:1:3"], ["a", "b"]],
    ["as many as fit", 3, ["a:1:-", "b:2:-", "c:1:-"], ["a", "b"]],
    ["exactly the budget", 4, ["a:1:-", "b:2:-", "c:1:-"], ["a", "b", "c"]],
    ["one, when even that is too much", 3, ["a:10:-", "b:1:-"], ["a"]],
    ["nothing behind the first that does not fit", 3, ["a:1:-", "b:9:-", "c:1:-"], ["a"]],
    ["none of none", 3, [], []],
  ] as const)("is %s", async ([, budget, candidates, expected]) => {
    expect(await chosen(budget, ...candidates)).toEqual(expected);
  });
});

it("a backup that no key opens is no part of the budget, and keeps no other from being read", async () => {
  const store = new MemoryStore();
  await ferrying(store);
  const carol = { passphrases: ["somebody else's"], certificates: [] };
  await ferrying(store, { stream: recorded("inc-i"), settings: { recipients: carol }, cargo: { backup: second, baseBackup: () => someBackup } });
  const { backups } = await verify(runOn(store, { budgetBytes: 1 }).request);
  expect(backups.map(({ backup, level, obstacle }) => [backup, level, obstacle?.code])).toEqual([
    [second, "exists", "key-missing"],
    [someBackup, "stream", undefined],
  ]);
});

describe("what is remembered", () => {
  it("is about one version of a manifest and no other", async () => {
    const store = new MemoryStore();
    await ferrying(store);
    const { request, stateDir } = runOn(store);
    await verify(request);
    const { verified = {}, manifests } = await readStoreState(stateDir, store.url, () => undefined);
    const key = manifestKey(someBackup);
    expect(lastVerified(verified[key], manifests[key]?.etag ?? "")).toMatchObject({ level: "stream", ok: true });
    expect(lastVerified(verified[key], "another")).toBeNull();
    await store.delete(await keysIn(store), { signal: never });
    await verify(request);
    expect((await readStoreState(stateDir, store.url, () => undefined)).verified).toEqual({});
  });
});

describe("manifests that are looked at", () => {
  it("are read one by one when they are large, usable or not", async () => {
    const store = new MemoryStore();
    const manifest = await ferrying(store);
    for (let index = 0; index < 3; index += 1) {
      const backup = parseSnapshotName(`tank/src@large${index}`);
      const large = { ...manifest, backup, stream: { ...manifest.stream, flags: ["x".repeat(2 ** 20)] } };
      await store.put(manifestKey(backup), sealManifest(large, null), { when: "create", signal: never });
      const unusable = parseSnapshotName(`tank/src@unusable${index}`);
      await store.put(manifestKey(unusable), new Uint8Array(2 ** 21), { when: "create", signal: never });
    }
    const open = new Map<string, number>();
    let most = 0;
    const counting: Store = {
      ...faultyStore(store),
      async *get(key, options) {
        open.set(key, (open.get(key) ?? 0) + 1);
        const ofLarge = [...open].filter(([name, count]) => count > 0 && /large|unusable/.test(name));
        most = Math.max(most, ofLarge.length);
        await new Promise(setImmediate);
        yield* store.get(key, options);
        open.set(key, (open.get(key) ?? 0) - 1);
      },
    };
    const damaged = (await findings(counting, { level: "exists" })).filter((found) => found.startsWith("manifest-damaged"));
    expect(damaged).toHaveLength(3);
    expect(most).toBe(1);
  });

  it("are damaged when they have grown beyond what was listed, and read no further", async () => {
    const store = new MemoryStore();
    await ferrying(store);
    let gets = 0;
    let yielded = 0;
    const growing: Store = {
      ...faultyStore(store),
      async *get(key, options) {
        gets += key === manifestKey(someBackup) ? 1 : 0;
        if (key !== manifestKey(someBackup) || gets === 1) yield* store.get(key, options);
        else for (; yielded < 2 ** 26; yielded += 2 ** 16) yield await Promise.resolve(new Uint8Array(2 ** 16));
      },
    };
    expect(await findings(growing, { level: "exists" })).toEqual([
      expect.stringMatching(/^manifest-damaged: .* is longer than it is listed with$/),
    ]);
    expect(yielded).toBeLessThan(2 ** 23);
  });
});
