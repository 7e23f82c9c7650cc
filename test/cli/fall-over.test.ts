/**
 * 3-2-1: a dataset, its backups in one store and the same in another. What is bad in the first comes from the second, and
 * is told; what is bad in both comes from neither.
 */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, filesUnder, Scene } from "./zferry.ts";

interface Copies {
  readonly scene: Scene;
  readonly pool: Pool;
  /** Folders of the stores. */
  readonly first: string;
  readonly second: string;
  /** Flags for both. */
  readonly both: readonly string[];
}

/** What is in a store with a full and an increment of it, by path; made once. */
let stored: ReadonlyMap<string, Buffer> | null = null;

/** A full and an increment of it in two stores. */
async function twoCopies(): Promise<Copies> {
  const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
  if (stored === null) {
    for (const night of ["one", "two"] as const) await scene.put(`tank/src@${night}`, streamOf(night));
    stored = new Map(scene.objects.map((path) => [path, readFileSync(join(scene.store, path))]));
  } else {
    for (const [path, bytes] of stored) scene.write(join("store", path), bytes);
  }
  const second = join(scene.folder, "second");
  cpSync(scene.store, second, { recursive: true });
  return { scene, pool, first: scene.store, second, both: ["--store", scene.store, "--store", second] };
}

function restore({ scene, pool, both }: Copies, flags: readonly string[] = []): Promise<Ended> {
  const words = ["restore", "tank/src", "--to", "pool/back", "--state-dir", scene.stateDir, ...scene.asBob];
  return scene.run([...words, ...both, ...flags], { env: pool.env });
}

/** A chunk of the full, counted from 0, in the store in `folder`. */
function chunkOf(folder: string, index: number): string {
  const found = filesUnder(folder).find((file) => file.includes("tank/src@one/") && file.endsWith(`.${String(index).padStart(6, "0")}`));
  return join(folder, found ?? "there is none");
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  writeFileSync(file, bytes);
}

function expectReceived({ pool }: Copies): void {
  for (const [index, night] of (["one", "two"] as const).entries()) {
    const received = pool.received(index);
    expect(received).toMatchObject({ target: "pool/back", ended: true });
    expect(received?.stream.equals(streamOf(night))).toBe(true);
  }
}

