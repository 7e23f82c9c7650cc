/**
 * `zferry drill` as people and programs meet it, on a pretended pool: what is tried, what comes of it, what is left. That
 * a real OpenZFS takes it, and files are compared, is in `test/system/drill.test.ts`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { listener } from "../notify/listening.ts";
import { guids, Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, Scene } from "./zferry.ts";

const night = new Date("2026-11-22T03:00:00Z");
const config = (scene: Scene, more = ""): string =>
  scene.write("z.yaml", `stores: {main: {url: ${scene.store}}}\nstate_dir: ${scene.stateDir}\njobs:\n  src: {dataset: tank/src, drill: {into: tank/place, sample: 3}}\n${more}`);

/** A full and an incremental of it, locked for bob, and a pool with a place for drills. */
async function world(extra: object = {}, more = ""): Promise<{ scene: Scene; there: Pool; drill: (...words: string[]) => Promise<Ended> }> {
  const scene = new Scene();
  for (const name of ["one", "two"] as const) await scene.put(`tank/src@${name}`, streamOf(name));
  const there = new Pool({ datasets: { tank: {}, "tank/place": {} }, ...extra });
  const file = config(scene, more);
  return { scene, there, drill: (...words) => scene.run(["drill", ...words, "--config", file, ...scene.asBob], { env: there.env, now: night }) };
}

function chunk(scene: Scene, name: string, index: number): string {
  const found = scene.objects.find((path) => path.startsWith(`streams/tank/src@${name}/`) && path.endsWith(`.00000${index}`));
  return join(scene.store, found ?? "");
}

