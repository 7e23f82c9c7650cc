/**
 * SIGINT and SIGTERM at random moments of backups to a real S3 server and of restores from it: each run ends
 * within five seconds, says so by its exit status, and leaves no process, no open upload, and in bucket, pool and state
 * folder nothing but what the next run knows of.
 *
 * Sixteen moments; CRASH_POINTS=200 was the count all of this was first shown with, and any other makes it longer or shorter.
 * The seed is printed; CRASH_SEED repeats a run.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { type ByteSource, MiB } from "../../src/bytes.ts";
import { exitStatusOf, ZferryError } from "../../src/errors.ts";
import { openStore } from "../../src/store/open.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import { built } from "../build.ts";
import { Scene } from "../cli/zferry.ts";
import { guid } from "../replay/forge.ts";
import { need, type S3System } from "../systems.ts";
import { bucketBehindProxy, empty, sizes } from "./behind-proxy.ts";
import { type Bucket, newBucket } from "./bucket.ts";
import { pointsOr, randomFrom, seed } from "./moments.ts";
import { QuickZfs } from "./quick-zfs.ts";
import { payloadOf, streamOf } from "./synthetic.ts";

const minutes = 60_000;
const lanes = 3;
/** Two chunks in parts, in two requests each at least. */
const streamBytes = 17 * MiB;
const longestExitMs = 5_000;

type Signal = "SIGINT" | "SIGTERM";

interface Stopped {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: number | null;
  readonly killedBy: NodeJS.Signals | null;
  /** From the signal to the end of the process. */
  readonly exitMs: number;
  /** From the moment in which the program began its work to the end. */
  readonly workedMs: number;
}

/** When to stop a run: so long after it was started, or after it began its work by asking zfs; never. */
interface Moment {
  readonly from: "start" | "work";
  readonly afterMs: number;
}

const never: Moment = { from: "work", afterMs: Infinity };

/** One world in which runs follow each other. */
class Lane {
  readonly zfs: QuickZfs;
  readonly #folder: string;
  readonly #system: S3System;
  readonly #keys: { readonly lock: readonly string[]; readonly open: readonly string[] };
  #bucket: Bucket;

