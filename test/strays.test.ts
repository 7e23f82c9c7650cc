/**
 * What the sweep takes and what it leaves: a committed backup beside a stray, one reason to stay after the other, and
 * every failure on the way. Nothing of a backup may ever go.
 */
import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { alone, unguarded } from "../src/alone.ts";
import { ZferryError } from "../src/errors.ts";
import { attemptPrefix, chunkKey, manifestKey, restoreNoteKey } from "../src/format/layout.ts";
import type { Manifest } from "../src/format/manifest.ts";
import { findLease } from "../src/store/lease-object.ts";
import { MemoryStore } from "../src/store/memory.ts";
import type { Store } from "../src/store/store.ts";
import { attemptOfKey, removeStray, type Removal, type SeenAttempt, type Survey, surveyStrays, type SweepRequest } from "../src/strays.ts";
import { parseSnapshotName, type SnapshotName } from "../src/zfs/names.ts";
import { faultyStore, networkError, serviceError } from "./faulty-store.ts";
import { ownFolder } from "./folder.ts";
import { ferrying, keysIn, never, someBackup } from "./ferrying.ts";

const hourMs = 3_600_000;
const stray = "0000aaaa";
const leaseKey = "locks/tank/src.json";

/** A lease as it may lie there, renewed just now and for a minute. */
function lease(attempt: string | null, changes: object = {}): string {
  const now = new Date().toISOString();
  const holder = { format: 1, holder: "0123456789abcdef", host: "nas", epoch: 1, token: "0123456789abcdef" };
  return JSON.stringify({ ...holder, attempt, takenAt: now, renewedAt: now, ttlSeconds: 60, heartbeatSeconds: 20, ...changes });
}

interface House {
  readonly store: MemoryStore;
  readonly manifest: Manifest;
  /** Keys of the committed backup. */
  readonly backupKeys: readonly string[];
}

async function put(store: Store, key: string, text = "x"): Promise<void> {
  await store.put(key, Buffer.from(text), { when: "replace", signal: never });
}

async function leave(store: Store, attempt: string, backup: SnapshotName = someBackup): Promise<string[]> {
  const keys = [0, 1, 2].map((index) => chunkKey(backup, attempt, "ocb", index));
  for (const key of keys) await put(store, key);
  return keys;
}

/** A committed backup, and a stray of the same one. */
async function house(): Promise<House> {
  const store = new MemoryStore();
  const manifest = await ferrying(store);
  const backupKeys = await keysIn(store);
  await leave(store, stray);
  return { store, manifest, backupKeys };
}

/** By default a day from now, with an hour of grace. */
function asking(store: Store, options: Partial<SweepRequest> = {}): SweepRequest {
  return {
    store,
    graceMs: hourMs,
    now: () => new Date(Date.now() + 24 * hourMs),
    journaled: () => Promise.resolve(new Set()),
    alone: (_dataset, work) => work(unguarded(options.signal ?? never)),
    warn: () => undefined,
    signal: never,
    ...options,
  };
}

async function sweep(request: SweepRequest): Promise<{ survey: Survey; removals: Removal[] }> {
  const survey = await surveyStrays(request);
  const removals: Removal[] = [];
  for (const one of survey.strays) removals.push(await removeStray(one, request));
  return { survey, removals };
}

function attempts(seen: readonly SeenAttempt[]): string[] {
  return seen.map(({ attempt }) => attempt);
}

it("a stray goes, with all its objects, and the backup stays with all of its own", async () => {
  const { store, backupKeys } = await house();
  await put(store, restoreNoteKey(someBackup, stray));
  const { survey, removals } = await sweep(asking(store));
  expect(survey).toMatchObject({ committedCount: 1, foreignCount: 0, staying: [] });
  expect(survey.strays).toMatchObject([{ backup: someBackup, attempt: stray, objectCount: 4, sizeBytes: 4 }]);
  expect(removals).toEqual([{ kind: "removed", objectCount: 4, unfinishedCount: 0 }]);
  expect(await keysIn(store)).toEqual(backupKeys);
});

it("looking alone removes nothing", async () => {
  const { store } = await house();
  const before = await keysIn(store);
  await surveyStrays(asking(store));
  expect(await keysIn(store)).toEqual(before);
});

