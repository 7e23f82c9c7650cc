/**
 * What has to be waited for: an outage, and requests that hang. The source is not read meanwhile, and everything goes on
 * where it was. Five minutes pass in three seconds where the retries have a clock of the test's own; for the program as
 * it is built it is 20 s, and the minute until a request that hangs is given up.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type ByteSource, KiB, MiB } from "../../src/bytes.ts";
import { put } from "../../src/put.ts";
import { openStore } from "../../src/store/open.ts";
import type { RetryPolicy } from "../../src/store/retry.ts";
import { parseSnapshotName } from "../../src/zfs/names.ts";
import { built } from "../build.ts";
import type { FaultProxy } from "../fault-proxy.ts";
import { fixtureKey } from "../openpgp/sample.ts";
import { need, type S3System } from "../systems.ts";
import { Crossing } from "./crossing.ts";
import { payloadOf, streamOf } from "./synthetic.ts";

const minutes = 60_000;
/** Longer than what a run takes in while nothing goes out: six buffers of a part, and pipes. */
const stream = streamOf(payloadOf(58 * MiB));
const short = streamOf(payloadOf(14 * MiB));
const { signal } = new AbortController();

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(20);
}

/**
 * Waits until a counter stands still, and tells where: what is inside a run is taken in, and then no more. A second
 * without a change is longer than any pause of a machine that is busy, and shorter than the outage.
 */
async function settled(count: () => number): Promise<number> {
  let last = { value: count(), at: performance.now() };
  while (performance.now() - last.at < 1000) {
    await sleep(20);
    if (count() !== last.value) last = { value: count(), at: performance.now() };
  }
  return last.value;
}

/** Cuts the store off, lets it be so for that long, and says how far the source was read when it stood still and at the end. */
async function outage(proxy: FaultProxy, lastsMs: number, readBytes: () => number): Promise<{ readonly sooner: number; readonly later: number }> {
  await proxy.refuse();
  const begunAt = performance.now();
  const sooner = await settled(readBytes);
  await sleep(Math.max(1000, lastsMs - (performance.now() - begunAt)));
  const later = readBytes();
  await proxy.admit();
  return { sooner, later };
}