  private constructor(scene: Scene, name: string, system: S3System, bucket: Bucket) {
    this.#folder = join(scene.folder, name);
    mkdirSync(this.#folder);
    this.#system = system;
    this.#bucket = bucket;
    this.#keys = { lock: scene.forBob, open: scene.asBob };
    this.zfs = new QuickZfs(join(this.#folder, "zfs"), { path: join(scene.folder, "stream"), guid });
  }

  static async begin(scene: Scene, name: string, system: S3System): Promise<Lane> {
    return new Lane(scene, name, system, await newBucket(system));
  }

  /** Runs the built program and stops it at that moment. */
  async run(verb: "backup" | "restore", signal: Signal, { from, afterMs }: Moment): Promise<Stopped> {
    const place = ["--store", this.#bucket.url, "--state-dir", join(this.#folder, "state"), "--zfs", this.zfs.program];
    const words =
      verb === "backup"
        ? ["backup", "--dataset", "tank/a", ...place, ...sizes, ...this.#keys.lock]
        : ["restore", "tank/a", "--to", "tank/back", ...place, ...this.#keys.open];
    const env = { PATH: process.env.PATH, HOME: this.#folder, ...this.#bucket.env };
    const child = spawn(process.execPath, [await built(), ...words], { cwd: this.#folder, env, stdio: ["ignore", "pipe", "pipe"] });
    const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      child.once("exit", (exit, killedBy) => {
        resolve([exit, killedBy]);
      });
    });
    const output = Promise.all([buffer(child.stdout), buffer(child.stderr)]);
    while (from === "work" && !this.zfs.wasAsked("get") && child.exitCode === null) await sleep(5);
    const begunAt = performance.now();
    if (afterMs < Infinity) await Promise.race([sleep(afterMs), ended]);
    const stoppedAt = performance.now();
    if (afterMs < Infinity) child.kill(signal);
    const [exit, killedBy] = await ended;
    const now = performance.now();
    const [stdout, stderr] = (await output).map(String);
    return { stdout: stdout ?? "", stderr: stderr ?? "", exit, killedBy, exitMs: now - stoppedAt, workedMs: now - begunAt };
  }

  get journals(): string[] {
    const folder = join(this.#folder, "state", "journal");
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  async objects(): Promise<string[]> {
    return this.#bucket.keys();
  }

  openUploadCount(): Promise<number> {
    return this.#bucket.openUploadCount();
  }

  /** Another bucket, for one that holds a backup. */
  async renew(): Promise<void> {
    await this.end();
    this.#bucket = await newBucket(this.#system);
  }

  end(): Promise<void> {
    return empty(this.#bucket);
  }
}

/** What became of a run: stopped without a trace, or with one the next run knows of; nothing to stop yet, or any more. */
type Fate = "stopped" | "left to the next run" | "too soon" | "too late";

/** Judges how a run ended and what it left. */
async function fateOf(lane: Lane, signal: Signal, stopped: Stopped, what: string): Promise<Fate> {
  const { exit, killedBy, exitMs, stdout, stderr } = stopped;
  expect(exitMs, what).toBeLessThan(longestExitMs);
  expect(lane.zfs.alive, what).toEqual([]);
  expect(await lane.openUploadCount(), what).toBe(0);
  expect(stderr, what).not.toMatch(/could not|bug/);
  // While the process is loaded, and again while it is torn down, a signal still does, or does again, what it does to any.
  if (exit === 0 || (killedBy === signal && /^(restored |\S+ stored )/m.test(stdout))) return "too late";
  if (killedBy === signal && !lane.zfs.wasAsked("get")) return "too soon";
  expect([exit, killedBy], `${what}: ${stderr}`).toEqual([exitStatusOf[signal === "SIGINT" ? "interrupted" : "terminated"], null]);
  expect(stderr, what).toContain(`stopped by ${signal}`);
  return "stopped";
}

async function stopBackup(lane: Lane, signal: Signal, moment: Moment, stopAtBytes: number | null): Promise<Stopped & { readonly fate: Fate }> {
  const what = `backup, ${signal} ${Math.round(moment.afterMs)} ms after its ${moment.from}, send stops at ${stopAtBytes ?? "its end"}`;
  lane.zfs.begin({ stopAtBytes });
  const stopped = await lane.run("backup", signal, moment);
  const fate = await fateOf(lane, signal, stopped, what);
  const objects = await lane.objects();
  const left = [...objects, ...lane.journals, ...lane.zfs.leftovers];
  if (left.length === 0) return { ...stopped, fate };
  if (fate === "too late") {
    expect(objects.filter((key) => key.includes("manifests/")).length, what).toBe(1);
    expect(lane.journals, what).toEqual([]);
    await lane.renew();
    return { ...stopped, fate };
  }
  await expectKnown(lane, objects, `${what}: ${stopped.stderr} left ${left.join(", ")}`);
  return { ...stopped, fate: "left to the next run" };
}

/**
 * A lease, a snapshot or a manifest that was being made at that very moment may be there, or not. If there is a journal
 * chunks may be, too; never without. The next run goes through, and afterwards nothing speaks of this one.
 */
async function expectKnown(lane: Lane, objects: readonly string[], what: string): Promise<void> {
  if (!lane.journals.some((name) => name.endsWith(".journal"))) expect(objects.filter((key) => !key.includes("/locks/")), what).toEqual([]);
  lane.zfs.goOn();
  const next = await lane.run("backup", "SIGINT", never);
  expect(next.exit, `${what}, and then: ${next.stderr}`).toBe(0);
  const later = await lane.objects();
  expect(lane.journals, what).toEqual([]);
  expect(later.filter((key) => key.includes("manifests/")).length, what).toBeGreaterThan(0); // two, when the first was committed
  expect(later.filter((key) => key.includes("/locks/")), what).toEqual([]);
  await lane.renew();
}

async function stopRestore(lane: Lane, signal: Signal, moment: Moment, snapshot: string): Promise<Stopped & { readonly fate: Fate }> {
  lane.zfs.begin({ snapshot });
  const stopped = await lane.run("restore", signal, moment);
  return { ...stopped, fate: await fateOf(lane, signal, stopped, `restore, ${signal} ${Math.round(moment.afterMs)} ms after its ${moment.from}`) };
}

/** Of each four runs the last is a restore; of the backups every third has a send that stands still. */
async function runLane(scene: Scene, name: string, system: S3System, points: readonly number[]): Promise<(Stopped & { readonly fate: Fate })[]> {
  const [writing, reading] = await Promise.all([Lane.begin(scene, `${name}-up`, system), Lane.begin(scene, `${name}-down`, system)]);
  const whole = await reading.run("backup", "SIGINT", never);
  expect(whole.exit, whole.stderr).toBe(0);
  const { snapshot } = reading.zfs;
  if (snapshot === null) throw new Error("no snapshot was taken");
  reading.zfs.begin({ snapshot });
  const back = await reading.run("restore", "SIGINT", never);
  expect(back.exit, back.stderr).toBe(0);
  const results: (Stopped & { readonly fate: Fate })[] = [];
  for (const point of points) {
    const random = randomFrom(seed + point);
    const signal = random() < 0.5 ? "SIGINT" : "SIGTERM";
    const from = random() < 0.1 ? "start" : "work";
    const isBackup = point % 4 !== 3;
    const moment: Moment = { from, afterMs: random() * 0.85 * (isBackup ? whole : back).workedMs };
    const stopAtBytes = point % 3 === 0 ? Math.floor(random() * streamBytes) : null;
    results.push(isBackup ? await stopBackup(writing, signal, moment, stopAtBytes) : await stopRestore(reading, signal, moment, snapshot));
  }
  await Promise.all([writing.end(), reading.end()]);
  return results;
}

it("a run that is stopped at any moment ends at once and leaves nothing that the next run does not know of", { timeout: 10 * minutes }, async (context) => {
  const system = need(context, "s3");
  await built();
  const scene = new Scene();
  writeFileSync(join(scene.folder, "stream"), streamOf(payloadOf(streamBytes)));
  const points = Array.from({ length: pointsOr(16) }, (_, point) => point);
  const names = Array.from({ length: lanes }, (_, lane) => lane);
  const results = (await Promise.all(names.map((lane) => runLane(scene, `lane-${lane}`, system, points.filter((point) => point % lanes === lane))))).flat();

  const count = (wanted: Fate): number => results.filter(({ fate }) => fate === wanted).length;
  const slowest = Math.max(...results.map(({ exitMs }) => exitMs));
  const fates = (["stopped", "left to the next run", "too soon", "too late"] as const).map((fate) => `${count(fate)} ${fate}`);
  console.log(`CRASH_SEED=${seed}: ${fates.join(", ")}; the slowest ended ${Math.round(slowest)} ms after its signal`);
  expect(results.length).toBe(points.length);
  expect(count("stopped")).toBeGreaterThan(points.length / 3);
});

it("a put that is cancelled while the store is out of reach does not wait for it to come back", { timeout: minutes }, async (context) => {
  const { proxy, url, bucket } = await bucketBehindProxy(need(context, "s3"));
  const options = { partBytes: 5 * MiB, concurrency: 2, retry: defaultRetryPolicy, access: "write", environment: bucket.env } as const;
  const store = await openStore(url, options);
  onTestFinished(() => store.close());
  const stop = new AbortController();
  const put = store.put("k", zeros(12 * MiB), { when: "replace", signal: stop.signal }).catch((error: unknown) => error);
  while (!proxy.lines.some((line) => line.includes("partNumber=1"))) await sleep(5);
  await proxy.refuse();
  const stoppedAt = performance.now();
  stop.abort(new ZferryError("interrupted", "stopped by SIGINT"));
  expect(await put).toMatchObject({ code: "interrupted" });
  expect(performance.now() - stoppedAt).toBeLessThan(longestExitMs);
});

async function* zeros(sizeBytes: number): ByteSource {
  for (let sentBytes = 0; sentBytes < sizeBytes; sentBytes += MiB) {
    await sleep(10);
    yield Buffer.alloc(MiB);
  }
}
