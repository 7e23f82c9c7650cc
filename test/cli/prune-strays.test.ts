/** `zferry prune --strays`: shows first, acts with --yes, and leaves backups alone. What goes is in `test/strays.test.ts`. */
import { existsSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { defaultRetryPolicy, openStore } from "../../src/index.ts";
import { withLocalLock } from "../../src/lock.ts";
import { takeLease } from "../../src/store/lease.ts";
import { leaseTiming } from "../../src/store/lease-object.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { startFaultProxy } from "../fault-proxy.ts";
import { startResponder } from "../s3-responder.ts";
import { type Bucket, newBucket } from "../system/bucket.ts";
import { payloadOf, streamOf as streamOfData } from "../system/synthetic.ts";
import { need } from "../systems.ts";
import { streamOf } from "./pool.ts";
import { documentOf, type Ended, Scene } from "./zferry.ts";

const stray = "streams/tank/src@one/0000aaaa/src@one.zfs.gpg.000000";
const weekMs = 7 * 24 * 3_600_000;

/** A committed backup and a stray beside it. */
async function scene(): Promise<{ scene: Scene; backup: string[] }> {
  const made = new Scene();
  await made.put("tank/src@one", streamOf("one"));
  const backup = made.objects;
  made.write(`store/${stray}`, "x".repeat(1000));
  return { scene: made, backup };
}

/** By default eight days later. */
function prune(made: Scene, flags: readonly string[] = [], afterMs = 8 * 24 * 3_600_000): Promise<Ended> {
  return made.run(["prune", "--strays", ...made.place, ...flags], { now: new Date(Date.now() + afterMs) });
}

it("without --yes it shows what would go and removes nothing", async () => {
  const { scene: made, backup } = await scene();
  const { exit, stdout } = await prune(made);
  expect(exit).toBe(0);
  expect(stdout.toString()).toBe(
    "would go: attempt 0000aaaa of tank/src@one, 1 object, 1000 B\n" +
      "1 attempt without a manifest, 1 backup\n" +
      "nothing was removed; --yes removes what would go\n",
  );
  expect(made.objects).toEqual([...backup, stray].sort());
});

it("with --yes it removes that, and the backup is as it was", async () => {
  const { scene: made, backup } = await scene();
  const ended = await prune(made, ["--yes"]);
  expect(ended.exit).toBe(0);
  expect(ended.stdout.toString()).toContain("removed: attempt 0000aaaa of tank/src@one, 1 object, 1000 B\n");
  expect(made.objects).toEqual(backup);
  const get = await made.run(["get", "tank/src@one", ...made.place, ...made.asBob]);
  expect(get.stdout.equals(Buffer.from(streamOf("one")))).toBe(true);
  expect((await prune(made, ["--yes"])).stdout.toString()).toBe("0 attempts without a manifest, 1 backup\n");
});

it("the document says of each attempt what becomes of it and why", async () => {
  const { scene: made } = await scene();
  const young = documentOf(await prune(made, ["--json"], weekMs - 60_000));
  expect(young).toMatchObject({ type: "prune", dryRun: true, committedCount: 1, foreignCount: 0 });
  expect(young.attempts).toMatchObject([
    { backup: "tank/src@one", attempt: "0000aaaa", objectCount: 1, bytes: 1000, outcome: "stays", reason: expect.stringContaining("grace period") as string },
  ]);
  expect(documentOf(await prune(made, ["--json", "--yes"])).attempts).toMatchObject([{ outcome: "removed", reason: null }]);
});

it.for([
  ["7d", weekMs - 60_000, "stays"],
  ["7d", weekMs + 60_000, "would-go"],
  ["1h", 3_500_000, "stays"],
  ["1h", 3_700_000, "would-go"],
] as const)("--older-than %s: after %i ms an attempt %s", async ([time, afterMs, outcome]) => {
  const { scene: made } = await scene();
  expect(documentOf(await prune(made, ["--json", "--older-than", time], afterMs)).attempts).toMatchObject([{ outcome }]);
});

it.for([
  ["0s", 0],
  ["3650d", 0],
  ["3651d", 2],
  ["-1d", 2],
] as const)("--older-than %s ends with %i", async ([time, exit]) => {
  const made = new Scene();
  made.write("store/film.mkv", "");
  expect((await prune(made, ["--older-than", time])).exit).toBe(exit);
});

it("what goes stays while a run of the same host or another is at work on the dataset, and the others go", async () => {
  const { scene: made, backup } = await scene();
  const other = stray.replaceAll("src@one", "other@one");
  made.write(`store/${other}`, "x");
  const { signal } = new AbortController();
  const locked = await withLocalLock(made.stateDir, parseDatasetName("tank/src"), { signal }, () => prune(made, ["--yes"]));
  expect(locked.stdout.toString()).toMatch(/^stays: attempt 0000aaaa of tank\/src@one, .*: another run is at work on "tank\/src": process \d+/m);
  expect(locked.stdout.toString()).toContain("removed: attempt 0000aaaa of tank/other@one");
  expect(made.objects).toEqual([...backup, stray].sort());

  const store = await openStore(made.store, { partBytes: 5 * MiB, concurrency: 1, retry: defaultRetryPolicy, access: "write", environment: {} });
  const options = { ...leaseTiming(60_000), holder: { id: "other", host: "nas" }, attempt: null, signal, warn: () => undefined };
  const lease = await takeLease(store, parseDatasetName("tank/src"), options);
  const leased = await prune(made, ["--yes"], 8 * 24 * 3_600_000);
  expect(leased.exit).toBe(0);
  expect(leased.stdout.toString()).toMatch(/^stays: attempt 0000aaaa .*"nas" holds the lease/m);
  await lease.release();
  expect((await prune(made, ["--yes"])).stdout.toString()).toContain("removed: attempt 0000aaaa");
  expect(made.objects).toEqual(backup);
});

it("an attempt that a damaged manifest may name stays, and so does one whose lease cannot be read", async () => {
  const { scene: made } = await scene();
  made.write("store/locks/tank/src.json", "garbage");
  expect((await prune(made, ["--yes"])).stdout.toString()).toContain('stays: attempt 0000aaaa of tank/src@one, 1 object, 1000 B: the lease "locks/tank/src.json" cannot be read');
  rmSync(join(made.store, "locks"), { recursive: true });
  writeFileSync(join(made.store, "manifests/tank/src@one.json"), "garbage");
  const before = made.objects;
  expect((await prune(made, ["--yes"])).stdout.toString().match(/^stays: /gm)).toHaveLength(2);
  expect(made.objects).toEqual(before);
});

it("a store that is not there is an error and is not made", async () => {
  const made = new Scene();
  const { exit, stderr } = await prune(made, ["--yes"]);
  expect(exit).toBe(15);
  expect(stderr).toContain("zferry: hint: ");
  expect(made.objects).toEqual([]);
});

it("a folder of manifests behind a link, which a store does not follow, is an error that costs nothing", async () => {
  const { scene: made } = await scene();
  renameSync(join(made.store, "manifests"), join(made.folder, "manifests"));
  symlinkSync(join(made.folder, "manifests"), join(made.store, "manifests"));
  const before = made.objects;
  const { exit, stderr } = await prune(made, ["--yes"]);
  expect(exit).toBe(15);
  expect(stderr).toContain("symbolic link");
  expect(made.objects).toEqual(before);
});

it("where all manifests are gone, what was a backup stays, and it is said why", async () => {
  const { scene: made, backup } = await scene();
  rmSync(join(made.store, "manifests"), { recursive: true });
  const { exit, stdout } = await prune(made, ["--yes"]);
  expect(exit).toBe(0);
  expect(stdout.toString()).toMatch(/^stays: .*the store has no manifest at all: they may have been lost$/m);
  expect(made.objects).toEqual(backup.filter((file) => !file.startsWith("manifests/")));
});

it("what lies behind a link is not in the store: it is neither shown nor removed", async () => {
  const { scene: made, backup } = await scene();
  const outside = join(made.folder, "outside");
  const folder = dirname(join(made.store, stray));
  renameSync(folder, outside);
  symlinkSync(outside, folder);
  const { exit } = await prune(made, ["--yes"]);
  expect([exit, made.objects]).toEqual([0, backup]);
  expect(existsSync(join(outside, basename(stray)))).toBe(true);
});

/** A bucket in memory behind a proxy, with a backup and two strays; it does not list uploads, for which it is asked so often. */
async function bucketScene(uploadListCount: number) {
  const server = await startResponder({ bucket: "bucket", knowsCrc32: true });
  const proxy = await startFaultProxy(server.port);
  onTestFinished(async () => {
    await proxy.close();
    await server.close();
  });
  const made = new Scene();
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "an-unused-secret" };
  const place = ["--store", `s3://bucket/host?endpoint=http://127.0.0.1:${proxy.port}`, "--state-dir", made.stateDir, "--retry-for", "0s"];
  const put = await made.run(["put", "tank/src@one", ...place, ...made.forBob], { stdin: streamOf("one"), env });
  expect(put.exit).toBe(0);
  const backup = [...server.objects.keys()].sort();
  const [template] = server.objects.values();
  if (template === undefined) throw new Error("nothing was put");
  for (const attempt of ["0000aaaa", "0000bbbb"]) server.objects.set(`host/${stray.replace("0000aaaa", attempt)}`, template);
  proxy.add({ match: /^GET .*uploads=/, times: uploadListCount, fault: { kind: "status", status: 501, code: "NotImplemented" } });
  const sweep = () =>
    made.run(["prune", "--strays", "--yes", "--json", ...place], { env, now: new Date(Date.now() + 2 * weekMs) });
  return { proxy, server, backup, sweep };
}