it("unfinished uploads are removed of strays alone, before their objects", async () => {
  const { store, backupKeys } = await house();
  await leave(store, "0000bbbb", parseSnapshotName("tank/other@s1"));
  const asked: string[] = [];
  const watching = faultyStore(store);
  watching.removeUnfinished = async (prefix) => {
    asked.push(`${prefix} ${(await keysIn(store)).filter((key) => key.startsWith(prefix)).length}`);
    return 2;
  };
  const { removals } = await sweep(asking(watching, { journaled: () => Promise.resolve(new Set(["0000bbbb"])) }));
  expect(asked).toEqual([`${attemptPrefix(someBackup, stray)} 3`]);
  expect(removals).toMatchObject([{ kind: "removed", unfinishedCount: 2 }]);
  expect(await keysIn(store)).toHaveLength(backupKeys.length + 3);
});

it("more objects than one call deletes all go", async () => {
  const store = new MemoryStore();
  for (let index = 0; index < 2001; index += 1) await put(store, chunkKey(someBackup, stray, "none", index));
  const watching = faultyStore(store);
  expect((await sweep(asking(watching))).removals).toMatchObject([{ objectCount: 2001 }]);
  expect(watching.calls.filter((verb) => verb === "delete")).toHaveLength(3);
  expect(await keysIn(store)).toEqual([]);
});

interface Guard {
  readonly arrange: (house: House) => Promise<void> | void;
  readonly ask?: Partial<SweepRequest>;
  readonly reason: string;
}

const guards: readonly (readonly [string, Guard])[] = [
  ["is younger than the grace period", { arrange: () => undefined, ask: { now: () => new Date() }, reason: "within the grace period" }],
  ["is from the future", { arrange: () => undefined, ask: { now: () => new Date(0), graceMs: 0 }, reason: "within the grace period" }],
  ["is named by a journal", { arrange: () => undefined, ask: { journaled: () => Promise.resolve(new Set([stray])) }, reason: "journal of an unfinished run" }],
  ["is named by a lease, held or run out", { arrange: ({ store }) => put(store, leaseKey, lease(stray)), reason: `the lease "${leaseKey}" names it` }],
  ["may be named by a lease that is no JSON", { arrange: ({ store }) => put(store, leaseKey, "{"), reason: `the lease "${leaseKey}" cannot be read` }],
  ["may be named by a lease that is a list", { arrange: ({ store }) => put(store, leaseKey, "[]"), reason: "cannot be read" }],
  ["may be named by a lease whose attempt is a number", { arrange: ({ store }) => put(store, leaseKey, lease("0000bbbb", { attempt: 7 })), reason: "cannot be read" }],
  ["may be named by a lease whose attempt is no attempt", { arrange: ({ store }) => put(store, leaseKey, lease("0000AAAA")), reason: "cannot be read" }],
  ["may be named by a lease of a newer format", { arrange: ({ store }) => put(store, leaseKey, lease(null, { format: 2 })), reason: "cannot be read" }],
  ["may be named by a lease that is endless", { arrange: ({ store }) => put(store, leaseKey, `{}${" ".repeat(65_535)}`), reason: "cannot be read" }],
  ["may be named by a damaged manifest", { arrange: ({ store }) => put(store, manifestKey(someBackup), "{}"), reason: "cannot be read, and may name it" }],
  ["may be named by a newer manifest", {
    arrange: ({ store }) => put(store, manifestKey(someBackup), '{\n "format": 2,\n "x": 1,"seal":"v2:x"}\n'),
    reason: "cannot be read, and may name it",
  }],
  ["may be named by a manifest under a name that is none", { arrange: ({ store }) => put(store, "manifests/tank@.json", "{}"), reason: "is not a manifest's name" }],
];

it.for(guards)("an attempt that %s stays, and it is said why", async ([, { arrange, ask = {}, reason }]) => {
  const at = await house();
  await arrange(at);
  const before = await keysIn(at.store);
  const { survey } = await sweep(asking(at.store, ask));
  expect(survey.strays).toEqual([]);
  expect(survey.staying.find(({ attempt }) => attempt === stray)?.reason).toContain(reason);
  expect(await keysIn(at.store)).toEqual(before);
});

