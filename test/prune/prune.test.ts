/** Prune of a store: what goes, in which order, and every way in which it can be cut off, refused or overtaken. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ZferryError } from "../../src/errors.ts";
import { attemptPrefix, manifestKey } from "../../src/format/layout.ts";
import { withLocalLock } from "../../src/lock.ts";
import { removeBackup } from "../../src/prune/remove.ts";
import { readStoreState, updateStoreState } from "../../src/state.ts";
import type { BucketRules, ObjectLock } from "../../src/store/rules.ts";
import { leaseTiming } from "../../src/store/lease-object.ts";
import { takeLease } from "../../src/store/lease.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { ObjectKey, Store } from "../../src/store/store.ts";
import { surveyStrays } from "../../src/strays.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { faultyStore } from "../faulty-store.ts";
import { keysIn, never } from "../ferrying.ts";
import { ownFolder } from "../folder.ts";
import { named, noRules, type Sketch } from "../retaining.ts";
import { attemptOf, backupsIn, fates, objectsOf, pruning, stock } from "./stocking.ts";

/** Two fulls, two incrementals on the older one, one on the newer. */
const history: readonly Sketch[] = [
  { name: "full-1", at: "2026-01-01T00:00Z", guid: 1 },
  { name: "inc-1a", at: "2026-01-02T00:00Z", on: 1 },
  { name: "inc-1b", at: "2026-01-03T00:00Z", on: 1 },
  { name: "full-2", at: "2026-02-01T00:00Z", guid: 2 },
  { name: "inc-2a", at: "2026-02-02T00:00Z", on: 2 },
];

async function stocked(more: readonly Sketch[] = []): Promise<MemoryStore> {
  const store = new MemoryStore();
  await stock(store, [...history, ...more]);
  return store;
}

/** The store, with other verbs in the place of some. */
function besides(store: Store, verbs: Partial<Store>): Store {
  return Object.assign(faultyStore(store), verbs);
}

/** A store that dies after so many objects were deleted. */
function cutOff(store: Store, after: number): Store {
  let left = after;
  return besides(store, {
    delete: async (keys, options) => {
      for (const key of keys) {
        if (left === 0) throw new Error("cut off");
        left -= 1;
        await store.delete([key], options);
      }
    },
  });
}

function denied(what: string): ZferryError {
  return new ZferryError("store-denied", `cannot delete ${what}: AccessDenied (403)`);
}

it("a dry run removes nothing and says what would go, and of all else why it stays", async () => {
  const store = await stocked();
  const before = await keysIn(store);
  const outcome = await pruning(store, { isDryRun: true });
  expect(fates(outcome)).toEqual({ "would-go": ["full-1", "inc-1a", "inc-1b"], stays: ["full-2", "inc-2a"] });
  expect(outcome.backups.map(({ reasons }) => reasons.map(({ text }) => text).join("; "))).toEqual([
    "", "", "", "anchor in use; full of kept incremental tank/home@inc-2a", "last; newest restorable",
  ]);
  expect(await keysIn(store)).toEqual(before);
});

it("what goes goes with all its objects, and nothing else does", async () => {
  const store = await stocked([{ name: "tank/other@x", at: "2025-01-01T00:00Z" }]);
  const foreign = `${attemptPrefix(named("full-1"), attemptOf(named("full-1")))}notes.txt`;
  await store.put(foreign, Buffer.from("x"), { when: "create", signal: never });
  expect(fates(await pruning(store))).toEqual({ removed: ["full-1", "inc-1a", "inc-1b"], stays: ["full-2", "inc-2a"] });
  expect(await keysIn(store)).toEqual([...objectsOf("full-2"), ...objectsOf("inc-2a"), ...objectsOf("tank/other@x"), foreign].sort());
});

it("an incremental goes before its full, a manifest before its chunks, and RESTORE.md last", async () => {
  const store = await stocked();
  const deleted: ObjectKey[] = [];
  await pruning(besides(store, {
    delete: (keys, options) => {
      deleted.push(...keys);
      return store.delete(keys, options);
    },
  }));
  expect(deleted).toEqual(["inc-1a", "inc-1b", "full-1"].flatMap(objectsOf));
});

it("without a policy for the store nothing is looked at", async () => {
  const store = faultyStore(await stocked());
  expect(await pruning(store, { keep: { local: null, store: null } })).toEqual({ backups: [], snapshots: [], unreadable: [] });
  expect(store.calls).toEqual([]);
});