it("a stray that may not be deleted is a finding, with 3, and the others go", async () => {
  const { proxy, server, backup, sweep } = await bucketScene(5);
  proxy.add({ match: /^DELETE .*0000aaaa/, times: 1, fault: { kind: "status", status: 403, code: "AccessDenied" } });
  const ended = await sweep();
  proxy.assertAllFired();
  expect(ended.exit).toBe(3);
  expect(documentOf(ended).attempts).toMatchObject([
    { attempt: "0000aaaa", outcome: "failed", reason: expect.stringContaining("AccessDenied") as string },
    { attempt: "0000bbbb", outcome: "removed", reason: null },
  ]);
  expect([...server.objects.keys()].sort()).toEqual([...backup, `host/${stray}`].sort());
});

it("a store that fails during the sweep ends it with 15, and what was a backup is still one", async () => {
  const { proxy, server, backup, sweep } = await bucketScene(8);
  proxy.add({ match: /^DELETE .*0000bbbb/, times: 1, fault: { kind: "status", status: 500, code: "InternalError" } });
  const ended = await sweep();
  expect(ended.exit).toBe(15);
  expect(ended.stderr).toContain("removed attempt 0000aaaa of tank/src@one");
  expect([...server.objects.keys()]).toEqual(expect.arrayContaining(backup));
  expect((await sweep()).exit).toBe(0);
  proxy.assertAllFired();
  expect([...server.objects.keys()].sort()).toEqual(backup);
});