it.for([
  ["names none", null],
  ["names another attempt", "0000bbbb"],
] as const)("a lease that %s protects all of its dataset until it has run out, with a minute for clocks", async ([, named]) => {
  const { store } = await house();
  const renewedAt = new Date();
  await put(store, leaseKey, lease(named, { renewedAt: renewedAt.toISOString() }));
  const after = (ms: number) => surveyStrays(asking(store, { now: () => new Date(renewedAt.getTime() + ms), graceMs: 0 }));
  expect((await after(119_999)).staying).toMatchObject([{ attempt: stray, reason: `the lease "${leaseKey}" is held: a run is at work` }]);
  expect(attempts((await after(120_000)).strays)).toEqual([stray]);
});

it("a lease whose times all lie in the future is held", async () => {
  const { store } = await house();
  await put(store, leaseKey, lease(null, { renewedAt: "2999-01-01T00:00:00Z" }));
  const early = new Date(Date.now() - 24 * hourMs);
  expect(await removeStray({ ...bare, newestAt: new Date(0) }, asking(store, { now: () => early }))).toMatchObject({ kind: "stays", reason: expect.stringContaining("is held") as string });
});

const bare = { backup: someBackup, attempt: stray, objectCount: 1, sizeBytes: 1, unfinishedCount: 0, newestAt: new Date(0), isWhole: false };

describe("what goes is removed while the sweep is alone with the dataset", () => {
  it("under its lock and lease, which is not in the sweep's own way and is gone afterwards", async () => {
    const { store, backupKeys } = await house();
    const held: unknown[] = [];
    const watching = faultyStore(store);
    watching.removeUnfinished = async () => {
      held.push((await findLease(store, leaseKey, never))?.record?.host);
      return 0;
    };
    const request = { store: watching, stateDir: ownFolder(), leaseMs: 60_000, progress: { warn: () => undefined }, signal: never };
    const { removals } = await sweep(asking(watching, { alone: (dataset, work) => alone(request, dataset, work) }));
    expect(removals).toMatchObject([{ kind: "removed", objectCount: 3 }]);
    expect(held).toEqual([hostname()]);
    expect(await keysIn(store)).toEqual(backupKeys);
  });

  it("and stays when a run is at work there by now, which is said", async () => {
    const { store } = await house();
    const before = await keysIn(store);
    const busy = new ZferryError("locked", 'another run is at work on "tank/src"');
    const { survey, removals } = await sweep(asking(store, { alone: () => Promise.reject(busy) }));
    expect(attempts(survey.strays)).toEqual([stray]);
    expect(removals).toEqual([{ kind: "stays", reason: busy.message }]);
    expect(await keysIn(store)).toEqual(before);
  });

  it.for([1, 2, 3])("and ends before call %i of a removal when its own time there is over", async (call) => {
    const { store, backupKeys } = await house();
    for (let index = 3; index < 1001; index += 1) await put(store, chunkKey(someBackup, stray, "ocb", index));
    let callCount = 0;
    const throwIfOver = (): void => {
      callCount += 1;
      if (callCount >= call) throw new ZferryError("locked", "the lease was lost");
    };
    const guard = { ...unguarded(never), throwIfOver };
    const { removals } = await sweep(asking(store, { alone: (_dataset, work) => work(guard) }));
    expect(removals).toEqual([{ kind: "stays", reason: "the lease was lost" }]);
    expect(await keysIn(store)).toHaveLength(backupKeys.length + (call < 3 ? 1001 : 1));
    expect(await keysIn(store)).toEqual(expect.arrayContaining([...backupKeys]));
  });
});

