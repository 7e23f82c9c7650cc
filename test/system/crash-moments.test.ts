/**
 * SIGKILL at random moments of a `backup`, to a real S3 server and to a folder, again and again until it is through: 256
 * MiB, with CRASH_POINTS a gigabyte. Each run goes on where the last one was killed, and sends again at most the chunks in
 * flight; when one ends, the backup comes back equal and nothing is left but what its manifest names.
 *
 * Most moments are counted in new bytes, seen by a proxy before the server or in the folder; some, among the early ones,
 * in milliseconds from the start, which hits the steps before the first byte and the replay of what is stored. The seed is
 * printed; CRASH_SEED repeats a run, CRASH_POINTS makes it longer, CRASH_EACH=1 lets every killed run be followed by one
 * that ends.
 */
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { built } from "../build.ts";
import { filesUnder, type Scene } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { newBucket } from "./bucket.ts";
import { bucketPlace, CrashWorld, folderPlace, type Place } from "./crash-world.ts";
import { residentBin } from "../zfs/resident.ts";
import { type Counted, startCountingProxy } from "./counting-proxy.ts";
import { type Gigabyte, gigabyte, layOut } from "./gigabyte.ts";
import { pointsOr, randomFrom, seed } from "./moments.ts";

const minutes = 60_000;
const points = pointsOr(8);
/** How many kills in a row each backup takes before a run of it ends. */
const chains = process.env.CRASH_EACH === "1" ? Array<number>(points).fill(1) : [points];
const streamBytes = (process.env.CRASH_POINTS === undefined ? 256 : 1024) * MiB;
const chunkBytes = 10 * MiB;
/** `ferry.ts` has two at a time, and a run is killed once. */
const inFlightBytes = 2 * chunkBytes;
const sizes = { chunk: "10MiB", part: "5MiB", chunkCount: Math.ceil(streamBytes / chunkBytes) };
const zfs = fileURLToPath(new URL("gigabyte-zfs.mjs", import.meta.url));

/** What a store has seen of a run. */
interface Meter {
  /** Before each run. */
  begin(): void;
  /** Bytes it has sent so far. */
  newBytes(): number;
  /** After each run. @returns how many bytes it sent that an earlier one had sent already */
  repeatedBytes(): Promise<number>;
}

type Moment = { readonly kind: "bytes"; readonly bytes: number } | { readonly kind: "time"; readonly ms: number };

/** `left` counts the one that is asked for. */
function momentOf(random: () => number, { left, kills, remainingBytes }: { left: number; kills: number; remainingBytes: number }): Moment {
  const isEarly = left > kills / 2;
  if (isEarly && random() < 0.4) return { kind: "time", ms: 300 + random() * 900 };
  return { kind: "bytes", bytes: random() * Math.min(0.9, 2 / (left + 1)) * remainingBytes };
}

async function killedRun(world: CrashWorld, meter: Meter, moment: Moment): Promise<boolean> {
  meter.begin();
  const startedAt = performance.now();
  const isOver = (): boolean =>
    moment.kind === "time" ? performance.now() - startedAt >= moment.ms : meter.newBytes() >= moment.bytes;
  const { ended, kill } = await world.scene.start(world.words, { stdin: new Uint8Array(), env: world.env });
  const stop = new AbortController();
  void ended.then(() => {
    stop.abort();
  });
  while (!stop.signal.aborted && !isOver()) await sleep(3);
  kill("SIGKILL");
  const { killedBy, exit, stderr } = await ended;
  expect(killedBy !== null || exit === 0, stderr).toBe(true);
  return killedBy === "SIGKILL";
}

/** Kills run after run, then lets one end. */
async function chain(world: CrashWorld, meter: Meter, { kills, random }: { kills: number; random: () => number }): Promise<void> {
  const repeats: number[] = [];
  for (let left = kills; left > 0; left--) {
    const stored = (await world.place.keys()).filter((key) => /\.\d{6}$/.test(key)).length * chunkBytes;
    const moment = momentOf(random, { left, kills, remainingBytes: streamBytes - stored });
    expect(await killedRun(world, meter, moment), `${JSON.stringify(moment)} came after the end`).toBe(true);
    world.letLeftoversAge();
    repeats.push(await meter.repeatedBytes());
  }
  meter.begin();
  const last = await world.scene.spawn(world.words, { env: world.env });
  expect(last.exit, last.stderr).toBe(0);
  repeats.push(await meter.repeatedBytes());
  console.log(`MiB sent twice: ${repeats.map((bytes) => (bytes / MiB).toFixed(1)).join(" ")}`);
  expect(Math.max(...repeats)).toBeLessThanOrEqual(inFlightBytes);
}