it.for([
  ["the objects", /^GET .*list-type=2.*prefix=host%2Fstreams/],
  ["the manifests", /^GET .*list-type=2.*prefix=host%2Fmanifests/],
  ["a manifest's content", /^GET .*manifests\/tank/],
  ["a lease", /^GET .*locks\/tank/],
] as const)("when %s cannot be had it ends with 15 and nothing is removed", async ([, match]) => {
  const { proxy, server, sweep } = await bucketScene(1);
  const before = [...server.objects.keys()];
  proxy.add({ match, times: 1, fault: { kind: "status", status: 403, code: "AccessDenied" } });
  expect((await sweep()).exit).toBe(15);
  proxy.assertAllFired();
  expect([...server.objects.keys()]).toEqual(before);
});

it("on a real S3 server strays go and backups stay", async (context) => {
  const bucket = await newBucket(need(context, "s3"));
  const made = new Scene();
  const place = ["--store", bucket.url, "--state-dir", made.stateDir];
  const put = await made.run(["put", "tank/src@one", ...place, ...made.forBob, "--part-size", "5MiB", "--chunk-size", "10MiB"], { stdin: streamOf("one"), env: bucket.env });
  expect(put.exit).toBe(0);
  const backup = await bucket.keys();
  await made.run(["put", "tank/src@two", ...place, ...made.forBob, "--part-size", "5MiB", "--chunk-size", "10MiB"], { stdin: streamOf("two"), env: bucket.env });
  const second = (await bucket.keys()).filter((key) => !backup.includes(key));
  expect(second.length).toBeGreaterThan(2);
  const store = await openStore(bucket.url, { partBytes: 5 * MiB, concurrency: 1, retry: defaultRetryPolicy, access: "write", environment: bucket.env });
  await store.delete(["manifests/tank/src@two.json"], { signal: new AbortController().signal });
  await store.close();
  const ended = await made.run(["prune", "--strays", "--yes", "--json", ...place], { env: bucket.env, now: new Date(Date.now() + 2 * weekMs) });
  expect(documentOf(ended).attempts).toMatchObject([{ backup: "tank/src@two", outcome: "removed" }]);
  expect(await bucket.keys()).toEqual(backup);
});