describe("a restore from two stores", () => {
  it("asks the first alone, and says which it was, when nothing is wrong with it", async () => {
    const copies = await twoCopies();
    rmSync(join(copies.second, "streams"), { recursive: true });
    const ended = await restore(copies, ["--json"]);
    expect(ended.exit).toBe(0);
    const store = `file://${copies.first}`;
    expect(documentOf(ended)).toMatchObject({ fallOvers: [], steps: [{ backup: "tank/src@one", store }, { backup: "tank/src@two", store }] });
    expect(ended.stderr).toContain(`receiving tank/src@one from \\"${store}\\"`);
    expectReceived(copies);
  });

  it.for([
    ["damaged", (file: string) => { flip(file, 20_000); }, "bytes 16384 to 32768 are not what was stored"],
    ["missing", (file: string) => { rmSync(file); }, "it is missing"],
    ["cut short", (file: string) => { writeFileSync(file, readFileSync(file).subarray(0, 100)); }, "it has 100 bytes and should have 65536"],
  ] as const)("takes a chunk that is %s in the first from the second, and says so", async ([, harm, why]) => {
    const copies = await twoCopies();
    const file = chunkOf(copies.first, 3);
    harm(file);
    const { exit, stdout, stderr } = await restore(copies);
    expect({ exit, stderr }).toMatchObject({ exit: 0 });
    expectReceived(copies);
    const told = `in "file://${copies.first}": chunk 3 of 8 of "tank/src@one" ("${relative(copies.first, file)}"): ${why}; going on with "file://${copies.second}"`;
    expect(stderr.split("\n").filter((line) => line.includes("going on with"))).toEqual([`zferry: warning: ${told}`]);
    expect(stdout.toString()).toContain(`1 time another store stood in; look at "file://${copies.first}" with zferry verify:\n  ${told}\n`);
  });

  it("tells the same in JSON", async () => {
    const copies = await twoCopies();
    flip(chunkOf(copies.first, 0), 0);
    flip(chunkOf(copies.second, 5), 0);
    rmSync(chunkOf(copies.first, 7));
    const ended = await restore(copies, ["--json"]);
    expectReceived(copies);
    const { fallOvers } = documentOf(ended) as { fallOvers: readonly Record<string, unknown>[] };
    expect(fallOvers.map(({ backup, chunk, store, next, code }) => ({ backup, chunk, store, next, code }))).toEqual(
      [0, 7].map((chunk) => ({
        backup: "tank/src@one",
        chunk,
        store: `file://${copies.first}`,
        next: `file://${copies.second}`,
        code: "chunk-invalid",
      })),
    );
    expect(fallOvers[0]?.key).toMatch(/^streams\/tank\/src@one\/.*\.000000$/);
    expect(fallOvers[0]?.why).toMatch(/^chunk 0 of 8 .* are not what was stored$/);
  });

  it("puts a chunk together that is damaged in both, in different places", async () => {
    const copies = await twoCopies();
    flip(chunkOf(copies.first, 2), 100);
    flip(chunkOf(copies.second, 2), 60_000);
    const { exit, stderr } = await restore(copies);
    expect({ exit, stderr }).toMatchObject({ exit: 0 });
    expectReceived(copies);
  });

  it("is refused as chunk-invalid, with both places, when the chunk is bad in both", async () => {
    const copies = await twoCopies();
    flip(chunkOf(copies.first, 3), 20_000);
    rmSync(chunkOf(copies.second, 3));
    const { exit, stderr, stdout } = await restore(copies);
    expect(exit).toBe(13);
    expect(stdout.toString()).toBe("");
    expect(stderr).toMatch(
      new RegExp(`zferry: error: no store has what is wanted: in "file://${copies.first}": chunk 3 of 8 .* bytes 16384 to 32768 are not what was stored; in "file://${copies.second}": chunk 3 of 8 .*: it is missing\n`),
    );
    expect(copies.pool.received(0)?.ended ?? false).toBe(false);
    expect(copies.pool.state.datasets).toEqual({});
    const json = await restore(copies, ["--json"]);
    expect(json.stderr).toContain('"code":"chunk-invalid"');
  });

  it("goes on with the second when the first is gone, and says what that may mean", async () => {
    const copies = await twoCopies();
    renameSync(copies.first, `${copies.first}.away`);
    const { exit, stderr, stdout } = await restore(copies);
    expect({ exit, stderr }).toMatchObject({ exit: 0 });
    expectReceived(copies);
    expect(stderr).toMatch(/warning: in ".*store": it cannot be asked, and may hold newer backups: .*; going on with "file:.*second"\n/);
    expect(stdout.toString()).toContain("1 time another store stood in");
  });

  it("fails with the store's status when none of them is there", async () => {
    const copies = await twoCopies();
    rmSync(copies.first, { recursive: true });
    rmSync(copies.second, { recursive: true });
    const { exit, stderr } = await restore(copies);
    expect(exit).toBe(15);
    expect(stderr).toMatch(/error: no store has what is wanted: in ".*store": .*; in ".*second": /);
    expect(copies.pool.calls()).toEqual([]);
  });

  it("takes the newest backup of both, whichever has it, and each of the chain from where it is", async () => {
    const copies = await twoCopies();
    rmSync(join(copies.first, "manifests/tank/src@two.json"));
    rmSync(join(copies.second, "manifests/tank/src@one.json"));
    const ended = await restore(copies, ["--json"]);
    expect(ended.exit).toBe(0);
    expectReceived(copies);
    expect(documentOf(ended)).toMatchObject({
      steps: [
        { backup: "tank/src@one", store: `file://${copies.first}` },
        { backup: "tank/src@two", store: `file://${copies.second}` },
      ],
      fallOvers: [{ backup: "tank/src@two", chunk: null, key: "manifests/tank/src@two.json", code: "backup-not-found", next: `file://${copies.second}` }],
    });
  });

  it("takes a manifest that is damaged in the first from the second", async () => {
    const copies = await twoCopies();
    flip(join(copies.first, "manifests/tank/src@two.json"), 100);
    const { exit, stdout } = await restore(copies);
    expect(exit).toBe(0);
    expect(stdout.toString()).toMatch(/^restored pool\/back@two: .*\n1 time another store stood in;/);
    expectReceived(copies);
  });
});

