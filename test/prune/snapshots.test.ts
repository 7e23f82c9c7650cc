/**
 * Prune of the pool: of all snapshots only those that zferry made, that no rule keeps and nothing needs, are destroyed.
 *
 * On a pretended zfs for what is hard to arrange, and on a real one for what a pretended one only claims.
 */
import { env } from "node:process";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { noteIntent } from "../../src/intent.ts";
import type { PruneOutcome } from "../../src/prune/request.ts";
import { Journal } from "../../src/journal.ts";
import { updateStoreState } from "../../src/state.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { bookmark, hold, release } from "../../src/zfs/anchors.ts";
import { runZfs } from "../../src/zfs/command.ts";
import { bookmarkName, parseDatasetName, snapshotName } from "../../src/zfs/names.ts";
import { ownFolder } from "../folder.ts";
import { headerFor } from "../journaling.ts";
import { named, noRules } from "../retaining.ts";
import { fakeZfs } from "../zfs/fake.ts";
import { child, exists, lack, makeSource, options, snap, source, zfs } from "../zfs/real.ts";
import { pruning, stock } from "./stocking.ts";

const lastOne = { local: { ...noRules, last: 1 }, store: null };

/** By short name: what became of a snapshot and why. */
function told({ snapshots }: PruneOutcome): Record<string, string> {
  return Object.fromEntries(snapshots.map(({ subject, fate, reasons }) => [subject.name.split("@")[1] ?? "", [fate, ...reasons.map(({ text }) => text)].join(": ")]));
}

/** `tank/home` with snapshots a day apart, all of them ours unless something else is said. */
function pool(snapshots: Record<string, object>, more: object = {}): ReturnType<typeof fakeZfs> {
  const nights = Object.entries(snapshots).map(([name, one], index) => [
    name, { guid: String(100 + index), createtxg: String(100 + index), creation: String(1_767_225_600 + index * 86_400), ours: true, holds: [], ...one },
  ]);
  return fakeZfs({ datasets: { "tank/home": { snapshots: Object.fromEntries(nights) as object, bookmarks: {}, ...more } } });
}

function destroyed({ calls }: ReturnType<typeof fakeZfs>): string[] {
  return calls().filter(([verb]) => verb === "destroy").map((words) => words.at(-1)?.split("@")[1] ?? "");
}

describe("a pretended pool", () => {
  it("loses what no rule keeps, one by one, and nothing in a dry run", async () => {
    const fake = pool({ a: {}, b: {}, c: {} });
    expect(told(await pruning(new MemoryStore(), { zfs: fake.zfs, keep: lastOne, isDryRun: true }))).toEqual({ a: "would-go", b: "would-go", c: "stays: last: newest" });
    expect(destroyed(fake)).toEqual([]);
    expect(told(await pruning(new MemoryStore(), { zfs: fake.zfs, keep: lastOne }))).toEqual({ a: "removed", b: "removed", c: "stays: last: newest" });
    expect(destroyed(fake)).toEqual(["a", "b"]);
  });

  it("keeps the anchor of every store that the state file or a bookmark knows, and the latest full of this one", async () => {
    const [store, stateDir] = [new MemoryStore(), ownFolder()];
    await stock(store, [{ name: "elsewhere", at: "2026-01-03T00:00Z", guid: 102 }]);
    await updateStoreState(stateDir, "s3://other", (state) => {
      state.anchors["tank/home"] = { backup: named("a"), guid: "100" };
    });
    const bookmarks = { "zferry-anchor-0123abcd-b": { guid: "101", createtxg: "101" }, "other-d": { guid: "103", createtxg: "103" } };
    const fake = pool({ a: {}, b: {}, c: {}, d: {}, e: {} }, { bookmarks });
    expect(told(await pruning(store, { zfs: fake.zfs, stateDir, keep: lastOne }))).toEqual({
      a: "stays: anchor in use", b: "stays: anchor in use", c: "stays: anchor in use", d: "removed", e: "stays: last: newest",
    });
  });

  it("keeps what an unfinished run is about, by journal or intent, whatever its store", async () => {
    const [stateDir, fake] = [ownFolder(), pool({ a: {}, b: {}, c: {}, d: {} })];
    await (await Journal.begin(stateDir, { verb: "put", name: named("a") }, headerFor(named("a"), "s3://other"))).close();
    await noteIntent({ stateDir, storeUrl: "s3://other", dataset: parseDatasetName("tank/home") }, { name: named("b"), mark: null });
    expect(told(await pruning(new MemoryStore(), { zfs: fake.zfs, stateDir, keep: lastOne }))).toMatchObject({
      a: "stays: of an unfinished run", b: "stays: of an unfinished run", c: "removed",
    });
  });

  it.for([
    ["may not", "permission denied"],
    ["cannot, because the pool is full,", "out of space"],
  ] as const)("is told of when something %s be destroyed, and the rest goes", async ([, why]) => {
    const fake = fakeZfs({
      datasets: { "tank/home": { snapshots: { a: { guid: "1", ours: true }, b: { guid: "2", ours: true }, c: { guid: "3", ours: true } } } },
      faults: { destroy: { exit: 1, stderr: `cannot destroy 'tank/home@a': ${why}\n` } },
    });
    const warnings: string[] = [];
    const outcome = await pruning(new MemoryStore(), { zfs: fake.zfs, keep: lastOne, warnings });
    expect(outcome.snapshots.map(({ fate, problem }) => [fate, problem === null])).toEqual([["failed", false], ["failed", false], ["stays", true]]);
    expect(warnings.join()).toContain(why);
    expect(destroyed(fake)).toEqual(["a", "b"]);
  });

  it("that has no such dataset is told of, and the store is judged all the same", async () => {
    const [store, warnings] = [new MemoryStore(), [] as string[]];
    await stock(store, [{ name: "a", at: "2026-01-01T00:00Z" }]);
    const fake = fakeZfs({ datasets: { tank: {} } });
    const outcome = await pruning(store, { zfs: fake.zfs, keep: { ...lastOne, store: lastOne.local }, warnings });
    expect([outcome.backups.length, outcome.snapshots.length]).toEqual([1, 0]);
    expect(warnings).toEqual(['there is no dataset "tank/home" on the pool: only what is stored of it is judged']);
  });

  it("says which backup is the newest where a clock was behind, and which full is the anchor", async () => {
    const store = new MemoryStore();
    await stock(store, [
      { name: "full", at: "2026-01-01T00:00Z", guid: 100 },
      { name: "x", at: "2026-01-02T00:00Z", guid: 101 },
      { name: "late", at: "1970-01-02T00:00Z", guid: 102 },
    ]);
    // Replicated datasets have the same guids, and are backed up to the same store.
    await stock(store, [{ name: "tank/copy@late", at: "2026-01-02T00:00Z", guid: 102 }]);
    const fake = pool({ full: {}, x: {}, late: {} });
    const outcome = await pruning(store, { zfs: fake.zfs, keep: { local: null, store: lastOne.local } });
    expect(outcome.backups.map(({ subject, fate, reasons }) => [subject.backup, fate, ...reasons.map(({ text }) => text)])).toEqual([
      [named("late"), "stays", "anchor in use", "newest on the pool"],
      [named("full"), "removed"],
      [named("x"), "stays", "last", "newest restorable", "anchor in use"],
    ]);
  });
});