describe("a drill", { timeout: 120_000 }, () => {
  it("restores a backup of the job by lot, with what it needs, into a new dataset below the place, and destroys it", async () => {
    const { scene, there, drill } = await world();
    const ended = await drill("src", "--seed", "b", "--json");
    expect(ended.exit, ended.stderr).toBe(0);
    const report = documentOf(ended) as { backup: string; place: { into: string }; chain: string[] };
    expect(report).toMatchObject({
      ...{ type: "drill", job: "src", dataset: "tank/src", ok: true, seed: "b", candidateCount: 2, findings: [], error: null, clean: true },
      ...{ place: { kind: "dataset", into: expect.stringMatching(/^tank\/place\/zferry-drill-[0-9a-f]{8}$/) as string }, rtoSeconds: expect.any(Number) as number },
      sample: { files: [], obstacle: expect.stringContaining("its snapshot is not on the pool any more") as string },
    });
    expect(report.chain.at(-1)).toBe(report.backup);
    expect(ended.stderr).toContain(`src: trying \\"${report.backup}\\"`);
    expect(there.calls("receive").map((args) => args.at(-1))).toEqual(report.chain.map(() => report.place.into));
    expect(Object.keys(there.state.datasets)).toEqual(["tank", "tank/place"]);
    expect(readdirSync(join(scene.stateDir, "drills"))).toEqual([]);
  });

  it("says its seed, what it took and what it could not compare, and needs neither job nor configuration", async () => {
    const { scene, there } = await world();
    const words = ["drill", "--dataset", "tank/src", "--into", "tank/place", ...scene.place, ...scene.asBob];
    const { exit, stdout, stderr } = await scene.run(words, { env: there.env, now: night });
    expect(exit, stderr).toBe(0);
    expect(stderr).toMatch(/zferry: trying "tank\/src@\w+" \(.*\), one of 2 backups \(--seed [0-9a-f]{8}\), into "tank\/place\/zferry-drill-/);
    expect(stdout.toString()).toMatch(/^passed: tank\/src@\w+: restored in 0:0\d, guid \d+ compared; no file could be read: its snapshot is not on the pool any more; and /);
  });
});

describe("a drill fails by name", { timeout: 120_000 }, () => {
  it.for([
    ["a damaged chunk", (scene: Scene) => { const bytes = readFileSync(chunk(scene, "one", 6)); bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100); writeFileSync(chunk(scene, "one", 6), bytes); }, [], 3, /finding: src: tank\/src@two: digest: chunk 6 of 8 of "tank\/src@one"/],
    ["a chunk that is gone", (scene: Scene) => { rmSync(chunk(scene, "two", 0)); }, [], 3, /missing-chunk: .*chunk 0/],
    ["a lost anchor", (scene: Scene) => { rmSync(join(scene.store, "manifests/tank/src@one.json")); }, [], 3, /finding: src: tank\/src@two: base-missing: .*tank\/src@one/],
    ["a manifest that is damaged", (scene: Scene) => { writeFileSync(join(scene.store, "manifests/tank/src@two.json"), "{"); }, [], 3, /tank\/src@two: manifest-damaged/],
    ["a key that does not open it", () => undefined, ["--private-key", "alice.private.asc"], 12, /FAILED: src: tank\/src@two: .*key/],
    ["a backup there is not", () => undefined, ["--backup", "tank/src@nine"], 10, /there is no backup "tank\/src@nine"/],
    ["a place there is not", () => undefined, ["--into", "tank/none"], 14, /"tank\/none", does not exist/],
  ] as const)("for %s", async ([, harm, flags, exit, words]) => {
    const { scene, there } = await world();
    scene.privateKey("alice");
    harm(scene);
    const file = config(scene);
    const key = flags[0] === "--private-key" ? ["--private-key", join(scene.folder, flags[1])] : [...scene.asBob, ...flags];
    const backup = flags[0] === "--backup" ? [] : ["--backup", "tank/src@two"];
    const ended = await scene.run(["drill", "src", ...backup, "--config", file, ...key], { env: there.env, now: night });
    expect([ended.exit, ended.stdout.toString()], ended.stderr).toEqual([exit, expect.stringMatching(words)]);
    expect(ended.stdout.toString()).toContain("FAILED: src");
    expect(Object.keys(there.state.datasets)).toEqual(["tank", "tank/place"]);
  });

  it("for an anchor that was seen once and is gone, when the lot falls to it", async () => {
    const { scene, drill } = await world();
    expect(await drill("--backup", "tank/src@one", "--sample", "0")).toMatchObject({ exit: 0 });
    rmSync(join(scene.store, "manifests/tank/src@one.json"));
    const { exit, stdout } = await drill("--backup", "tank/src@one");
    expect([exit, stdout.toString()]).toEqual([3, expect.stringMatching(/finding: src: tank\/src@one: rolled-back/)]);
  });

  it("for too little space, before anything is received", async () => {
    const { there, drill } = await world({ datasets: { tank: {}, "tank/place": { available: "4096" } } });
    const { exit, stdout } = await drill();
    expect([exit, stdout.toString()]).toEqual([14, expect.stringMatching(/FAILED: src: tank\/src@\w+: too little space for the drill: "tank\/place" has 4.00 KiB left, and .* needs about /)]);
    expect(there.calls("receive")).toEqual([]);
  });

  it("and the others of the run are made all the same, and all are kept for status, metrics and whoever is to be told", async () => {
    const told = await listener();
    const { scene, drill } = await world({}, `  none: {dataset: tank/other}\nnotify: [{type: webhook, url: "${told.url}", min_interval: 0s}]\nmetrics: {textfile: ./zferry.prom}\n`);
    const { exit, stderr } = await drill("none", "src", "--backup", "tank/src@one");
    expect([exit, stderr]).toEqual([2, expect.stringContaining("--backup goes with one job")]);
    const both = await drill("none", "src");
    expect([both.exit, both.stderr]).toEqual([10, expect.stringContaining('1 of 2 drills failed; there is no backup of job "none"')]);
    const metrics = readFileSync(join(scene.folder, "zferry.prom"), "utf8");
    expect(metrics).toContain(`zferry_drill_last_timestamp_seconds{job="src",dataset="tank/src",store="main"} ${night.getTime() / 1000}\n`);
    expect(metrics).toMatch(/zferry_drill_restore_seconds\{job="src",dataset="tank\/src",store="main"\} [\d.]+\n/);
    expect(metrics).toContain('zferry_drill_last_failed{job="none",dataset="tank/other",store="main"} 1\n');
    expect(told.received.map(({ body }) => JSON.parse(body) as unknown)).toMatchObject([
      { kind: "drill", job: "src", dataset: "tank/src", isBad: false, details: { findingCount: 0, rtoSeconds: expect.any(Number) as number } },
      { kind: "drill", job: "none", dataset: null, isBad: true, details: { findingCount: null, code: "backup-not-found" } },
    ]);
    const status = await scene.run(["status", "--config", join(scene.folder, "z.yaml"), "--json"], { now: night });
    expect(status.exit).toBe(3);
    expect(documentOf(status)).toMatchObject({ datasets: [{ job: "src", drill: { ok: true, comparedCount: 0 } }, { job: "none", state: "drill-failed", why: expect.stringContaining("there is no backup of job") as string }] });
  });
});