describe("which stores are asked", () => {
  /** As it would be on a host with jobs. */
  function configured({ scene, first, second }: Copies, jobs: string): readonly string[] {
    const stores = `stores: {main: {url: "${first}"}, offsite: {url: "${second}"}, other: {url: "${first}.other"}}`;
    return ["--config", scene.write("zferry.yaml", `${stores}\n${jobs}\n`)];
  }

  it.for([
    ["those of the job that means the dataset", "defaults: {store: other}\njobs: {home: {dataset: tank/src, store: main, copies: [{store: offsite}]}}"],
    ["those of a job that means it by a glob", 'jobs: {home: {datasets: ["tank/*"], store: main, copies: [{store: offsite}]}, x: {dataset: pool, store: other}}'],
    ["those of the defaults, where no job means it", "defaults: {store: main, copies: [{store: offsite}]}\njobs: {home: {dataset: pool}}"],
  ] as const)("without a flag: %s", async ([, jobs]) => {
    const copies = await twoCopies();
    rmSync(chunkOf(copies.first, 0));
    const ended = await restore({ ...copies, both: [] }, configured(copies, jobs));
    expect(ended).toMatchObject({ exit: 0 });
    expectReceived(copies);
  });

  it("only those of the flags, when there are any", async () => {
    const copies = await twoCopies();
    rmSync(chunkOf(copies.first, 0));
    const flags = configured(copies, "jobs: {home: {dataset: tank/src, store: main, copies: [{store: offsite}]}}");
    const { exit, stderr } = await restore({ ...copies, both: ["--store", "main"] }, flags);
    expect(exit).toBe(13);
    expect(stderr).toMatch(/error: chunk 0 of 8 of "tank\/src@one" .*: it is missing\n/);
  });
});

describe("get", () => {
  it("takes from the second store what is bad in the first: a chunk, a manifest, everything", async () => {
    const { scene, first, second, both } = await twoCopies();
    const words = ["get", "tank/src@one", "--state-dir", scene.stateDir, ...scene.asBob, ...both];
    flip(chunkOf(first, 4), 5);
    const chunk = await scene.run(words);
    expect(chunk.stdout.equals(streamOf("one"))).toBe(true);
    expect(chunk.stderr).toMatch(/warning: in "file:.*store": chunk 4 of 8 .*; going on with "file:.*second"\n/);
    flip(join(first, "manifests/tank/src@one.json"), 100);
    expect((await scene.run(words)).stdout.equals(streamOf("one"))).toBe(true);
    rmSync(first, { recursive: true });
    const gone = await scene.run(words);
    expect([gone.exit, gone.stdout.equals(streamOf("one"))]).toEqual([0, true]);
    mkdirSync(first);
    const empty = await scene.run(words);
    expect([empty.exit, empty.stdout.equals(streamOf("one"))]).toEqual([0, true]);
    expect(empty.stderr).toContain('there is no backup "tank/src@one"');
    rmSync(second, { recursive: true });
    expect(await scene.run(words)).toMatchObject({ exit: 15 });
    mkdirSync(second);
    expect(await scene.run(words)).toMatchObject({ exit: 10 });
  });
});

describe("the built program, with threads", () => {
  beforeAll(built);

  it("falls over piece by piece as it does without", async () => {
    const copies = await twoCopies();
    const { scene, pool, first, second, both } = copies;
    flip(chunkOf(first, 0), 0);
    flip(chunkOf(first, 2), 100);
    flip(chunkOf(second, 2), 60_000);
    rmSync(chunkOf(first, 5));
    flip(chunkOf(first, 7), 10);
    const words = ["restore", "tank/src", "--to", "pool/back", "--json", "--threads", "2", "--state-dir", scene.stateDir, ...scene.asBob, ...both];
    const ended = await scene.spawn(words, { env: pool.env });
    expect(ended).toMatchObject({ exit: 0 });
    expectReceived(copies);
    const { fallOvers } = documentOf(ended) as { fallOvers: readonly Record<string, unknown>[] };
    expect(fallOvers.map(({ chunk, store }) => [chunk, store])).toEqual([
      [0, `file://${first}`],
      [2, `file://${first}`],
      [2, `file://${second}`],
      [5, `file://${first}`],
      [7, `file://${first}`],
    ]);
  });

  it("ends with 13, and zfs recv without an end, when a chunk is bad in both", async () => {
    const { scene, pool, first, second, both } = await twoCopies();
    for (const folder of [first, second]) flip(chunkOf(folder, 6), 30_000);
    const words = ["restore", "tank/src", "--to", "pool/back", "--threads", "2", "--state-dir", scene.stateDir, ...scene.asBob, ...both];
    const { exit, stderr } = await scene.spawn(words, { env: pool.env });
    expect(exit).toBe(13);
    expect(stderr).toMatch(/no store has what is wanted: in "file:.*store": chunk 6 .* in "file:.*second": chunk 6 /);
    expect(pool.received(0)?.ended ?? false).toBe(false);
    expect(pool.alive).toEqual([]);
  });
});