describe("a real pool", { timeout: 120_000 }, () => {
  let modern = false;

  beforeAll(async () => {
    if (lack !== null) return;
    modern = (await runZfs(zfs, ["version"], options).catch(() => "")) !== "";
    await runZfs(zfs, ["create", "--", source], options);
  });

  /** Repeated, because zfs-fuse unmounts in the background and calls the dataset busy until it has. */
  afterAll(async () => {
    if (lack !== null) return;
    await vi.waitFor(() => runZfs(zfs, ["destroy", "-R", "--", source], options), { timeout: 20_000, interval: 300 });
  });

  beforeEach((context) => {
    if (lack === null) return;
    if (env.ZFERRY_TEST_ALL_SYSTEMS === "1") throw new Error(lack);
    context.skip(lack);
  });

  async function left(dataset: Parameters<typeof exists>[0]): Promise<string[]> {
    return (await exists(dataset)).snapshots.map(({ name }) => name.split("@")[1] ?? "").sort();
  }

  it("loses what no rule keeps, and neither other tools' snapshots, nor other datasets', nor what is held, cloned or an anchor", async () => {
    const dataset = await makeSource("pruned");
    const [below, clone] = [child(dataset, "below"), child(source, "clone")];
    await runZfs(zfs, ["create", "--", below], options);
    for (const name of ["autosnap_2020-01-01", "zferry-20200101T000000Z"]) await runZfs(zfs, ["snapshot", "--", snapshotName(dataset, name)], options);
    for (const name of ["anchor", "cloned", "gone", "held", "last"]) await snap(dataset, name);
    await snap(below, "gone");
    await hold(zfs, "somebody", snapshotName(dataset, "held"), options);
    await runZfs(zfs, ["clone", "--", snapshotName(dataset, "cloned"), clone], options);
    if (modern) await bookmark(zfs, snapshotName(dataset, "anchor"), bookmarkName(dataset, "zferry-anchor-0123abcd-anchor"), options);

    const outcome = told(await pruning(new MemoryStore(), { zfs, dataset, keep: lastOne }));
    expect(outcome).toMatchObject({ anchor: modern ? "stays: anchor in use" : "removed", gone: "removed", held: "stays: held (1 hold)", last: "stays: last: newest" });
    expect(outcome.cloned).toMatch(/^stays: in use: /);
    const anchor = modern ? ["anchor"] : [];
    expect(await left(dataset)).toEqual([...anchor, "autosnap_2020-01-01", "cloned", "held", "last", "zferry-20200101T000000Z"]);
    expect(await left(below)).toEqual(["gone"]);

    await release(zfs, "somebody", snapshotName(dataset, "held"), options);
    await vi.waitFor(() => runZfs(zfs, ["destroy", "--", clone], options), { timeout: 20_000, interval: 300 });
    expect(told(await pruning(new MemoryStore(), { zfs, dataset, keep: lastOne }))).toMatchObject({ cloned: "removed", held: "removed" });
  });
});
