/**
 * The races of a lease where they are real: several clients of one folder, and of the real servers of `test/systems.ts`.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { describe, expect, it, onTestFinished } from "vitest";
import { openDirectory } from "../../src/store/directory.ts";
import { systemLeaseClock } from "../../src/store/lease-clock.ts";
import { type LeaseOptions, takeLease } from "../../src/store/lease.ts";
import type { Store } from "../../src/store/store.ts";
import { built } from "../build.ts";
import { ownFolder } from "../folder.ts";
import { need, type S3System } from "../systems.ts";
import { dataset, failures, host, stored, successes, TestClock } from "./lease-scene.ts";
import { openOnServer, realPartBytes } from "./s3-bench.ts";

const takerCount = 8;
/** As quick as a lease can be, on a real clock. */
const quick = { ttlMs: 3000, heartbeatMs: 1000, skewMs: 500 };

/** Opens one more client of the same place. */
type Open = () => Promise<Store>;

async function bucketOn(system: S3System, provider: string): Promise<Open> {
  const { endpoint, region, accessKeyId, secretAccessKey } = system;
  const bucket = system.buckets[0] ?? "zferry-suite";
  if (system.buckets.length === 0) {
    const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
    await client.send(new CreateBucketCommand({ Bucket: bucket })).catch((error: unknown) => {
      if (!String(error).includes("BucketAlready")) throw error;
    });
    client.destroy();
  }
  const prefix = `lease/${randomBytes(6).toString("hex")}`;
  const keys = { access: accessKeyId, secret: secretAccessKey };
  return () => openOnServer({ endpoint, bucket, provider, prefix, keys, partBytes: realPartBytes });
}

async function race(stores: readonly Store[], overrides: Partial<LeaseOptions>): Promise<number> {
  const takers = stores.map((store, index) => takeLease(store, dataset, host(`h${index}`, systemLeaseClock, overrides)));
  const outcomes = await Promise.allSettled(takers);
  expect(failures(outcomes).map((failure) => (failure as { code?: string }).code)).toEqual(Array(takerCount - 1).fill("locked"));
  const [lease] = successes(outcomes);
  await lease?.check();
  expect(lease?.signal.aborted).toBe(false);
  await lease?.release();
  return lease?.epoch ?? 0;
}

async function testRaces(open: Open): Promise<void> {
  const stores = await Promise.all(Array.from({ length: takerCount }, open));
  onTestFinished(async () => {
    await Promise.all(stores.map((store) => store.close()));
  });
  const [first] = stores;
  if (first === undefined) throw new Error("no store");
  expect(await race(stores, {})).toBe(1);
  const anHourAgo = new TestClock();
  anHourAgo.offset.wallMs = -3_600_000;
  await takeLease(first, dataset, host("dead", anHourAgo, quick));
  expect(await race(stores, quick)).toBe(2);
  await expect(stored(first)).rejects.toMatchObject({ code: "object-missing" });
}

/** Another process with a lease on a folder, which checks it when it is told to and says how that ended. */
async function otherHolder(folder: string): Promise<{ child: ChildProcessByStdio<Writable, Readable, null>; next: () => Promise<string> }> {
  const dist = pathToFileURL(dirname(await built())).href;
  const script = `
    import { once } from "node:events";
    import { openDirectory } from "${dist}/store/directory.js";
    import { takeLease } from "${dist}/store/lease.js";
    const options = { ...${JSON.stringify(quick)}, holder: { id: "a", host: "a" }, warn: console.error };
    const { signal } = new AbortController();
    const store = await openDirectory(${JSON.stringify(folder)}, "write");
    const lease = await takeLease(store, ${JSON.stringify(dataset)}, { ...options, signal });
    console.log("held");
    for await (const _ of process.stdin) console.log(await lease.check().then(() => "ok", ({ code }) => code));`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return { child, next: async () => String((await lines.next()).value) };
}

it("a process that was stopped, and wakes after another took over, cannot check its lease", async () => {
  const folder = ownFolder();
  const store = await openDirectory(folder, "write");
  const { child, next } = await otherHolder(folder);
  expect(await next()).toBe("held");
  child.stdin.write("check\n");
  expect(await next()).toBe("ok");
  const ours = host("b", systemLeaseClock, quick);
  await expect(takeLease(store, dataset, ours)).rejects.toMatchObject({ code: "locked" });
  child.kill("SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, quick.ttlMs + quick.skewMs + 100));
  const lease = await takeLease(store, dataset, ours);
  child.kill("SIGCONT");
  child.stdin.write("check\n");
  expect(await next()).toBe("locked");
  await lease.check();
  await lease.release();
});

describe("of eight clients exactly one takes a lease, and exactly one takes over that of a dead holder", () => {
  it("in a folder", async () => {
    const folder = ownFolder();
    await testRaces(() => openDirectory(folder, "write"));
  });

  it("on Ceph RGW", async (context) => {
    await testRaces(await bucketOn(need(context, "s3"), "ceph"));
  });

  it("on Cloudflare's local R2", async (context) => {
    await testRaces(await bucketOn(need(context, "r2"), "r2"));
  });
});