/** A stream that counts what was taken of it. */
class Source {
  readonly #bytes: Buffer;
  readBytes = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  async *slices(): ByteSource & AsyncGenerator<Uint8Array> {
    while (this.readBytes < this.#bytes.length) {
      const slice = Buffer.from(this.#bytes.subarray(this.readBytes, this.readBytes + 64 * KiB));
      this.readBytes += slice.length;
      yield slice;
      await Promise.resolve();
    }
  }
}

/** Retries for whom time passes a hundred times as fast, and how long they have waited in all, in their own time. */
function hurried(): RetryPolicy & { readonly longest: () => number } {
  const delays: number[] = [0];
  const clock = {
    now: () => performance.now() * 100,
    sleep: (ms: number, waiting: AbortSignal) => sleep(ms / 100, undefined, { signal: waiting }),
    random: Math.random,
  };
  const onRetry: RetryPolicy["onRetry"] = ({ delayMs }) => void delays.push(delayMs);
  return { budgetMs: 3_600_000, firstDelayMs: 500, maxDelayMs: 60_000, onRetry, clock, longest: () => Math.max(...delays) };
}

describe("an outage of five minutes", () => {
  it("pauses the reading of the source, and then the rest is sent", { timeout: minutes }, async (context) => {
    const crossing = await Crossing.over(need(context, "s3"), stream);
    const { proxy, url, bucket } = crossing.place;
    const policy = hurried();
    const store = await openStore(url, { partBytes: 5 * MiB, concurrency: 4, retry: policy, access: "write", environment: bucket.env });
    onTestFinished(() => store.close());
    const source = new Source(stream);
    const putting = put({
      store,
      backup: parseSnapshotName("tank/a@s"),
      open: () => source.slices(),
      settings: { packet: "ocb", recipients: { passphrases: [], certificates: [fixtureKey("bob").certificate] }, chunkBytes: 10 * MiB, partBytes: 5 * MiB },
      stateDir: crossing.scene.stateDir,
      leaseMs: 3_660_000,
      progress: { onRead: () => undefined, onStored: () => undefined, warn: () => undefined },
      signal,
    });
    await until(() => source.readBytes > 8 * MiB);
    const { sooner, later } = await outage(proxy, 3000, () => source.readBytes);
    expect(sooner).toBeLessThan(stream.length);
    expect(later).toBe(sooner);
    await putting;
    // It waited as long as it would have: the steps had grown far beyond the first half second.
    expect(policy.longest()).toBeGreaterThan(10_000);
    await crossing.expectRestored();
  });
});

/** Bytes the pretended `zfs send` has got rid of, as the kernel counts them. */
function sentBytes({ pool }: Crossing): number {
  const send = pool.alive.find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0send\0-L\0-c\0--\0"));
  if (send === undefined) throw new Error("no send is running");
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${send}/io`, "utf8"))?.[1]);
}

/** Twenty seconds without the store while a backup runs, and ten while it is restored. */
async function throughOutages(system: S3System): Promise<void> {
  const crossing = await Crossing.over(system, stream);
  const { proxy, bucket } = crossing.place;
  const backup = await crossing.startBackup();
  await until(() => proxy.lines.some((line) => /^PUT .*partNumber=2&/.test(line)));
  const { sooner, later } = await outage(proxy, 20_000, () => sentBytes(crossing));
  expect(sooner).toBeLessThan(stream.length);
  expect(later).toBe(sooner);
  const { exit, stderr } = await backup.ended;
  expect(exit, stderr).toBe(0);
  expect(stderr).toMatch(/ECONNREFUSED.*trying again in/);
  expect(await bucket.openUploadCount()).toBe(0);

  const restore = await crossing.startRestore();
  await until(() => proxy.lines.some((line) => /^GET [^?]*\.000001/.test(line)));
  await outage(proxy, 10_000, () => crossing.pool.received(0)?.bytes ?? 0);
  const restored = await restore.ended;
  expect(restored.exit, restored.stderr).toBe(0);
  crossing.expectReceived();
}

/** A request the server never answers, and one it stops reading in the middle. */
async function throughHangsUp(system: S3System): Promise<void> {
  const crossing = await Crossing.over(system, short);
  const { proxy } = crossing.place;
  proxy.add({ match: /^PUT [^?]*\.000000\?.*partNumber=1&/, times: 1, fault: { kind: "hang" } });
  proxy.add({ match: /^PUT [^?]*\.000000\?.*partNumber=2&/, times: 1, fault: { kind: "stall-upload", atBytes: MiB } });
  const { exit, stderr } = await crossing.backup();
  expect(exit, stderr).toBe(0);
  proxy.assertAllFired();
  await crossing.expectRestored();
}

/** A request the server never answers, and a reply that stops in the middle. */
async function throughHangsDown(system: S3System): Promise<void> {
  const crossing = await Crossing.over(system, short);
  const { proxy } = crossing.place;
  expect(await crossing.backup()).toMatchObject({ exit: 0 });
  proxy.add({ match: /^GET [^?]*\.000000/, times: 1, fault: { kind: "hang" } });
  proxy.add({ match: /^GET [^?]*\.000000/, times: 1, fault: { kind: "stall-reply", atBytes: MiB } });
  await crossing.expectRestored();
  proxy.assertAllFired();
}

/** Without the store for longer than the run is told to wait. */
async function beyondPatience(system: S3System): Promise<void> {
  const crossing = await Crossing.over(system, stream);
  const { proxy } = crossing.place;
  const backup = await crossing.startBackup("--retry-for", "3s", "--json");
  await until(() => crossing.scene.journalPath !== null && readFileSync(crossing.scene.journalPath, "utf8").includes('"chunk":{"index":0,'));
  await proxy.refuse();
  const { exit, stderr } = await backup.ended;
  expect(exit, stderr).toBe(15);
  expect(JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({ code: "store-failed", message: expect.stringMatching(/given up after \d+ tries/) as string });
  expect(crossing.scene.journalPath).not.toBeNull();
  expect(crossing.pool.alive).toEqual([]);
  await proxy.admit();
  const next = await crossing.backup();
  expect(next.exit, next.stderr).toBe(0);
  expect(next.stderr).toContain("goes on with an unfinished upload");
  await crossing.expectRestored();
}

describe("the program as it is built", () => {
  beforeAll(built);

  it("waits for 20 s of outage up and down, gets over requests that hang, and keeps what it cannot wait for", { timeout: 3 * minutes }, async (context) => {
    const system = need(context, "s3");
    const ways = [throughOutages, throughHangsUp, throughHangsDown, beyondPatience];
    const ended = await Promise.allSettled(ways.map((way) => way(system))); // a minute, most of it waiting
    expect(ended.flatMap((one, index) => (one.status === "rejected" ? [`${ways[index]?.name ?? ""}: ${String(one.reason)}`] : []))).toEqual([]);
  });
});
