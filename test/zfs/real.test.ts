/**
 * The zfs side against a real zfs: what the pretended one only claims.
 *
 * Every dataset here is made under a random name and destroyed afterwards. What zfs-fuse lacks is skipped by name.
 */
import { execFileSync } from "node:child_process";
import { env } from "node:process";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi, type TestContext } from "vitest";
import { bookmark, destroyBookmark, hold, release } from "../../src/zfs/anchors.ts";
import { runZfs } from "../../src/zfs/command.ts";
import { listDatasets, readDataset, type DatasetFacts } from "../../src/zfs/inventory.ts";
import { bookmarkName, parseDatasetName, snapshotName } from "../../src/zfs/names.ts";
import { defaultReceiveOptions, receive } from "../../src/zfs/receive.ts";
import { estimateSend, send, sendFlagsFor } from "../../src/zfs/send.ts";
import { createSnapshots, destroySnapshot } from "../../src/zfs/snapshots.ts";
import {
  bytesOf,
  child,
  environment,
  exists,
  factsOf,
  ferry,
  inPieces,
  lack,
  makeSource,
  options,
  planOf,
  snap,
  source,
  target,
  zfs,
} from "./real.ts";

let modern = false;

function needsOpenZfs(context: TestContext): void {
  if (!modern) context.skip("this zfs is zfs-fuse, which has no such thing");
}