describe("an attempt of which only an unfinished upload is there", () => {
  const upload = chunkKey(someBackup, "0000cccc", "ocb", 0);

  /** A store with this upload, and how many were removed under which prefix. */
  async function uploading(key: string, startedAt: Date): Promise<{ store: Store; removed: string[] }> {
    const { store } = await house();
    const removed: string[] = [];
    const watching = faultyStore(store);
    watching.listUnfinished = (prefix) => Promise.resolve([{ key, startedAt }].filter((one) => one.key.startsWith(prefix)));
    watching.removeUnfinished = (prefix) => {
      removed.push(prefix);
      return Promise.resolve(key.startsWith(prefix) ? 1 : 0);
    };
    return { store: watching, removed };
  }

  it("goes like any other", async () => {
    const { store, removed } = await uploading(upload, new Date());
    const { survey, removals } = await sweep(asking(store));
    expect(survey.strays[1]).toMatchObject({ attempt: "0000cccc", objectCount: 0, sizeBytes: 0, unfinishedCount: 1 });
    expect(removals[1]).toEqual({ kind: "removed", objectCount: 0, unfinishedCount: 1 });
    expect(removed[1]).toBe(attemptPrefix(someBackup, "0000cccc"));
  });

  it("has its age from the begin of the upload, to the millisecond", async () => {
    const startedAt = new Date(Date.now() - 10 * hourMs);
    const { store } = await uploading(upload, startedAt);
    const after = async (ms: number) => attempts((await surveyStrays(asking(store, { now: () => new Date(startedAt.getTime() + hourMs + ms) }))).strays);
    expect(await after(0)).toEqual([]);
    expect(await after(1)).toEqual(["0000cccc"]);
  });

  it("stays while a journal of this host names it, or a run is at work on its dataset", async () => {
    const { store, removed } = await uploading(upload, new Date());
    const journaled = () => Promise.resolve(new Set(["0000cccc", stray]));
    expect((await surveyStrays(asking(store, { journaled }))).strays).toEqual([]);
    await put(store, leaseKey, lease(null, { renewedAt: new Date(Date.now() + 24 * hourMs).toISOString() }));
    expect((await surveyStrays(asking(store))).strays).toEqual([]);
    expect(removed).toEqual([]);
  });

  it("is none of ours under another program's key, and is left alone", async () => {
    const { store, removed } = await uploading("streams/tank/src@s1/0000cccc/film.mkv", new Date(0));
    const { survey } = await sweep(asking(store));
    expect(attempts(survey.strays)).toEqual([stray]);
    expect(removed).toEqual([attemptPrefix(someBackup, stray)]);
  });

  it("makes an attempt with older objects as young as itself", async () => {
    const { store } = await uploading(chunkKey(someBackup, stray, "ocb", 3), new Date(Date.now() + 24 * hourMs));
    expect((await surveyStrays(asking(store))).staying).toMatchObject([{ attempt: stray, objectCount: 3, unfinishedCount: 1 }]);
  });

  it("is not found, which is said, where uploads may not be listed", async () => {
    const { store } = await house();
    const denying = faultyStore(store);
    denying.listUnfinished = () => Promise.reject(new ZferryError("store-denied", "cannot look"));
    const warnings: string[] = [];
    const { survey } = await sweep(asking(denying, { warn: (text) => warnings.push(text) }));
    expect(attempts(survey.strays)).toEqual([stray]);
    expect(warnings).toEqual([expect.stringContaining("cannot look")]);
  });

  it("ends the sweep before anything is removed when they cannot be listed for another reason", async () => {
    const { store, removed } = await uploading(upload, new Date());
    const before = await keysIn(store);
    store.listUnfinished = () => Promise.reject(new ZferryError("store-failed", "no answer"));
    await expect(sweep(asking(store))).rejects.toMatchObject({ code: "store-failed" });
    expect([removed, await keysIn(store)]).toEqual([[], before]);
  });
});

it("a lease or damaged manifest of another dataset or backup protects nothing", async () => {
  const { store } = await house();
  await put(store, "locks/tank.json", "garbage");
  await put(store, "manifests/tank/src@s2.json", "garbage");
  await put(store, "manifests/.DS_Store", "garbage");
  expect(attempts((await surveyStrays(asking(store))).strays)).toEqual([stray]);
});

it("in a store without any manifest the attempts that are whole stay: the manifests may have been lost", async () => {
  const { store, manifest, backupKeys } = await house();
  await store.delete([manifestKey(someBackup)], { signal: never });
  const { survey } = await sweep(asking(store));
  expect(attempts(survey.strays)).toEqual([stray]);
  expect(survey.staying).toMatchObject([{ attempt: manifest.attempt, isWhole: true, reason: expect.stringContaining("they may have been lost") as string }]);
  expect(await keysIn(store)).toEqual(backupKeys.filter((key) => key !== manifestKey(someBackup)));
});

it("beside other manifests an attempt that is whole is a stray like any other", async () => {
  const { store } = await house();
  await put(store, restoreNoteKey(someBackup, stray));
  expect((await surveyStrays(asking(store))).strays).toMatchObject([{ attempt: stray, isWhole: true }]);
});

