/** `zferry bench`: what it prints, what it refuses, and that nothing is left in the store. What it concludes is in `test/bench.test.ts`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { newBucket } from "../system/bucket.ts";
import { need } from "../systems.ts";
import { guids, nightly, streamOf } from "./pool.ts";
import { refused } from "./refusing.ts";
import { documentOf, type Ended, filesUnder, recorded, Scene } from "./zferry.ts";

beforeAll(built);

interface Stage {
  readonly stage: string;
  readonly packet: string | null;
  readonly bytes: number;
  readonly [figure: string]: unknown;
}

const figureNames = ["bytes", "seconds", "mibPerSecond", "cpuSecondsPerGib", "busyCores", "mainThreadShare", "peakRssBytes"];

function stagesOf(ended: Ended, member: "stages" | "comparisons" = "stages"): readonly Stage[] {
  return documentOf(ended)[member] as readonly Stage[];
}

/** The words set as code in a type's row of `docs/json-output.md`. */
function documented(type: string): readonly string[] {
  const text = readFileSync(new URL("../../docs/json-output.md", import.meta.url), "utf8");
  const row = text.split("\n").find((line) => line.startsWith(`| \`${type}\``)) ?? "";
  return [...row.matchAll(/`([^`]+)`/g)].flatMap(([, code = ""]) => code.match(/\w+/g) ?? []);
}

function expectDocumented(ended: Ended, type: string): void {
  expect(ended).toMatchObject({ exit: 0, stderr: "" });
  const { type: found, ...members } = documentOf(ended);
  expect(found).toBe(type);
  expect(documented(type)).toEqual(expect.arrayContaining(Object.keys(members)));
}

const tiny = ["--chunk-size", "256KiB", "--part-size", "64KiB"];

describe("the built program, with threads and a folder", () => {
  it("names every stage and what limits, and leaves neither objects nor state", async () => {
    const scene = new Scene();
    const words = ["bench", "--source", "synthetic:4MiB", ...tiny, "--threads", "2", ...scene.place];
    const { exit, stdout, stderr } = await scene.spawn(words);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    const text = stdout.toString();
    for (const line of [
      /^ +MiB\/s +CPU-s\/GiB +main thread +memory +measured with$/m,
      /^source +\d+ /m,
      /^\+ inspect +\d+ /m,
      /^\+ seal \(ocb, 2 threads\) +\d+ /m,
      /^\+ store \(ocb, 2 threads, 4 parts in flight\) +\d+ /m,
      /^ +compared: seal \(cfb, 2 threads\) +\d+ /m,
      /^ +compared: store alone \(4 parts in flight\) +\d+ /m,
      /^limit: (source|inspect|seal|store), \d+ MiB\/s in all/m,
      /^peak memory: \d+ MiB with everything put together, \d+ MiB in all trials$/m,
    ]) {
      expect(text).toMatch(line);
    }
    expect(filesUnder(scene.store)).toEqual([]);
    expect(filesUnder(scene.stateDir)).toEqual([]);
  });

  it("with --json prints the document that is documented, with real figures in it", async () => {
    const scene = new Scene();
    const ended = await scene.spawn(["bench", "--source", "synthetic:2MiB", ...tiny, "--json", "--packet", "cfb"]);
    expectDocumented(ended, "bench");
    expect(documentOf(ended)).toMatchObject({ source: "synthetic:2097152", store: null, chunkBytes: 262_144, partBytes: 65_536 });
    expect(stagesOf(ended).map(({ stage, packet }) => [stage, packet])).toEqual([["source", null], ["inspect", null], ["seal", "cfb"]]);
    for (const figures of [...stagesOf(ended), ...stagesOf(ended, "comparisons")]) {
      expect(Object.keys(figures)).toEqual(["stage", "packet", "threads", "concurrency", ...figureNames]);
      for (const name of figureNames) expect(figures[name], name).toBeTypeOf("number");
      expect(figures.bytes).toBeGreaterThan(2 ** 21);
      expect(figures.peakRssBytes).toBeGreaterThan(2 ** 24);
    }
    expect(stagesOf(ended).some(({ cpuSecondsPerGib }) => (cpuSecondsPerGib as number) > 0)).toBe(true);
  });

  it("stopped by SIGINT while it stores, ends with 130 and removes what it stored", async () => {
    const scene = new Scene();
    const small = ["--chunk-size", "16KiB", "--part-size", "16KiB"];
    const run = await scene.start(["bench", "--source", "synthetic:64MiB", ...small, ...scene.place]);
    while (filesUnder(join(scene.store, "bench")).length === 0) await sleep(5);
    run.kill("SIGINT");
    const { exit, stderr } = await run.ended;
    expect(exit, stderr).toBe(130);
    expect(filesUnder(scene.store)).toEqual([]);
  });
});

describe("a source", () => {
  it("may be a file, of which no more is read than --limit says", async () => {
    const scene = new Scene();
    const stream = recorded("full");
    scene.write("full.zfs", stream);
    const whole = await scene.run(["bench", "--source", "file:full.zfs", "--json"]);
    expect(documentOf(whole)).toMatchObject({ source: "file:full.zfs" });
    for (const { bytes } of stagesOf(whole)) expect(bytes).toBe(stream.length);
    const part = await scene.run(["bench", "--source", "file:full.zfs", "--json", "--limit", "8KiB"]);
    for (const { bytes } of stagesOf(part)) expect(bytes).toBe(8192);
  });

  it("may be a snapshot, which is sent for each trial and otherwise left alone", async () => {
    const pool = nightly({ datasets: { "tank/src": { snapshots: { s1: { guid: String(guids.one) } } } } });
    const before = pool.dataset("tank/src");
    const ended = await new Scene().run(["bench", "--source", "zfs:tank/src@s1", "--json"], { env: pool.env });
    expect(ended).toMatchObject({ exit: 0 });
    for (const { bytes } of stagesOf(ended)) expect(bytes).toBe(streamOf("one").length);
    expect(pool.calls("send", "-L", "-c").length).toBe(3 + stagesOf(ended, "comparisons").length);
    expect(pool.dataset("tank/src")).toEqual(before);
    expect(pool.alive).toEqual([]);
  });

  it("that breaks off is refused as a backup would be", async () => {
    const scene = new Scene();
    scene.write("cut.zfs", recorded("full").subarray(0, 4000));
    expect(await refused(scene, 13, ["bench", "--source", "file:cut.zfs"])).toContain("cut off at byte 4000");
  });

  it.for([
    ["file:none.zfs", 2, "ENOENT"],
    ["file:.", 2, "it is no file"],
    ["zfs:tank/src@none", 14, 'there is no snapshot "tank/src@none"'],
    ["zfs:tank/none@s1", 14, 'there is no snapshot "tank/none@s1"'],
  ] as const)("%s that is not there ends with %i", async ([source, exit, why]) => {
    expect(await refused(new Scene(), exit, ["bench", "--source", source], { env: nightly().env })).toContain(why);
  });
});

describe("a store", () => {
  it("that refuses what is put ends with 15, and nothing is left", async () => {
    const scene = new Scene();
    scene.write("store/bench", "in the way");
    const words = ["bench", "--source", "synthetic:1MiB", ...tiny, ...scene.place, "--retry-for", "0s"];
    const { exit, stdout } = await scene.run(words);
    expect([exit, stdout.toString()]).toEqual([15, ""]);
    expect(filesUnder(scene.store)).toEqual(["bench"]);
  });

  it("of the configuration is not touched unless it is named; none is none", async () => {
    const scene = new Scene();
    scene.write("zferry.yaml", `stores: { main: { url: ${JSON.stringify(scene.store)}, part_size: 64KiB } }\n`);
    for (const flags of [[], ["--store", "none"]]) {
      expect(documentOf(await scene.run(["bench", "--source", "synthetic:1MiB", "--json", ...flags]))).toMatchObject({ store: null });
    }
    expect(existsSync(scene.store)).toBe(false);
    const named = await scene.run(["bench", "--source", "synthetic:1MiB", "--json", "--store", "main"]);
    expect(documentOf(named)).toMatchObject({ store: scene.store, partBytes: 65_536 });
    expect(stagesOf(named).at(-1)).toMatchObject({ stage: "store" });
  });

  it("that takes clear text is warned of, for data of the user's alone", async () => {
    const scene = new Scene();
    scene.write("full.zfs", recorded("full"));
    const words = ["bench", "--packet", "none", ...tiny, ...scene.place];
    expect((await scene.run([...words, "--source", "file:full.zfs"])).stderr).toContain("readable by whoever can read the store");
    expect((await scene.run([...words, "--source", "synthetic:1MiB"])).stderr).toBe("");
  });

  it("may be a real S3 server, where no object and no upload is left", async (context) => {
    const bucket = await newBucket(need(context, "s3"));
    const words = ["bench", "--source", "synthetic:12MiB", "--chunk-size", "10MiB", "--part-size", "5MiB", "--store", bucket.url, "--json"];
    const ended = await new Scene().run(words, { env: bucket.env, now: new Date() });
    expectDocumented(ended, "bench");
    expect(stagesOf(ended, "comparisons").some(({ stage }) => stage === "upload")).toBe(true);
    expect(await bucket.keys()).toEqual([]);
    expect(await bucket.openUploadCount()).toBe(0);
  });
});

describe("a plan", () => {
  it("prints shape, costs, limits and the date of the prices", async () => {
    const { exit, stdout, stderr } = await new Scene().run(["bench", "--plan", "10TB", "--link", "200Mbit", "--change", "1%", "--full-every", "7d"]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    const text = stdout.toString();
    for (const line of [/^10 TB +9,314 +596,047 .* 4\.6 days$/m, /^10 TB +R2 .*\$150 /m, /^the format .*112 TiB/m, /^10 TB +5 \+ 25 +600 GB/m, /^list prices of .*; check them$/m]) {
      expect(text).toMatch(line);
    }
  });

  it("with --json is the document that is documented", async () => {
    const ended = await new Scene().run(["bench", "--plan", "1TiB", "--json", "--part-size", "64MiB"]);
    expectDocumented(ended, "bench-plan");
    const document = documentOf(ended);
    expect(document).toMatchObject({ sizeBytes: 2 ** 40, chunkCount: 1024, partCount: 16_384, month: null, nights: null });
    const [first] = document.providers as readonly object[];
    expect(documented("bench-plan")).toEqual(expect.arrayContaining(Object.keys(first ?? {})));
  });

  it("says of which provider a backup cannot be stored with such sizes, and why", async () => {
    const { stdout } = await new Scene().run(["bench", "--plan", "1TB", "--chunk-size", "64MiB", "--part-size", "1MiB"]);
    expect(stdout.toString()).toMatch(/^1 TB +R2 .*not possible: the store takes no parts of 1 MiB$/m);
  });

  it("warns of a large manifest", async () => {
    const said = async (size: string): Promise<string> => (await new Scene().run(["bench", "--plan", size])).stdout.toString();
    expect(await said("100TB")).toContain("the manifest has 415 MiB");
    expect(await said("10TB")).not.toContain("the manifest has");
  });
});

describe("a command line", () => {
  it.for([
    [["--source", "tape:/dev/st0"], '"tape:/dev/st0" is no source'],
    [["--source", "synthetic:1MB"], 'cannot read the size "1MB"'],
    [["--source", "zfs:tank/src"], '"tank/src" is not a snapshot name'],
    [["--threads", "3"], "it must be 0, 1 or 2"],
    [["--packet", "zip"], "Allowed choices are"],
    [["--part-size", "3MiB"], "are not a whole number of 3 MiB parts"],
    [["--store", "ftp://x"], 'there is no kind of store "ftp"'],
    [["--plan", "much"], 'cannot read the size "much"'],
    [["--plan", "1TB", "--store", "/x"], "cannot be used with"],
    [["--plan", "1TB", "--source", "synthetic:1GiB"], "cannot be used with"],
    [["--plan", "1TB", "--link", "fast"], '"fast" is no speed of a line'],
    [["--plan", "1TB", "--change", "2"], '"2" is no part of the data'],
    [["--plan", "1TB", "--change", "1%", "--full-every", "36h"], "write it in whole days"],
    [["--plan", "1TB", "--full-every", "7d"], "--full-every needs --change"],
    [["--plan", "1TB", "--part-size", "0"], "takes no parts of 0 B"],
    [["--link", "1Gbit"], "need --plan"],
    [["--change", "1%"], "need --plan"],
  ] as const)("%j is refused", async ([flags, why]) => {
    expect(await refused(new Scene(), 2, ["bench", ...flags])).toContain(why);
  });

  it("that asks for help hears of sources and of what becomes of the objects", async () => {
    const { exit, stdout } = await new Scene().run(["bench", "--help"]);
    expect(exit).toBe(0);
    for (const word of ["synthetic:SIZE", "zfs:DATASET@SNAPSHOT", "--plan", "--threads", "removed again"]) expect(stdout.toString()).toContain(word);
  });
});
