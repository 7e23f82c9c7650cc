/** `zferry prune [JOB…]`: what people and programs are told, what flags mean, and how it ends. What goes is in `test/prune/`. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { defaultRetryPolicy, openStore } from "../../src/index.ts";
import { MiB } from "../../src/bytes.ts";
import { type Bucket, newBucket } from "../system/bucket.ts";
import { need } from "../systems.ts";
import { backupsIn, objectsOf, stock } from "../prune/stocking.ts";
import { Pool } from "./pool.ts";
import { documentOf, type Ended, Scene } from "./zferry.ts";

const history = [
  { name: "tank/a@full-1", at: "2026-01-01T00:00Z", guid: 1 },
  { name: "tank/a@inc-1", at: "2026-01-02T00:00Z", on: 1 },
  { name: "tank/a@full-2", at: "2026-02-01T00:00Z", guid: 2 },
];
const now = new Date("2026-03-01T00:00Z");

async function scene(config = ""): Promise<Scene> {
  const made = new Scene();
  await stock(await open(made.store), history);
  if (config !== "") made.write("zferry.yaml", `state_dir: state\nstores: {here: {url: ${made.store}}}\n${config}`);
  return made;
}

function open(url: string, environment: Readonly<Record<string, string>> = {}): ReturnType<typeof openStore> {
  return openStore(url, { partBytes: 5 * MiB, concurrency: 1, retry: defaultRetryPolicy, access: "write", environment });
}

function pool(): Pool {
  const snapshot = (day: number, more: object = {}): object => ({ creation: String(1_767_225_600 + day * 86_400), ours: true, ...more });
  return new Pool({ datasets: { "tank/a": { snapshots: { "full-1": snapshot(0, { guid: "1" }), "inc-1": snapshot(1, { guid: "11" }), "full-2": snapshot(31, { guid: "2" }), "autosnap": snapshot(0, { ours: false }) } } } });
}

/** Of the one dataset by flags. */
function prune(made: Scene, flags: readonly string[]): Promise<Ended> {
  return made.run(["prune", "--dataset", "tank/a", ...made.place, ...flags], { now });
}

it("without --yes it says of each backup why it stays, and removes nothing", async () => {
  const made = await scene();
  const before = made.objects;
  const { exit, stdout } = await prune(made, ["--keep-monthly", "1"]);
  expect(exit).toBe(0);
  expect(stdout.toString()).toBe(
    `backups of tank/a in file://${made.store}:
  fate      kind         snapshot taken        stored    backup         why
  would go  full         2026-01-01T00:00:00Z  19.5 KiB  tank/a@full-1  no rule keeps it
  would go  incremental  2026-01-02T00:00:00Z  19.5 KiB  tank/a@inc-1   no rule keeps it
  stays     full         2026-02-01T00:00:00Z  19.5 KiB  tank/a@full-2  monthly 2026-02, newest restorable, anchor in use
2 of 3 backups would go, 39.1 KiB
nothing was removed; --yes removes what would go
`,
  );
  expect(made.objects).toEqual(before);
});

it("with --yes it removes that, and verify misses nothing", async () => {
  const made = await scene();
  const ended = await prune(made, ["--keep-last", "1", "--yes"]);
  expect(ended.exit).toBe(0);
  expect(ended.stdout.toString()).toMatch(/^ {2}removed +full .* tank\/a@full-1 +no rule keeps it$/m);
  expect(ended.stdout.toString()).toMatch(/^2 of 3 backups were removed/m);
  expect(made.objects.filter((name) => !name.startsWith("locks/"))).toEqual(objectsOf("tank/a@full-2").sort());
  expect((await made.run(["verify", "--level", "exists", ...made.place], { now })).stderr).not.toContain("full-1");
});

it("the document says what becomes of each and why", async () => {
  const made = await scene();
  const document = documentOf(await prune(made, ["--keep-daily", "1", "--json"]));
  expect(document).toMatchObject({ type: "retention", job: "tank/a", dataset: "tank/a", store: `file://${made.store}`, dryRun: true, snapshots: [], unreadable: [] });
  expect(document.backups).toMatchObject([
    { backup: "tank/a@full-1", kind: "full", guid: "1", createdAt: "2026-01-01T00:00:00.000Z", outcome: "would-go", reasons: [], problem: null },
    { backup: "tank/a@inc-1", outcome: "would-go" },
    { backup: "tank/a@full-2", outcome: "stays", reasons: [{ kind: "daily", text: "daily 2026-02-01" }, { kind: "newest" }, { kind: "anchor" }] },
  ]);
});