it("the grace period counts from the newest object, to the millisecond", async () => {
  const store = new MemoryStore();
  await leave(store, stray);
  const [{ newestAt } = { newestAt: new Date(0) }] = (await surveyStrays(asking(store))).strays;
  const after = (ms: number) => asking(store, { now: () => new Date(newestAt.getTime() + hourMs + ms) });
  expect((await surveyStrays(after(0))).strays).toEqual([]);
  expect((await surveyStrays(after(1))).strays).toHaveLength(1);
});

/** What may happen between looking and removing. */
const changes: readonly (readonly [string, (house: House) => Promise<void>, Partial<SweepRequest>, string])[] = [
  ["a run goes on with it", ({ store }) => put(store, chunkKey(someBackup, stray, "ocb", 3)), { graceMs: 0, now: () => new Date(0) }, "grace period"],
  ["a journal names it", () => Promise.resolve(), { journaled: () => Promise.resolve(new Set([stray])) }, "journal"],
  ["a lease names it", ({ store }) => put(store, leaseKey, lease(stray)), {}, "lease"],
  ["its manifest becomes unreadable", ({ store }) => put(store, manifestKey(someBackup), "{}"), {}, "cannot be read"],
];

it.for(changes)("a stray stays after all when %s after it was found", async ([, change, ask, reason]) => {
  const at = await house();
  const { strays } = await surveyStrays(asking(at.store));
  await change(at);
  const before = await keysIn(at.store);
  const removals: Removal[] = [];
  for (const one of strays) removals.push(await removeStray(one, asking(at.store, ask)));
  expect(removals).toMatchObject([{ kind: "stays", reason: expect.stringContaining(reason) as string }]);
  expect(await keysIn(at.store)).toEqual(before);
});

it("an attempt that is committed after it was found stays", async () => {
  const store = new MemoryStore();
  const { attempt } = await ferrying(store);
  const before = await keysIn(store);
  const seen = { backup: someBackup, attempt, objectCount: 1, sizeBytes: 1, unfinishedCount: 0, newestAt: new Date(0), isWhole: false };
  expect(await removeStray(seen, asking(store))).toEqual({ kind: "stays", reason: "it was committed meanwhile" });
  expect(await keysIn(store)).toEqual(before);
});

it("an attempt that is gone by itself meanwhile counts as removed", async () => {
  const seen = { backup: someBackup, attempt: stray, objectCount: 1, sizeBytes: 1, unfinishedCount: 0, newestAt: new Date(0), isWhole: false };
  expect(await removeStray(seen, asking(new MemoryStore()))).toMatchObject({ kind: "removed", objectCount: 0 });
});

it.for([
  ["the list of streams", "list", 0],
  ["the list of streams, after some", "list", 4],
] as const)("when %s fails, nothing is removed", async ([, verb, after]) => {
  const { store } = await house();
  const before = await keysIn(store);
  const faulty = faultyStore(store);
  faulty.fail(verb, { error: networkError(), when: after });
  await expect(sweep(asking(faulty))).rejects.toThrow("injected");
  faulty.assertAllFired();
  expect(await keysIn(store)).toEqual(before);
});

it.for(["before", "after", 0] as const)("when the list of manifests fails (%s), nothing is removed", async (when) => {
  const { store } = await house();
  const before = await keysIn(store);
  const faulty = faultyStore(store);
  // Objects are listed first: the second list is that of manifests.
  const list = faulty.list.bind(faulty);
  let listCount = 0;
  faulty.list = (prefix, options) => {
    listCount += 1;
    if (listCount === 2) {
      expect(prefix).toBe("manifests/");
      faulty.fail("list", { error: serviceError("InternalError", 500), when });
    }
    return list(prefix, options);
  };
  await expect(sweep(asking(faulty))).rejects.toThrow("injected");
  faulty.assertAllFired();
  expect(faulty.calls).not.toContain("delete");
  expect(await keysIn(store)).toEqual(before);
});

it.for([
  ["a manifest", 0],
  ["the lease", 1],
] as const)("when %s cannot be fetched, nothing is removed", async ([, skipped]) => {
  const { store } = await house();
  await put(store, leaseKey, lease("0000bbbb"));
  const before = await keysIn(store);
  const faulty = faultyStore(store);
  const get = faulty.get.bind(faulty);
  let getCount = 0;
  faulty.get = (key, options) => {
    if (getCount === skipped) faulty.fail("get", { error: new ZferryError("store-failed", "injected"), when: "before" });
    getCount += 1;
    return get(key, options);
  };
  await expect(sweep(asking(faulty))).rejects.toMatchObject({ code: "store-failed" });
  faulty.assertAllFired();
  expect(await keysIn(store)).toEqual(before);
});