describe("cut off", () => {
  /** No manifest without all its objects, and nothing that is kept is touched. */
  async function expectWhole(store: Store): Promise<void> {
    const keys = new Set(await keysIn(store));
    for (const name of await backupsIn(store)) expect(objectsOf(name).filter((key) => !keys.has(key))).toEqual([]);
  }

  /** @returns whether the end was reached before so many deletions */
  async function cutAfter(count: number, sketches: readonly Sketch[], keep = { ...noRules, last: 1 }): Promise<boolean> {
    const [whole, cut, stateDir] = [new MemoryStore(), new MemoryStore(), ownFolder()];
    for (const store of [whole, cut]) await stock(store, sketches);
    await pruning(whole, { keep: { local: null, store: keep } });
    const options = { stateDir, keep: { local: null, store: keep } };
    const isCut = await pruning(cutOff(cut, count), options).then(() => false, (error: unknown) => (error as Error).message === "cut off");
    await expectWhole(cut);
    await pruning(cut, options);
    expect(await keysIn(cut)).toEqual(await keysIn(whole));
    expect((await readStoreState(stateDir, cut.url, () => undefined)).lost ?? {}).toEqual({});
    return !isCut;
  }

  it("after any single deletion it leaves every manifest whole, and the next prune comes to the same end", async () => {
    let count = 0;
    while (!(await cutAfter(count, history))) count += 1;
    expect(count).toBe(["full-1", "inc-1a", "inc-1b"].flatMap(objectsOf).length);
  });

  it("says what it had removed by then, and nothing when that is nothing", async () => {
    const perBackup = objectsOf("inc-1a").length;
    for (const [count, said] of [[0, []], [perBackup, ["tank/home@inc-1a"]], [2 * perBackup + 1, ["tank/home@inc-1a", "tank/home@inc-1b"]]] as const) {
      const warnings: string[] = [];
      await expect(pruning(cutOff(await stocked(), count), { warnings })).rejects.toThrow("cut off");
      expect(warnings).toEqual(said.length === 0 ? [] : [expect.stringMatching(new RegExp(`^prune was cut off; .* gone: ${said.join(", ")}$`))]);
    }
  });

  it("anywhere, in random histories, it does the same", async () => {
    const one = fc.record({ days: fc.nat({ max: 400 }), on: fc.nat({ max: 4 }) });
    const policy = fc.record({ last: fc.integer({ min: 1, max: 3 }), monthly: fc.nat({ max: 3 }), fulls: fc.nat({ max: 2 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(one, { maxLength: 9 }), policy, fc.nat({ max: 60 }), async (drafts, rules, count) => {
        const sketches = drafts.map(({ days, on }, index): Sketch => {
          const at = new Date(Date.UTC(2025, 0, 1 + days));
          return { name: `n${index}`, at, guid: index + 1, ...(on === 0 || on > index ? {} : { on: index + 1 - on }) };
        });
        await cutAfter(count, sketches, { ...noRules, ...rules });
      }),
      { numRuns: 25 },
    );
  });

  it("and the state folder lost, what is left is strays", async () => {
    const store = await stocked();
    await expect(pruning(cutOff(store, 2))).rejects.toThrow("cut off");
    const request = { store, graceMs: 0, now: () => new Date(Date.now() + 1000), journaled: () => Promise.resolve(new Set<string>()), warn: () => undefined, signal: never };
    const { strays } = await surveyStrays({ ...request, alone: () => Promise.reject(new Error("not asked")) });
    expect(strays).toMatchObject([{ backup: named("inc-1a"), attempt: attemptOf(named("inc-1a")) }]);
  });

  it("right behind a manifest, nothing that looks at the store before the next prune misses that backup", async () => {
    const [store, stateDir] = [await stocked(), ownFolder()];
    await pruning(store, { stateDir, isDryRun: true });
    const killed = besides(store, {
      delete: async (keys, options) => {
        await store.delete(keys, options);
        throw new Error("killed");
      },
    });
    await expect(pruning(killed, { stateDir })).rejects.toThrow("killed");
    expect(await backupsIn(store)).not.toContain("inc-1a");
    await pruning(store, { stateDir, isDryRun: true });
    expect((await readStoreState(stateDir, store.url, () => undefined)).lost ?? {}).toEqual({});
  });

  it("what was begun and may not be removed is in the way of nothing else that was begun", async () => {
    const [store, stateDir, warnings] = [await stocked(), ownFolder(), [] as string[]];
    const refusing = besides(store, {
      delete: (keys, options) => (keys.some((key) => key.includes("inc-1a.zfs")) ? Promise.reject(denied("a chunk")) : store.delete(keys, options)),
    });
    await expect(pruning(cutOff(refusing, 3), { stateDir })).rejects.toThrow("cut off");
    expect((await keysIn(store)).filter((key) => key.includes("inc-1b"))).toHaveLength(objectsOf("inc-1b").length - 1);
    await pruning(refusing, { stateDir, keep: { local: null, store: { ...noRules, last: 9 } }, warnings });
    const left = await keysIn(store);
    expect(left.filter((key) => key.includes("inc-1a"))).toHaveLength(objectsOf("inc-1a").length - 1);
    expect(left.filter((key) => key.includes("inc-1b"))).toEqual([]);
    expect(warnings).toEqual([expect.stringContaining("cannot delete a chunk"), expect.stringContaining("the backup it was removing is gone now")]);
  });

  it("what was begun is not gone on with where a manifest names it again", async () => {
    const [store, stateDir] = [await stocked(), ownFolder()];
    await expect(pruning(cutOff(store, 1), { stateDir })).rejects.toThrow("cut off");
    await stock(store, history); // from a second copy
    await pruning(store, { stateDir, keep: { local: null, store: { ...noRules, last: 9 } } });
    expect(await keysIn(store)).toEqual(history.flatMap(({ name }) => objectsOf(name)).sort());
  });

  it("what was begun stays while a manifest in its place cannot be read", async () => {
    const [store, stateDir, warnings] = [await stocked(), ownFolder(), [] as string[]];
    await expect(pruning(cutOff(store, 1), { stateDir })).rejects.toThrow("cut off");
    await store.put(manifestKey(named("inc-1a")), Buffer.from("{}"), { when: "create", signal: never });
    await pruning(store, { stateDir, warnings });
    expect(warnings.join()).toContain("what an earlier prune has begun to remove is not gone yet");
    expect((await keysIn(store)).filter((key) => key.includes("inc-1a"))).toHaveLength(objectsOf("inc-1a").length);
  });
});

describe("right before each removal it looks again", () => {
  /** Something that happens when the first manifest has been deleted. */
  function meanwhile(store: Store, happens: () => Promise<void>): Store {
    let isDone = false;
    return besides(store, {
      delete: async (keys, options) => {
        await store.delete(keys, options);
        if (!isDone) await happens();
        isDone = true;
      },
    });
  }

  it("and a full stays on which somebody has stored an incremental meanwhile", async () => {
    const store = await stocked();
    const outcome = await pruning(meanwhile(store, () => stock(store, [{ name: "tank/copy@x", at: "2026-03-01T00:00Z", on: 1 }])));
    expect(fates(outcome)).toEqual({ removed: ["inc-1a", "inc-1b"], stays: ["full-1", "full-2", "inc-2a"] });
    expect(await backupsIn(store)).toEqual(["tank/copy@x", "full-1", "full-2", "inc-2a"]);
  });

  it("and nothing more goes when a manifest turns up that cannot be read", async () => {
    const store = await stocked();
    const outcome = await pruning(meanwhile(store, async () => {
      await store.put("manifests/tank/home@odd.json", Buffer.from("{}"), { when: "create", signal: never });
    }));
    expect(fates(outcome)).toMatchObject({ removed: ["inc-1a"], stays: ["full-1", "inc-1b", "full-2", "inc-2a"] });
  });

  it.for([
    [1, objectsOf("inc-1a")],
    [2, objectsOf("inc-1a").slice(1)],
    [3, objectsOf("inc-1a").slice(-1)],
    [4, []],
  ] as const)("and call %i of a removal is not made when its time alone is over by then", async ([call, left]) => {
    const store = new MemoryStore();
    await stock(store, [{ name: "inc-1a", at: "2026-01-01T00:00Z" }]);
    let count = 0;
    const throwIfOver = (): void => {
      count += 1;
      if (count === call) throw new ZferryError("locked", "the lease was lost");
    };
    const removing = { store, stateDir: ownFolder(), dataset: parseDatasetName("tank/home"), guard: { signal: never, throwIfOver } };
    const removal = { backup: named("inc-1a"), attempt: attemptOf(named("inc-1a")) };
    await removeBackup(removing, removal, { expectNoMore: () => Promise.resolve(), forget: () => Promise.resolve() }).catch((error: unknown) => {
      expect(error).toMatchObject({ code: "locked" });
    });
    expect(await keysIn(store)).toEqual([...left].sort());
    expect(count).toBe(Math.min(call, 3));
  });
});

it.for(["lock", "lease"] as const)("while a run is at work on the dataset, by its %s, nothing is removed", async (kind) => {
  const [store, stateDir] = [await stocked(), ownFolder()];
  const before = await keysIn(store);
  if (kind === "lock") {
    await withLocalLock(stateDir, parseDatasetName("tank/home"), { signal: never }, async () => {
      await expect(pruning(store, { stateDir })).rejects.toMatchObject({ code: "locked" });
    });
  } else {
    const shared = { ...leaseTiming(60_000), holder: { id: "other", host: "nas" }, attempt: null, signal: never, warn: () => undefined };
    const lease = await takeLease(store, parseDatasetName("tank/home"), shared);
    await expect(pruning(store, { stateDir, leaseMs: 60_000 })).rejects.toMatchObject({ code: "locked" });
    await lease.release();
  }
  expect(await keysIn(store)).toEqual(before);
});

describe("what may not be deleted", () => {
  it("is told, the full it needs stays, and the rest goes", async () => {
    const [store, warnings] = [await stocked([{ name: "full-0", at: "2025-12-01T00:00Z" }]), [] as string[]];
    const outcome = await pruning(
      besides(store, { delete: (keys, options) => (keys.some((key) => key.includes("inc-1a")) ? Promise.reject(denied("it")) : store.delete(keys, options)) }),
      { warnings },
    );
    expect(fates(outcome)).toEqual({ failed: ["inc-1a"], removed: ["full-0", "inc-1b"], stays: ["full-1", "full-2", "inc-2a"] });
    expect(outcome.backups.find(({ fate }) => fate === "failed")?.problem).toContain("AccessDenied");
    expect(warnings).toEqual(["cannot remove tank/home@inc-1a: cannot delete it: AccessDenied (403)"]);
    expect(await keysIn(store)).toEqual(expect.arrayContaining(objectsOf("inc-1a")));
  });

  it("chunks whose manifest is gone are gone on with by the next prune", async () => {
    const [store, stateDir] = [await stocked(), ownFolder()];
    const stubborn = besides(store, { delete: (keys, options) => (keys.some((key) => key.includes("streams/tank/home@inc-1a")) ? Promise.reject(denied("it")) : store.delete(keys, options)) });
    expect(fates(await pruning(stubborn, { stateDir }))).toEqual({ failed: ["inc-1a"], removed: ["full-1", "inc-1b"], stays: ["full-2", "inc-2a"] });
    expect(fates(await pruning(store, { stateDir }))).toEqual({ stays: ["full-2", "inc-2a"] });
    expect(await keysIn(store)).toEqual([...objectsOf("full-2"), ...objectsOf("inc-2a")].sort());
  });

  it("a store that fails ends the prune, and what is left is whole", async () => {
    const store = faultyStore(await stocked());
    store.fail("delete", { error: new ZferryError("store-failed", "the store is down"), when: "before" });
    await expect(pruning(store)).rejects.toMatchObject({ code: "store-failed" });
    store.assertAllFired();
    expect(await backupsIn(store)).toHaveLength(history.length);
  });
});

describe("locks of the bucket", () => {
  const enabled: BucketRules = { expiries: { kind: "seen", value: [] }, locks: { kind: "seen", value: { isEnabled: true, byDefault: null } } };

  /** @param locks - by part of a key */
  function locking(store: Store, locks: Record<string, ObjectLock>, rules = enabled): Store {
    return besides(store, {
      rules: () => Promise.resolve(rules),
      lockOf: (key) => Promise.resolve({ kind: "seen", value: Object.entries(locks).find(([part]) => key.includes(part))?.[1] ?? null }),
    });
  }

  it.for([
    ["a time that has not come", { until: new Date("2027-06-01T00:00Z"), mode: "COMPLIANCE", isOnHold: false }, "locked until 2027-06-01T00:00:00.000Z (compliance)"],
    ["a legal hold", { until: null, mode: null, isOnHold: true }, "a legal hold is on it"],
  ] as const)("keep what is locked by %s, even if only one chunk is, and the full it needs", async ([, lock, text]) => {
    const store = await stocked();
    const outcome = await pruning(locking(store, { "home@inc-1a.zfs.gpg.000000": lock }));
    expect(fates(outcome)).toEqual({ removed: ["inc-1b"], stays: ["full-1", "inc-1a", "full-2", "inc-2a"] });
    expect(outcome.backups.find(({ subject }) => subject.backup === named("inc-1a"))?.reasons).toEqual([{ kind: "held", text }]);
  });

  it("that have run out keep nothing", async () => {
    const over = { until: new Date("2026-12-31T00:00Z"), mode: "GOVERNANCE", isOnHold: false };
    expect(fates(await pruning(locking(await stocked(), { tank: over })))).toMatchObject({ removed: ["full-1", "inc-1a", "inc-1b"] });
  });

  it("are not asked for where the bucket has none, and not being allowed to look is said once", async () => {
    const [store, warnings] = [await stocked(), [] as string[]];
    const none: BucketRules = { ...enabled, locks: { kind: "seen", value: { isEnabled: false, byDefault: null } } };
    const lock = { until: null, mode: null, isOnHold: true };
    expect(fates(await pruning(locking(store, { tank: lock }, none), { isDryRun: true }))["would-go"]).toHaveLength(3);
    const blind: BucketRules = { ...enabled, locks: { kind: "unknown", why: "AccessDenied (403)" } };
    expect(fates(await pruning(locking(store, { tank: lock }, blind), { isDryRun: true, warnings }))["would-go"]).toHaveLength(3);
    const noRight = besides(store, { rules: () => Promise.resolve(enabled), lockOf: () => Promise.resolve({ kind: "unknown", why: "AccessDenied (403)" }) });
    expect(fates(await pruning(noRight, { isDryRun: true, warnings }))["would-go"]).toHaveLength(3);
    expect(warnings).toEqual(["whether the bucket locks objects is not known: AccessDenied (403)", expect.stringMatching(/^whether ".*" is locked is not known: AccessDenied/)]);
  });
});

describe("what this host remembers", () => {
  it("of a backup that was removed is forgotten, so that verify does not miss it", async () => {
    const [store, stateDir] = [await stocked(), ownFolder()];
    await pruning(store, { stateDir, isDryRun: true });
    const state = () => readStoreState(stateDir, store.url, () => undefined);
    expect(Object.keys((await state()).manifests)).toHaveLength(history.length);
    await pruning(store, { stateDir });
    await pruning(store, { stateDir, isDryRun: true });
    expect(await state()).toMatchObject({ manifests: { [manifestKey(named("full-2"))]: {}, [manifestKey(named("inc-2a"))]: {} } });
    expect((await state()).lost ?? {}).toEqual({});
  });

  it("of what verify has found stays when a removal is refused", async () => {
    const [store, stateDir] = [await stocked(), ownFolder()];
    const key = manifestKey(named("inc-1a"));
    const etag = (await store.head(key, { signal: never }))?.etag ?? "";
    const verified = { [key]: { digest: { etag, at: new Date("2026-03-01T00:00Z"), findingCount: 1, findings: ["digest: bad"] } } };
    await updateStoreState(stateDir, store.url, (state) => {
      state.verified = verified;
    });
    await pruning(besides(store, { delete: () => Promise.reject(denied("it")) }), { stateDir });
    expect((await readStoreState(stateDir, store.url, () => undefined)).verified).toEqual(verified);
  });

  it("of the last one proven by verify keeps that one", async () => {
    const [store, stateDir] = [await stocked(), ownFolder()];
    const key = manifestKey(named("inc-1a"));
    const etag = (await store.head(key, { signal: never }))?.etag ?? "";
    await updateStoreState(stateDir, store.url, (state) => {
      state.verified = { [key]: { stream: { etag, at: new Date("2026-03-01T00:00Z"), findingCount: 0, findings: [] } } };
    });
    expect(fates(await pruning(store, { stateDir }))).toEqual({ removed: ["inc-1b"], stays: ["full-1", "inc-1a", "full-2", "inc-2a"] });
  });

  it("of the anchor keeps it, and of a manifest that is damaged now keeps what it needed", async () => {
    const [store, stateDir] = [await stocked([{ name: "inc-1c", at: "2026-01-04T00:00Z", on: 1 }, { name: "full-0", at: "2025-01-01T00:00Z", guid: 10 }]), ownFolder()];
    await pruning(store, { stateDir, isDryRun: true });
    await updateStoreState(stateDir, store.url, (state) => {
      state.anchors["tank/home"] = { backup: named("full-0"), guid: "10" };
    });
    await store.put(manifestKey(named("inc-1c")), Buffer.from("{}"), { when: "replace", signal: never });
    const outcome = await pruning(store, { stateDir });
    expect(fates(outcome)).toEqual({ removed: ["inc-1a", "inc-1b"], stays: ["full-0", "full-1", "full-2", "inc-2a"] });
    expect(outcome.unreadable).toEqual([manifestKey(named("inc-1c"))]);
  });

  it("of nothing, a damaged manifest keeps everything", async () => {
    const store = await stocked();
    await store.put(manifestKey(named("odd")), Buffer.from("{}"), { when: "create", signal: never });
    expect(fates(await pruning(store))).toEqual({ stays: ["full-1", "inc-1a", "inc-1b", "full-2", "inc-2a"] });
  });
});