/** A pool whose one snapshot sends the stream. */
function worldOf(place: (scene: Scene) => Place, stream: Gigabyte): CrashWorld {
  const night = { file: "gigabyte.begin", guid: 1n, sha256: stream.sha256, recorded: stream.records.subarray(0, 312) };
  const world = new CrashWorld(place, [night], sizes);
  layOut(stream, world.pool.folder);
  mkdirSync(join(world.scene.folder, "bin"));
  const send = `[ "$1" != send ] || [ "$2" = -nP ] || exec "${process.execPath}" "${zfs}" "$@"`;
  chmodSync(world.scene.write("bin/zfs", `#!/bin/sh\n${send}\nexec "${residentBin}/zfs" "$@"\n`), 0o700);
  return world;
}

/**
 * Counts files of a folder store: a chunk with another inode was written again, and so will be all that is unfinished. Of a chunk
 * that was there before the last run that sent anything, what that run sent of it may be among the unfinished: it is not counted
 * with those.
 */
function folderMeter(folder: string): Meter {
  const chunks = (): Map<string, File> => filesIn(folder, (name) => /\.\d{6}$/.test(name));
  const unfinished = (): Map<string, File> => filesIn(join(folder, ".zferry-tmp"), () => true);
  let [chunksBefore, unfinishedBefore] = [chunks(), unfinished()];
  let earlier = new Map<string, File>();
  return {
    begin() {
      [chunksBefore, unfinishedBefore] = [chunks(), unfinished()];
    },
    newBytes() {
      const drafts = [...unfinished()].filter(([name]) => !unfinishedBefore.has(name)).map(([, file]) => file);
      return sum(chunks().values()) + sum(drafts) - sum(chunksBefore.values());
    },
    repeatedBytes() {
      const now = chunks();
      const again = [...chunksBefore].filter(([name, { ino }]) => now.get(name)?.ino !== ino);
      const recent = again.filter(([name, { ino }]) => earlier.get(name)?.ino !== ino);
      const isThrough = [...unfinishedBefore.keys()].some((name) => !unfinished().has(name));
      if (isThrough || now.size > chunksBefore.size) earlier = chunksBefore;
      const bytesOf = (files: readonly (readonly [string, File])[]): number => sum(files.map(([, file]) => file));
      return Promise.resolve(Math.max(bytesOf(again), bytesOf(recent) + (isThrough ? sum(unfinishedBefore.values()) : 0)));
    },
  };
}

interface File {
  readonly ino: bigint;
  readonly bytes: number;
}

function filesIn(folder: string, isMeant: (name: string) => boolean): Map<string, File> {
  return new Map(filesUnder(folder).filter(isMeant).map((name) => [name, factsOf(join(folder, name))]));
}

function sum(files: Iterable<File>): number {
  return [...files].reduce((total, { bytes }) => total + bytes, 0);
}

/** Zeros for a file that has just been renamed. */
function factsOf(path: string): File {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return { ino: stats?.ino ?? 0n, bytes: Number(stats?.size ?? 0) };
}

function proxyMeter(proxy: { readonly uploadedBytes: number; take(): Counted }): Meter {
  const earlier = new Map<string, number>();
  let before = 0;
  return {
    begin() {
      before = proxy.uploadedBytes;
    },
    newBytes: () => proxy.uploadedBytes - before,
    async repeatedBytes() {
      await sleep(50); // what the killed process left in the sockets arrives
      let repeated = 0;
      for (const [place, bytes] of proxy.take()) {
        const sent = earlier.get(place) ?? 0;
        repeated += Math.min(sent, bytes);
        earlier.set(place, sent + bytes);
      }
      return repeated;
    },
  };
}

describe("a backup killed at random moments", () => {
  let stream: Gigabyte;
  beforeAll(async () => {
    await built();
    stream = gigabyte(1n, streamBytes);
    console.log(`CRASH_SEED=${seed}, ${points} points each`);
  });

  it("is gone on with in a folder", { timeout: 20 * minutes }, async () => {
    const random = randomFrom(seed);
    for (const kills of chains) {
      const world = worldOf(({ store }) => folderPlace(store), stream);
      await chain(world, folderMeter(world.scene.store), { kills, random });
      await world.expectWhole();
    }
  });

  it("is gone on with on a real S3 server", { timeout: 20 * minutes }, async (context) => {
    const s3 = need(context, "s3");
    const proxy = await startCountingProxy(new URL(s3.endpoint));
    onTestFinished(() => proxy.close()); // the last of all: these run in reverse
    const random = randomFrom(seed + 1);
    for (const kills of chains) {
      const bucket = await newBucket({ ...s3, endpoint: proxy.endpoint });
      try {
        const world = worldOf(() => bucketPlace(bucket), stream);
        const before = proxy.uploadedBytes;
        await chain(world, proxyMeter(proxy), { kills, random });
        expect(proxy.uploadedBytes - before).toBeGreaterThanOrEqual(streamBytes);
        await world.expectWhole();
      } finally {
        await bucket.remove();
      }
    }
  });
});