it("when the journals cannot be read, nothing is removed", async () => {
  const { store } = await house();
  const before = await keysIn(store);
  const journaled = () => Promise.reject(new Error("EACCES"));
  await expect(sweep(asking(store, { journaled }))).rejects.toThrow("EACCES");
  expect(await keysIn(store)).toEqual(before);
});

it.for(["before", "after"] as const)("a removal that fails half-way (%s) takes nothing of the backup, and the next sweep ends it", async (when) => {
  const { store, backupKeys } = await house();
  for (let index = 3; index < 1500; index += 1) await put(store, chunkKey(someBackup, stray, "ocb", index));
  const faulty = faultyStore(store);
  const remove = faulty.delete.bind(faulty);
  let deleteCount = 0;
  faulty.delete = (keys, options) => {
    deleteCount += 1;
    if (deleteCount === 2) faulty.fail("delete", { error: new ZferryError("store-failed", "injected"), when });
    return remove(keys, options);
  };
  await expect(sweep(asking(faulty))).rejects.toThrow("injected");
  faulty.assertAllFired();
  expect(await keysIn(store)).toEqual(expect.arrayContaining([...backupKeys]));
  await sweep(asking(store));
  expect(await keysIn(store)).toEqual(backupKeys);
});

it("a sweep that is stopped at any call takes nothing of the backup", async () => {
  for (let stopAt = 1; ; stopAt += 1) {
    const { store, backupKeys } = await house();
    const stop = new AbortController();
    const faulty = faultyStore(store);
    const stopping = new Proxy(faulty, {
      get: (target, name) => {
        if (target.calls.length >= stopAt) stop.abort(new Error("enough"));
        return Reflect.get(target, name) as unknown;
      },
    });
    const isWhole = await sweep(asking(stopping, { signal: stop.signal })).then(() => true, () => false);
    expect(await keysIn(store)).toEqual(expect.arrayContaining([...backupKeys]));
    if (!isWhole) continue;
    expect(stopAt).toBeGreaterThan(7);
    expect(await keysIn(store)).toEqual(backupKeys);
    return;
  }
});

it.for([
  ["a chunk", "streams/tank/src@s1/0000aaaa/src@s1.zfs.gpg.000000", true],
  ["a chunk of packet none", "streams/tank/src@s1/0000aaaa/src@s1.zfs.000123", true],
  ["the note", "streams/tank/src@s1/0000aaaa/RESTORE.md", true],
  ["a chunk of a pool's own dataset", "streams/tank@s1/0000aaaa/tank@s1.zfs.gpg.000000", true],
  ["a file beside them", "streams/tank/src@s1/0000aaaa/notes.txt", false],
  ["a chunk of another leaf", "streams/tank/src@s1/0000aaaa/home@s1.zfs.gpg.000000", false],
  ["a number of five digits", "streams/tank/src@s1/0000aaaa/src@s1.zfs.gpg.00000", false],
  ["an attempt in upper case", "streams/tank/src@s1/0000AAAA/src@s1.zfs.gpg.000000", false],
  ["a folder in between", "streams/tank/src@s1/0000aaaa/x/src@s1.zfs.gpg.000000", false],
  ["a dataset without a snapshot", "streams/tank/src/0000aaaa/src@s1.zfs.gpg.000000", false],
  ["another prefix", "manifests/tank/src@s1/0000aaaa/RESTORE.md", false],
  ["a prefix of the same length", "strange/tank/src@s1/0000aaaa/RESTORE.md", false],
] as const)("the key of %s is ours or not: %s %s", ([, key, isOurs]) => {
  expect(attemptOfKey(key)).toEqual(isOurs ? { backup: key.split("/").slice(1, -2).join("/"), attempt: "0000aaaa" } : null);
});

it("what others put under streams/ is counted and never touched, in the folder of a stray or beside it", async () => {
  const { store, backupKeys } = await house();
  const foreign = [`${attemptPrefix(someBackup, stray)}notes.txt`, "streams/readme"];
  for (const key of foreign) await put(store, key);
  expect((await sweep(asking(store))).survey.foreignCount).toBe(2);
  expect(await keysIn(store)).toEqual([...backupKeys, ...foreign].sort());
});
