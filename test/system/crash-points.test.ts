/**
 * SIGKILL at every named step of a `backup`: the next run ends well, every backup comes back equal, and nothing is left
 * that no manifest names.
 *
 * `kill-at.mjs` names the steps. By default a run is killed right before each of those below, and before the last of those
 * that come once per chunk; of a request it is before or after, which CRASH_SEED decides. With CRASH_POINTS=all it is before
 * and after every event there is.
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { remade } from "../cli/pool.ts";
import { recorded } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { newBucket } from "./bucket.ts";
import { bucketPlace, CrashWorld, folderPlace, type Night, sha256 } from "./crash-world.ts";
import { randomFrom, seed } from "./moments.ts";

const minutes = 60_000;
const isExhaustive = process.env.CRASH_POINTS === "all";

/** What a backup does for good, wherever it goes: each must be among the events. */
const steps = {
  local: [
    "link lock",
    "write intent draft",
    "zfs snapshot",
    "rename journal",
    "remove intent",
    "zfs hold run",
    "zfs send",
    "write journal mark",
    "write journal chunk",
    "zfs hold anchor",
    "zfs bookmark",
    "rename state",
    "zfs release run",
    "remove journal",
    "remove lock",
  ],
  anchor: ["zfs release anchor", "zfs destroy"],
  folder: [
    "link lease",
    "write unfinished object",
    "sync unfinished object",
    "rename chunk",
    "rename note",
    "rename lease",
    "link manifest",
    "sync folder of manifest",
    "remove lease",
  ],
  s3: ["s3 PUT lease", "s3 CreateMultipartUpload", "s3 UploadPart", "s3 CompleteMultipartUpload", "s3 PUT chunk", "s3 PUT note", "s3 PUT manifest", "s3 DeleteObjects"],
} as const;

/** Comes once for each part, chunk or small object. */
const repeated = /^(write journal mark|write journal chunk|rename chunk|write unfinished object|rename state|s3 UploadPart|s3 CompleteMultipartUpload)$/;

function nameOf(event: string): string {
  return event.replace(/#\d+$/, "");
}

/** The first event of each of these names, and the last one where it matters how far the run was. Each must occur. */
function chosen(events: readonly string[], names: readonly string[]): string[] {
  const seen = new Set(events.map(nameOf));
  expect(names.filter((name) => !seen.has(name))).toEqual([]);
  return events.filter((event, at) => {
    const name = nameOf(event);
    const isLast = !events.slice(at + 1).some((later) => nameOf(later) === name);
    return names.includes(name) && (event.endsWith("#1") || (isLast && repeated.test(name)));
  });
}

async function expectRecovery(world: CrashWorld, at: string): Promise<void> {
  const { killedBy, stderr } = await world.killed(at);
  expect(killedBy, `${at} did not come: ${stderr}`).toBe("SIGKILL");
  const next = await world.runAgain();
  expect(next.exit, `after a kill ${at}: ${next.stderr}`).toBe(0);
  await world.expectWhole();
}

/** Tries all points before it fails, naming those that did not hold. */
async function expectAll(points: readonly string[], recovers: (at: string) => Promise<void>): Promise<void> {
  const failures: string[] = [];
  for (const at of points) {
    await recovers(at).catch((error: unknown) => failures.push(`${at}: ${(error as Error).message}`));
  }
  console.log(`${points.length} named points`);
  expect(failures.join("\n\n")).toBe("");
}

function both(events: readonly string[]): string[] {
  return events.flatMap((event) => [`before ${event}`, `after ${event}`]);
}

describe("a backup killed at a named step", () => {
  beforeAll(built);

  it("of a run to a folder, in which the anchor moves on", { timeout: 30 * minutes }, async () => {
    const nights = [1n, 2n, 3n].map((guid): Night => {
      const stream = remade(recorded("full"), { toGuid: guid, laterSeconds: (guid - 10n) * 30_000_000n, toName: "tank/src@x" });
      return { file: `${guid}.zfs`, guid, sha256: sha256(stream), recorded: stream };
    });
    const world = new CrashWorld((scene) => folderPlace(scene.store), nights, { chunk: "192KiB", part: "96KiB", chunkCount: 3 });
    await world.firstNight();
    world.keep();
    const events = await world.events();
    const named = chosen(events, [...steps.local, ...steps.anchor, ...steps.folder]);
    const points = isExhaustive ? both(events) : named.map((event) => `before ${event}`);
    await expectAll(points, async (at) => {
      world.reset();
      await expectRecovery(world, at);
    });
  });

  it("of a first run to a real S3 server, before a request is sent or when its answer is on its way", { timeout: 30 * minutes }, async (context) => {
    const s3 = need(context, "s3");
    const script = fileURLToPath(new URL("../../bench/synthetic-stream.mjs", import.meta.url));
    const nights = [1n, 2n].map((guid): Night => {
      const stream = execFileSync(process.execPath, [script, "11MiB", String(guid)], { maxBuffer: 100 * 1024 * 1024 });
      return { file: `${guid}.zfs`, guid, sha256: sha256(stream), recorded: stream };
    });
    const inBucket = async <T>(work: (world: CrashWorld) => Promise<T>): Promise<T> => {
      const bucket = await newBucket(s3);
      try {
        return await work(new CrashWorld(() => bucketPlace(bucket), nights, { chunk: "10MiB", part: "5MiB", chunkCount: 2 }));
      } finally {
        await bucket.remove();
      }
    };
    const events = await inBucket((world) => world.events());
    const random = randomFrom(seed);
    const points = isExhaustive ? both(events) : chosen(events, steps.s3).map((event) => `${random() < 0.5 ? "before" : "after"} ${event}`);
    console.log(`CRASH_SEED=${seed}`);
    await expectAll(points, (at) => inBucket((world) => expectRecovery(world, at)));
  });
});