/** As if the lease of a dead run had run out. */
async function forgetLease(bucket: Bucket): Promise<void> {
  const store = await openStore(bucket.url, { partBytes: 5 * MiB, concurrency: 1, retry: defaultRetryPolicy, access: "write", environment: bucket.env });
  await store.delete(["locks/tank/src.json"], { signal: new AbortController().signal });
  await store.close();
}

it("an unfinished upload of which nothing else is stored goes when it is old enough and no run is at work, and an open one stays", async (context) => {
  const bucket = await newBucket(need(context, "s3"));
  const made = new Scene();
  const place = ["--store", bucket.url, "--state-dir", made.stateDir];
  const words = ["put", "tank/src@dead", ...place, ...made.forBob, "--part-size", "5MiB", "--chunk-size", "20MiB"];
  const run = await made.start(words, { env: bucket.env });
  run.feed(streamOfData(payloadOf(12 * MiB)));
  while ((await bucket.openUploadCount()) === 0) await sleep(100);
  const prune = (stateDir: string, ...flags: string[]) =>
    made.run(["prune", "--strays", "--json", ...place.slice(0, 2), "--state-dir", stateDir, ...flags], { env: bucket.env, now: new Date(Date.now() + 2 * weekMs) });
  const elsewhere = join(made.folder, "elsewhere");
  const live = documentOf(await prune(elsewhere, "--yes", "--older-than", "0s"));
  expect(live.attempts).toMatchObject([{ backup: "tank/src@dead", objectCount: 0, unfinishedCount: 1, outcome: "stays" }]);
  expect(await bucket.openUploadCount()).toBe(1);

  run.kill("SIGKILL");
  await run.ended;
  await forgetLease(bucket);
  // Its own host might have gone on with it, and has not for two weeks.
  expect(documentOf(await prune(made.stateDir))).toMatchObject({ attempts: [{ outcome: "would-go" }], journals: [{ outcome: "would-go" }] });
  expect(documentOf(await prune(elsewhere, "--older-than", "30d")).attempts).toMatchObject([{ outcome: "stays", reason: expect.stringContaining("grace period") as string }]);
  expect(documentOf(await prune(elsewhere)).attempts).toMatchObject([{ outcome: "would-go" }]);
  expect(await bucket.openUploadCount()).toBe(1);
  expect(documentOf(await prune(elsewhere, "--yes")).attempts).toMatchObject([{ outcome: "removed", objectCount: 0, unfinishedCount: 1 }]);
  expect(await bucket.openUploadCount()).toBe(0);
  expect(await bucket.keys()).toEqual([]);
});