describe("a real zfs", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    if (lack !== null) return;
    modern = (await runZfs(zfs, ["version"], options).catch(() => "")) !== "";
    await runZfs(zfs, ["create", "--", source], options);
    await runZfs(zfs, ["create", "--", target], options);
  });

  /** Repeated, because zfs-fuse unmounts in the background and calls the dataset busy until it has. */
  afterAll(async () => {
    if (lack !== null) return;
    for (const dataset of [source, target]) {
      await vi.waitFor(() => runZfs(zfs, ["destroy", "-r", "--", dataset], options), { timeout: 20_000, interval: 300 });
    }
  });

  beforeEach((context) => {
    if (lack === null) return;
    if (env.ZFERRY_TEST_ALL_SYSTEMS === "1") throw new Error(lack);
    context.skip(lack);
  });

  it("shows a snapshot of ours with its identity, its mark and its holds, and children left out", async () => {
    const dataset = await makeSource("inventory");
    await makeSource("inventory/below");
    const snapshot = await snap(dataset, " with spaces ");
    await hold(zfs, "zferry", snapshot, options);
    await hold(zfs, "zferry", snapshot, options);
    const facts = await exists(dataset);
    expect(facts).toMatchObject({ name: dataset, type: "filesystem", encrypted: false, bookmarks: [] });
    expect(facts.snapshots).toMatchObject([{ name: snapshot, ours: true, userRefs: 1 }]);
    expect(await listDatasets(zfs, dataset, options)).toEqual([dataset, child(dataset, "below")]);
    await release(zfs, "zferry", snapshot, options);
    await release(zfs, "zferry", snapshot, options);
    expect((await exists(dataset)).snapshots).toMatchObject([{ userRefs: 0 }]);
  });

  it("does not show a foreign snapshot as ours when the dataset hands the mark down", async () => {
    const dataset = await makeSource("inherited", ["-o", "zferry:snapshot=1"]);
    await runZfs(zfs, ["snapshot", "--", `${dataset}@theirs`], options);
    const theirs = await factsOf(snapshotName(dataset, "theirs"));
    expect(theirs.ours).toBe(false);
    await expect(destroySnapshot(zfs, theirs.name, theirs.guid, options)).rejects.toThrow("zferry did not make it");
  });

  it("has null for what is not there", async () => {
    expect(await readDataset(zfs, child(source, "nothing"), options)).toBeNull();
    expect(await readDataset(zfs, parseDatasetName("nopool"), options)).toBeNull();
  });

  it("receives a full and an incremental, and the guids are the same on both sides", async () => {
    const dataset = await makeSource("pair");
    const to = child(target, "pair");
    const s1 = await snap(dataset, "s1");
    const s2 = await snap(dataset, "s2");
    await ferry(await planOf(s1), to);
    await ferry(await planOf(s2, s1), to);
    const guids = (facts: DatasetFacts): readonly bigint[] => facts.snapshots.map(({ guid }) => guid);
    expect(guids(await exists(to))).toEqual(guids(await exists(dataset)));
    expect((await exists(to)).snapshots.map(({ ours }) => ours)).toEqual([false, false]);
  });

  it("sends an incremental from a bookmark after its snapshot was destroyed", async (context) => {
    needsOpenZfs(context);
    const dataset = await makeSource("marked");
    const to = child(target, "marked");
    const s1 = await snap(dataset, "s1");
    const mark = bookmarkName(dataset, "zferry-s1");
    const first = await factsOf(s1);
    await ferry(await planOf(s1), to);
    expect(await bookmark(zfs, s1, mark, options)).toBe("made");
    expect(await bookmark(zfs, s1, mark, options)).toBe("exists");
    const s2 = await snap(dataset, "s2");
    await expect(bookmark(zfs, s2, mark, options)).rejects.toMatchObject({ code: "zfs-failed" });
    await destroySnapshot(zfs, s1, first.guid, options);
    await destroySnapshot(zfs, s1, first.guid, options);
    expect((await exists(dataset)).bookmarks).toMatchObject([{ name: mark, guid: first.guid, createTxg: first.createTxg }]);
    await ferry(await planOf(s2, mark), to);
    expect((await exists(to)).snapshots).toHaveLength(2);
    await destroyBookmark(zfs, mark, first.guid, options);
    await destroyBookmark(zfs, mark, first.guid, options);
    expect((await exists(dataset)).bookmarks).toEqual([]);
    await expect(bytesOf(await planOf(s2, mark))).rejects.toMatchObject({ code: "zfs-not-found" });
  });

  it("estimates a stream, or says that it cannot", async () => {
    const plan = await planOf(await snap(await makeSource("estimate"), "s1"));
    const estimate = await estimateSend(zfs, plan, options);
    if (modern) expect(estimate).toBeGreaterThanOrEqual(624);
    else expect(estimate).toBeNull();
  });

  it("knows -L and -c, or has them left out", async () => {
    const facts = await exists(await makeSource("flags"));
    expect(await sendFlagsFor(zfs, facts, options)).toEqual(modern ? ["-L", "-c"] : []);
  });

  it("sends an encrypted dataset raw and receives it without its key", async (context) => {
    needsOpenZfs(context);
    const dataset = child(source, "secret");
    execFileSync(zfs.command[0], ["create", "-o", "encryption=on", "-o", "keyformat=passphrase", dataset], {
      input: "correct horse\ncorrect horse\n",
      env: environment,
    });
    const plan = await planOf(await snap(dataset, "s1"));
    expect(plan.flags).toEqual(["-w"]);
    const to = child(target, "secret");
    await ferry(plan, to);
    expect(await exists(to)).toMatchObject({ encrypted: true });
    const s2 = await snap(dataset, "s2");
    await ferry(await planOf(s2, plan.snapshot), to);
    expect((await exists(to)).snapshots).toHaveLength(2);
  });

  it("sends and receives a volume", async (context) => {
    needsOpenZfs(context);
    const dataset = await makeSource("volume", ["-s", "-V", "8M"]);
    const to = child(target, "volume");
    await ferry(await planOf(await snap(dataset, "s1")), to);
    expect(await exists(to)).toMatchObject({ type: "volume" });
  });

  it("snapshots several datasets at one instant", async (context) => {
    needsOpenZfs(context);
    const datasets = [await makeSource("together"), await makeSource("together/below")];
    await createSnapshots(zfs, datasets.map((dataset) => snapshotName(dataset, "s1")), { ...options, mark: "1" });
    const [one, other] = await Promise.all(datasets.map(exists));
    expect(one?.snapshots[0]?.createTxg).toBe(other?.snapshots[0]?.createTxg);
  });

  it("passes properties on to the target", async (context) => {
    needsOpenZfs(context);
    const to = child(target, "properties");
    const plan = await planOf(await snap(await makeSource("properties"), "s1"));
    await ferry(plan, to, { set: { readonly: "on", "org:note": "a b; c" }, exclude: ["mountpoint"] });
    expect(await runZfs(zfs, ["get", "-H", "-o", "value", "readonly,org:note", to], options)).toBe("on\na b; c\n");
  });

  it("says what stands in the way", async () => {
    const dataset = await makeSource("errors");
    const s1 = await snap(dataset, "s1");
    const s2 = await snap(dataset, "s2");
    const to = child(target, "errors");
    const full = await planOf(s1);
    await ferry(full, to);
    await expect(ferry(full, to)).rejects.toMatchObject({ code: "target-exists" });
    await expect(snap(dataset, "s1")).rejects.toMatchObject({ code: "target-exists" });
    await expect(ferry(full, parseDatasetName("nopool/x"))).rejects.toMatchObject({ code: "zfs-not-found" });
    const nothing = { ...full, snapshot: snapshotName(dataset, "nothing") };
    await expect(bytesOf(nothing)).rejects.toMatchObject({ code: "zfs-not-found" });
    await expect(bytesOf({ ...full, base: s2 })).rejects.toMatchObject({ code: "zfs-failed" });
    await hold(zfs, "zferry", s1, options);
    const { guid } = await factsOf(s1);
    await expect(destroySnapshot(zfs, s1, guid, options)).rejects.toMatchObject({ code: "zfs-busy" });
    await release(zfs, "zferry", s1, options);
  });

  it("refuses an incremental onto a target that is not there", async (context) => {
    needsOpenZfs(context);
    const dataset = await makeSource("baseless");
    const [s1, s2] = [await snap(dataset, "s1"), await snap(dataset, "s2")];
    await ferry(await planOf(s1), child(target, "with base"));
    const received = ferry(await planOf(s2, s1), child(target, "without base"));
    await expect(received).rejects.toMatchObject({ code: "zfs-not-found" });
  });

  it("refuses an incremental onto a target that came from elsewhere", async () => {
    const [dataset, elsewhere] = [await makeSource("diverged"), await makeSource("elsewhere")];
    const [s1, s2] = [await snap(dataset, "s1"), await snap(dataset, "s2")];
    const to = child(target, "diverged");
    await ferry(await planOf(await snap(elsewhere, "s1")), to);
    await expect(ferry(await planOf(s2, s1), to)).rejects.toMatchObject({ code: "target-modified" });
  });

  it.for([
    ["cut off before its end", (bytes: Buffer) => bytes.subarray(0, -312)],
    ["empty", (bytes: Buffer) => bytes.subarray(0, 0)],
    ["no stream at all", (bytes: Buffer) => Buffer.alloc(bytes.length, "x")],
  ] as const)("receives nothing from a stream that is %s", async ([name, damage]) => {
    const bytes = await bytesOf(await planOf(await snap(await makeSource(`damage ${name}`), "s1")));
    const to = child(target, `damage ${name}`);
    const how = { target: to, options: defaultReceiveOptions };
    await expect(receive(zfs, inPieces(damage(bytes)), how, options)).rejects.toMatchObject({ code: "zfs-failed" });
    expect(await readDataset(zfs, to, options)).toBeNull();
  });

  it("receives nothing when the source throws in place of the last record", async () => {
    const bytes = await bytesOf(await planOf(await snap(await makeSource("thrown"), "s1")));
    const to = child(target, "thrown");
    async function* withheld(): AsyncGenerator<Uint8Array> {
      yield* inPieces(bytes.subarray(0, -312));
      throw new Error("chunk 17 is damaged");
    }
    const how = { target: to, options: defaultReceiveOptions };
    await expect(receive(zfs, withheld(), how, options)).rejects.toThrow("chunk 17 is damaged");
    expect(await readDataset(zfs, to, options)).toBeNull();
  });

  it("lets the pool go when a send is left early or aborted", async () => {
    const dataset = await makeSource("left");
    const plan = await planOf(await snap(dataset, "s1"));
    for await (const piece of send(zfs, plan, options)) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    const abort = new AbortController();
    const stream = send(zfs, plan, { signal: abort.signal });
    await stream.next();
    abort.abort(new Error("enough"));
    await expect(stream.next()).rejects.toThrow("enough");
    const first = await factsOf(plan.snapshot);
    await destroySnapshot(zfs, first.name, first.guid, options);
    expect((await exists(dataset)).snapshots).toEqual([]);
  });
});
