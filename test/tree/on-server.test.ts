/**
 * Engine `s3` on a real server: a tree of everything that can be lost returns equal, encrypted and not, in one request and
 * in parts. ZFERRY_TEST_MANY_FILES is how many files it has beside the odd ones (the 20,000).
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createWriteStream, mkdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { join } from "node:path";
import { env } from "node:process";
import { afterEach, describe, expect, it, type TestContext } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { objectKey } from "../../src/format/file-layout.ts";
import { openStore } from "../../src/store/open.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import type { Store } from "../../src/store/store.ts";
import { startFaultProxy } from "../fault-proxy.ts";
import { described, plant } from "../plain/tree.ts";
import { type Bucket, newBucket } from "../system/bucket.ts";
import { need, type S3System } from "../systems.ts";
import { keepLast, place, TreeScene } from "./scene.ts";

const manyCount = Number(env.ZFERRY_TEST_MANY_FILES ?? "10");
const minutes = 60_000;
const { signal } = new AbortController();

const left: (() => Promise<void>)[] = [];
afterEach(async () => {
  while (left.length > 0) await left.pop()?.();
});

async function opened(system: S3System, url: string): Promise<Store> {
  const store = await openStore(url, {
    partBytes: 5 * MiB,
    concurrency: 4,
    retry: { ...defaultRetryPolicy, budgetMs: 20_000, firstDelayMs: 5 },
    access: "write",
    environment: { AWS_ACCESS_KEY_ID: system.accessKeyId, AWS_SECRET_ACCESS_KEY: system.secretAccessKey },
  });
  left.push(() => store.close());
  return store;
}

async function onServer(context: TestContext): Promise<{ scene: TreeScene; bucket: Bucket; system: S3System; store: Store }> {
  const system = need(context, "s3");
  const bucket = await newBucket(system);
  left.push(() => bucket.remove());
  const store = await opened(system, bucket.url);
  left.push(() => emptied(store));
  return { scene: new TreeScene(store), bucket, system, store };
}

async function keysOf(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("", { signal })) keys.push(key);
  return keys;
}

async function emptied(store: Store): Promise<void> {
  await store.delete(await keysOf(store), { signal });
}

function look(folder: string): readonly string[] {
  return described(folder, { hardLinks: true });
}

describe("a tree of odd names, links, holes and many files", () => {
  it("comes back equal, encrypted, and is not sent twice", async (context) => {
    const { scene, store } = await onServer(context);
    scene.packet = "ocb";
    scene.passphrases = ["a secret of this test"];
    plant(scene.tree, manyCount);
    const first = await scene.save();
    expect([first.unreadableCount, first.leftOutCount]).toEqual([0, 0]);
    expect(await scene.save()).toMatchObject({ fileCount: first.fileCount, sentBytes: 0 });
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
    const stored = await buffer(store.get(objectKey(place, first.run, "private"), { signal }));
    expect(stored.includes("secret")).toBe(false);
  }, 20 * minutes);
});

describe("the same over TLS, and in R2", () => {
  it.for(["s3Tls", "r2"] as const)("comes back equal from %s, and goes when nothing names it any more", { timeout: 5 * minutes }, async (name, context) => {
    const system = need(context, name);
    const [shared] = system.buckets;
    const bucket = shared === undefined ? await newBucket(system) : null;
    if (bucket !== null) left.push(() => bucket.remove());
    const prefix = `files-${randomBytes(6).toString("hex")}`;
    const store = await opened(system, bucket?.url ?? `s3://${shared ?? ""}/${prefix}?endpoint=${encodeURIComponent(system.endpoint)}&provider=r2`);
    left.push(() => emptied(store));
    const scene = new TreeScene(store);
    if (name === "r2") plant(scene.tree, 0); // TLS is the same Ceph that has had them above
    writeFileSync(join(scene.tree, "in parts"), randomBytes(10 * MiB + 1));
    await scene.save();
    expect(await scene.save({ keep: keepLast(1) })).toMatchObject({ sentBytes: 0 });
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
    rmSync(scene.tree, { recursive: true });
    mkdirSync(scene.tree);
    await scene.save({ keep: keepLast(1) });
    const keys = (await keysOf(store)).map((key) => key.replace(/^(.*)@.*\./, "$1@."));
    expect([keys, scene.warnings]).toEqual([["file-lists/my%20papers%2F2026/tank/home@.jsonl"], []]);
  });
});

describe("a file in parts", () => {
  it("comes back equal, with its holes, and one that is as it was stays where it is", async (context) => {
    const { scene, bucket } = await onServer(context);
    const large = join(scene.tree, "large");
    writeFileSync(large, randomBytes(12 * MiB + 1));
    writeFileSync(join(scene.tree, "holes"), "x");
    truncateSync(join(scene.tree, "holes"), 6 * MiB);
    expect(await scene.save()).toMatchObject({ sentCount: 2, sentBytes: 18 * MiB + 1 });
    utimesSync(large, 5, 5);
    expect(await scene.save()).toMatchObject({ sentCount: 1 });
    const { into } = await scene.bring();
    expect(look(into)).toEqual(look(scene.tree));
    expect(Number(execFileSync("du", ["-k", join(into, "holes")], { encoding: "utf8" }).split("\t")[0])).toBeLessThan(100);
    expect(await bucket.openUploadCount()).toBe(0);
  }, 2 * minutes);

  it.for([
    ["a part is refused for a while", { match: /partNumber=2&/, times: 2, fault: { kind: "status", status: 503, code: "SlowDown" } }],
    ["a part's connection breaks", { match: /partNumber=1&/, times: 1, fault: { kind: "reset-upload", atBytes: 1_000_000 } }],
    ["a part's answer is lost", { match: /partNumber=2&/, times: 1, fault: { kind: "drop-reply" } }],
    ["a byte flips on its way", { match: /partNumber=1&/, times: 1, fault: { kind: "flip-upload", atBytes: 12_345 } }],
    ["the answer to the end is lost", { match: /^POST .*uploadId=/, times: 1, fault: { kind: "drop-reply" } }],
    ["a small file's answer is lost", { match: /PUT .*small/, times: 1, fault: { kind: "drop-reply" } }],
  ] as const)("is whole though %s", { timeout: 2 * minutes }, async ([, rule], context) => {
    const { bucket, system } = await onServer(context);
    const proxy = await startFaultProxy(Number(new URL(system.endpoint).port));
    left.push(() => proxy.close());
    proxy.add(rule);
    const store = await opened(system, bucket.url.replace(system.endpoint, `http://127.0.0.1:${proxy.port}`));
    const scene = new TreeScene(store);
    writeFileSync(join(scene.tree, "large"), randomBytes(11 * MiB));
    writeFileSync(join(scene.tree, "small"), "small");
    await scene.save();
    proxy.assertAllFired();
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
    expect(await bucket.openUploadCount()).toBe(0);
  });

  it("leaves no part behind when its store fails for good", async (context) => {
    const { bucket, system } = await onServer(context);
    const proxy = await startFaultProxy(Number(new URL(system.endpoint).port));
    left.push(() => proxy.close());
    proxy.add({ match: /partNumber=2&/, times: 1, fault: { kind: "status", status: 403, code: "AccessDenied" } });
    const scene = new TreeScene(await opened(system, bucket.url.replace(system.endpoint, `http://127.0.0.1:${proxy.port}`)));
    writeFileSync(join(scene.tree, "large"), randomBytes(30 * MiB));
    await expect(scene.save()).rejects.toMatchObject({ code: "store-denied" });
    expect([await bucket.openUploadCount(), await scene.runs()]).toEqual([0, []]);
  }, 2 * minutes);
});

it("is opened by gpg alone, file by file", async (context) => {
  const gpg = need(context, "gpg");
  const { scene, store } = await onServer(context);
  scene.packet = "ocb";
  scene.passphrases = ["a secret of this test"];
  mkdirSync(join(scene.tree, "sub"));
  writeFileSync(join(scene.tree, "sub", "a b"), "what gpg shall read");
  const { run } = await scene.save();
  const message = join(scene.folder, "message");
  const file = createWriteStream(message);
  for await (const piece of store.get(objectKey(place, run, "sub/a%20b"), { signal })) file.write(Buffer.from(piece));
  await new Promise((resolve) => file.end(resolve));
  const home = join(scene.folder, "gnupg");
  mkdirSync(home, { mode: 0o700 });
  const words = ["--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "a secret of this test", "--output", join(scene.folder, "plain"), "--decrypt", message];
  execFileSync(gpg, words, { stdio: "ignore" });
  expect(readFileSync(join(scene.folder, "plain"), "utf8")).toBe("what gpg shall read");
}, minutes);