it.for([
  [["--keep-fulls", "1"], ["full-2"]],
  [["--keep-fulls", "2"], ["full-1", "full-2"]],
  [["--keep-weekly", "2"], ["full-1", "inc-1", "full-2"]],
  [["--keep-yearly", "1"], ["full-2"]],
  [["--keep-within", "30d"], ["full-1", "inc-1", "full-2"]],
  [["--keep-within", "29d"], ["full-2"]],
  [["--keep-last", "2", "--keep-daily", "0"], ["full-1", "inc-1", "full-2"]],
] as const)("%o keeps %o", async ([flags, wanted]) => {
  const made = await scene();
  expect((await prune(made, [...flags, "--yes"])).exit).toBe(0);
  expect(await backupsIn(await open(made.store))).toEqual([...wanted].map((name) => `tank/a@${name}`).sort());
});

describe("jobs", () => {
  const keep = "defaults: {keep: {store: {last: 1}, local: {last: 1}}}\n";

  it("are pruned by their own rules, in the store and on the pool", async () => {
    const [made, tank] = [await scene(`${keep}jobs: {home: {dataset: tank/a}}`), pool()];
    const shown = await made.run(["prune"], { now, env: tank.env });
    expect([shown.exit, shown.stderr]).toEqual([0, ""]);
    expect(shown.stdout.toString()).toMatch(/^2 of 3 backups would go.*\nsnapshots of tank\/a on the pool:\n/m);
    const acted = documentOf(await made.run(["prune", "home", "--yes", "--json"], { now, env: tank.env }));
    expect(acted.snapshots).toMatchObject([
      { snapshot: "tank/a@full-1", outcome: "removed" },
      { snapshot: "tank/a@inc-1", guid: "11", outcome: "removed", reasons: [] },
      { snapshot: "tank/a@full-2", outcome: "stays", reasons: [{ kind: "last" }, { kind: "newest" }, { kind: "anchor" }] },
    ]);
    expect(Object.keys(tank.dataset("tank/a").snapshots)).toEqual(["full-2", "autosnap"]);
    expect(await backupsIn(await open(made.store))).toEqual(["tank/a@full-2"]);
  });

  it("with a glob are pruned dataset by dataset, each with a document", async () => {
    const [made, tank] = [await scene(`${keep}jobs: {all: {datasets: ["tank/*"]}}`), pool()];
    tank.change(({ datasets }) => {
      datasets["tank/b"] = { snapshots: {}, bookmarks: {} };
    });
    const { stdout } = await made.run(["prune", "--json"], { now, env: tank.env });
    const documents = stdout.toString().trimEnd().split("\n").map((line) => JSON.parse(line) as { dataset: string });
    expect(documents.map(({ dataset }) => dataset)).toEqual(["tank/a", "tank/b"]);
  });

  it("leave metrics of what is left, and a look changes none", async () => {
    const [made, tank] = [await scene(`metrics: {textfile: ./zferry.prom}\n${keep}jobs: {home: {dataset: tank/a}}`), pool()];
    const metrics = join(made.folder, "zferry.prom");
    await made.run(["prune"], { now, env: tank.env });
    expect(existsSync(metrics)).toBe(false);
    await made.run(["prune", "--yes"], { now, env: tank.env });
    expect(readFileSync(metrics, "utf8")).toMatch(/^zferry_store_backups\{.*dataset="tank\/a",store="here"\} 1$/m);
  });

  it("without a policy keep everything, which is said", async () => {
    const made = await scene("jobs: {home: {dataset: tank/a}}");
    const { exit, stdout, stderr } = await made.run(["prune", "--yes"], { now });
    expect([exit, stdout.toString(), stderr]).toEqual([0, "", "zferry: home: it has no keep, so everything stays\n"]);
  });

  it("that fail do not stop the others", async () => {
    const made = await scene(`jobs: {bad: {dataset: tank/a, store: /not/there, keep: {store: {last: 1}}}, good: {dataset: tank/a, store: here, keep: {store: {last: 1}}}}`);
    const { exit, stdout } = await made.run(["prune"], { now, env: pool().env });
    expect(exit).toBe(15);
    expect(stdout.toString()).toContain("2 of 3 backups would go");
  });
});