describe("what a drill that was killed has left", { timeout: 120_000 }, () => {
  const note = (guid: bigint): string =>
    `${JSON.stringify({ version: 1, id: "0badcafe", command: ["zfs"], into: "tank/place/zferry-drill-0badcafe", guids: [String(guid)], isPackage: false, pool: null })}\n`;

  it.for([
    ["is destroyed by the next one", "one", 2],
    ["is left alone when it holds what no drill has made", "theirs", 3],
  ] as const)("%s", async ([, snapshot, count]) => {
    const guid = snapshot === "one" ? guids.one : 99n;
    const { scene, there, drill } = await world({ datasets: { tank: {}, "tank/place": {}, "tank/place/zferry-drill-0badcafe": { snapshots: { [snapshot]: { guid: String(guid) } } } } });
    scene.write("state/drills/0badcafe.json", note(guids.one));
    const { exit, stderr } = await drill("--sample", "0");
    expect(exit, stderr).toBe(0);
    expect(Object.keys(there.state.datasets)).toHaveLength(count);
    expect(existsSync(join(scene.stateDir, "drills/0badcafe.json"))).toBe(count === 3);
    expect(stderr).toContain(count === 2 ? 'removed what a drill that was killed had left: "tank/place/zferry-drill-0badcafe"' : "could not be removed");
  });

  it("is told when its note cannot be read", async () => {
    const { scene, drill } = await world();
    scene.write("state/drills/0badcafe.json", "{");
    expect(await drill("--sample", "0")).toMatchObject({ exit: 0, stderr: expect.stringMatching(/0badcafe.json" cannot be read: look for a dataset or pool that has 0badcafe in its name/) as string });
  });
});

describe("without a place", { timeout: 120_000 }, () => {
  /** A zfs and a zpool side by side; a pool is a dataset of the pretended world, and the file it lies on. */
  function programs(scene: Scene): string {
    const folder = join(scene.folder, "sbin");
    mkdirSync(folder, { recursive: true });
    scene.write("sbin/zpool", `#!/usr/bin/env node
      const fs = require("fs"); const path = process.env.ZFERRY_FAKE_ZFS + "/state.json"; const state = JSON.parse(fs.readFileSync(path));
      const [verb, ...words] = process.argv.slice(2); const at = words.indexOf("--"); const [name, file] = words.slice(at + 1);
      if (verb === "list" && at < 0) process.exit(0);
      fs.appendFileSync(process.env.ZFERRY_FAKE_ZFS + "/zpool.log", verb + " " + fs.statSync(state.files?.[name] ?? file).size + "\\n");
      if (verb === "create") { state.datasets[name] = {}; state.files = { ...state.files, [name]: file }; }
      if (verb === "list") console.log(name + "\\t-\\n\\t" + state.files[name] + "\\t-");
      if (verb === "destroy") { delete state.datasets[name]; delete state.files[name]; }
      fs.writeFileSync(path, JSON.stringify(state));`, 0o700);
    return scene.write("sbin/zfs", '#!/bin/sh\nexec zfs "$@"\n', 0o700);
  }

  it("it restores into a pool in a file of the state folder, which goes again", async () => {
    const { scene, there } = await world();
    const words = ["drill", "--dataset", "tank/src", "--sample", "0", ...scene.place, ...scene.asBob, "--zfs", programs(scene), "--json"];
    const ended = await scene.run(words, { env: there.env, now: night });
    expect(ended.exit, ended.stderr).toBe(0);
    expect(documentOf(ended)).toMatchObject({ ok: true, clean: true, place: { kind: "file-pool", into: expect.stringMatching(/^zferry-drill-[0-9a-f]{8}\/restored$/) as string } });
    expect(readFileSync(join(there.folder, "zpool.log"), "utf8")).toMatch(/^create \d{9}\nlist \d{9}\ndestroy \d{9}\n$/);
    expect(Object.keys(there.state.datasets)).toEqual(["tank", "tank/place"]);
    expect(readdirSync(join(scene.stateDir, "drills"))).toEqual([]);
  });

  it("it makes nothing where no zpool answers", async () => {
    const { scene, there } = await world();
    const zfs = programs(scene);
    scene.write("sbin/zpool", "#!/bin/sh\necho 'failed to initialize ZFS library' >&2\nexit 1\n", 0o700);
    const words = ["drill", "--dataset", "tank/src", ...scene.place, ...scene.asBob, "--zfs", zfs];
    const { exit, stdout } = await scene.run(words, { env: there.env, now: night });
    expect([exit, stdout.toString()]).toEqual([14, expect.stringContaining('"zpool list" failed')]);
    expect(readdirSync(join(scene.stateDir, "drills"))).toEqual([]);
  });

  it("it refuses a zfs on another machine", async () => {
    const { scene, there } = await world();
    const words = ["drill", "--dataset", "tank/src", ...scene.place, ...scene.asBob, "--zfs", "ssh host zfs"];
    const { exit, stdout } = await scene.run(words, { env: there.env, now: night });
    expect([exit, stdout.toString()]).toEqual([2, expect.stringContaining('"ssh host zfs" is on another machine, where no pool can be made in a file')]);
  });
});
