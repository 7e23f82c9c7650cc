/**
 * SIGKILL at random moments of a `put`, to a real S3 server and to a folder: the next run goes on, the backup comes back
 * equal, and nothing is in the store but what its manifest names. Of a `backup`: `crash-points.test.ts` and
 * `crash-moments.test.ts`.
 *
 * The seed is printed; CRASH_SEED repeats a run, CRASH_POINTS makes it longer.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { built } from "../build.ts";
import { Scene } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { newBucket } from "./bucket.ts";
import { bucketPlace, folderPlace, type Place, sha256 } from "./crash-world.ts";
import { pointsOr, randomFrom, seed } from "./moments.ts";

const minutes = 60_000;
const points = pointsOr(2);
const sizes = ["--part-size", "5MiB", "--chunk-size", "10MiB"];

function wordsFor(scene: Scene, place: Place): string[] {
  return ["put", "tank/a@s", "--resume", "--store", place.url, "--state-dir", scene.stateDir, ...sizes, ...scene.forBob];
}

/** Kills a run so long after its first chunk was stored, and lets another one end. */
async function crashAndGoOn(scene: Scene, place: Place, stream: Buffer, delayMs: number): Promise<"killed" | "done"> {
  const words = wordsFor(scene, place);
  const first = await scene.start(words, { stdin: stream, env: place.env });
  const ended = first.ended.then(() => true);
  const isOver = (): Promise<boolean> => Promise.race([ended, sleep(10, false)]);
  while (!(await place.keys()).some((key) => key.endsWith(".zfs.gpg.000000"))) if (await isOver()) break;
  await sleep(delayMs);
  first.kill("SIGKILL");
  const wasKilled = (await first.ended).killedBy === "SIGKILL";
  const isCommitted = (await place.keys()).some((key) => key.endsWith("manifests/tank/a@s.json"));
  const second = await scene.spawn(words, { stdin: stream, env: place.env });
  // Killed behind the commit: the backup is there, and putting it again is refused.
  expect(second.exit, second.stderr).toBe(isCommitted ? 13 : 0);
  const { stdout, exit, stderr } = await scene.spawn(["get", "tank/a@s", "--store", place.url, "--state-dir", scene.stateDir, ...scene.asBob], { env: place.env });
  expect(exit, stderr).toBe(0);
  expect(sha256(stdout)).toBe(sha256(stream));
  return wasKilled ? "killed" : "done";
}

/** One attempt's chunks and note, one manifest, nothing else. */
async function expectNoStrays(place: Place, streamBytes: number): Promise<void> {
  const keys = await place.keys();
  const attempts = new Set(keys.filter((key) => key.includes("streams/")).map((key) => key.split("/").at(-2)));
  expect(attempts.size, keys.join("\n")).toBe(1);
  expect(keys.filter((key) => key.includes(".zfs.gpg.")).length).toBe(Math.ceil(streamBytes / (10 * 1024 * 1024)));
  expect(keys.filter((key) => key.includes("manifests/")).length).toBe(1);
  expect(keys.filter((key) => key.includes(".zferry-tmp") || key.includes("locks/"))).toEqual([]);
  expect(await place.openUploadCount()).toBe(0);
}

describe("a run killed at a random moment", () => {
  let stream = Buffer.alloc(0);
  beforeAll(async () => {
    await built();
    const script = fileURLToPath(new URL("../../bench/synthetic-stream.mjs", import.meta.url));
    stream = execFileSync(process.execPath, [script, "48MiB"], { maxBuffer: 100 * 1024 * 1024 });
  });

  it.for(["a folder", "a real S3 server"])("is gone on with in %s, and leaves nothing else behind", { timeout: 15 * minutes }, async (where, context) => {
    const random = randomFrom(seed);
    const s3 = where === "a folder" ? null : need(context, "s3");
    console.log(`CRASH_SEED=${seed}, ${points} points, ${where}`);
    let killed = 0;
    for (let point = 0; point < points; point++) {
      const scene = new Scene();
      const bucket = s3 === null ? null : await newBucket(s3);
      onTestFinished(() => bucket?.remove());
      const place = bucket === null ? folderPlace(scene.store) : bucketPlace(bucket);
      const longestMs = bucket === null ? 40 : 300; // rarely as long as the rest takes
      if ((await crashAndGoOn(scene, place, stream, random() * longestMs)) === "killed") killed += 1;
      await expectNoStrays(place, stream.length);
      const journal = join(scene.stateDir, "journal");
      expect(existsSync(journal) ? readdirSync(journal) : []).toEqual([]);
    }
    expect(killed).toBeGreaterThan(0);
  });
});