it.for([
  [["prune"], "no job is configured"],
  [["prune", "nobody"], 'there is no job "nobody"'],
  [["prune", "--dataset", "tank/a"], "all of it would be deleted"],
  [["prune", "--dataset", "tank/a", "--keep-last", "0"], "all of it would be deleted"],
  [["prune", "home", "--dataset", "tank/a", "--keep-last", "1"], "cannot be given together"],
  [["prune", "--keep-last", "1"], "go with --dataset"],
  [["prune", "--local"], "go with --dataset"],
  [["prune", "--dataset", "tank/a", "--keep-last", "-1"], "whole number"],
  [["prune", "--dataset", "tank/a", "--keep-last", "100001"], "whole number"],
] as const)("%o is refused", async ([words, why]) => {
  const made = await scene();
  const { exit, stderr } = await made.run([...words, ...made.place], { now });
  expect(exit).toBe(2);
  expect(stderr).toContain(why);
  expect(await backupsIn(await open(made.store))).toHaveLength(3);
});

it("--local judges the snapshots on the pool, and leaves the store alone", async () => {
  const [made, tank] = [await scene(), pool()];
  const { exit, stdout } = await made.run(["prune", "--dataset", "tank/a", "--local", "--keep-last", "1", "--yes", ...made.place], { now, env: tank.env });
  expect(exit).toBe(0);
  expect(stdout.toString()).toContain("2 of 3 snapshots were removed");
  expect(Object.keys(tank.dataset("tank/a").snapshots)).toEqual(["full-2", "autosnap"]);
  expect(await backupsIn(await open(made.store))).toHaveLength(3);
});

it("a manifest that cannot be read keeps what it may need, and the run ends with 3", async () => {
  const made = await scene();
  made.write("store/manifests/tank/a@odd.json", "garbage");
  const { exit, stdout, stderr } = await prune(made, ["--keep-last", "1", "--yes"]);
  expect(exit).toBe(3);
  expect(stdout.toString()).toContain('"manifests/tank/a@odd.json" cannot be read, and may need it');
  expect(stdout.toString()).toContain("damaged: manifests/tank/a@odd.json cannot be read");
  expect(stderr).toContain("1 thing could not be judged or removed: manifests/tank/a@odd.json");
  expect(await backupsIn(await open(made.store))).toHaveLength(4);
});

it("what may not be destroyed is told, and the run ends with 3", async () => {
  const [made, tank] = [await scene(), pool()];
  tank.change(({ faults }) => {
    faults.destroy = { exit: 1, stderr: "cannot destroy: permission denied\n" };
  });
  const { exit, stdout, stderr } = await made.run(["prune", "--dataset", "tank/a", "--local", "--keep-last", "1", "--yes", ...made.place], { now, env: tank.env });
  expect(exit).toBe(3);
  expect(stdout.toString()).toMatch(/^ {2}NOT REMOVED .*permission denied/m);
  expect(stderr).toContain("2 things could not be judged or removed: tank/a@full-1, tank/a@inc-1");
});

it("a store that is not there is an error and is not made", async () => {
  const made = new Scene();
  expect((await prune(made, ["--keep-last", "1", "--yes"])).exit).toBe(15);
  expect(made.objects).toEqual([]);
  mkdirSync(made.store);
  expect((await prune(made, ["--keep-last", "1", "--yes"])).exit).toBe(0);
});

it("in a bucket too nothing but what is kept is left, leases included", async (context) => {
  const bucket: Bucket = await newBucket(need(context, "s3"));
  try {
    const made = new Scene();
    await stock(await open(bucket.url, bucket.env), history);
    const ended = await made.run(["prune", "--dataset", "tank/a", "--store", bucket.url, "--state-dir", made.stateDir, "--keep-last", "1", "--yes"], { now, env: bucket.env });
    expect([ended.exit, ended.stderr]).toEqual([0, ""]);
    expect((await bucket.keys()).filter((key) => !key.startsWith("host/locks/"))).toEqual(objectsOf("tank/a@full-2").map((key) => `host/${key}`).sort());
  } finally {
    await bucket.remove();
  }
});
