/**
 * Jobs of several datasets, and groups of jobs: one instant, one backup each, and what one dataset's trouble means for the rest.
 */
import { chmodSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { runToExit } from "../../src/cli/program.ts";
import { noteIntent } from "../../src/intent.ts";
import { takeLocalLock } from "../../src/lock.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";
import { Night, three, tonight, uponHearing } from "./job-night.ts";
import { guids } from "./pool.ts";
import { fakeProgram } from "../zfs/fake.ts";
import { ownTerminal } from "./terminal.ts";
import { fixtures } from "./zferry.ts";

const { signal } = new AbortController();

vi.setConfig({ testTimeout: 120_000 });

it("prunes after its backup, and says what could not be judged and keeps everything", async () => {
  const night = new Night("  home: {dataset: tank/src, keep: {store: {last: 1}}, prune: after_backup}\n");
  night.scene.write("store/manifests/odd.json", "{}");
  const { exit, stderr } = await night.run();
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain('home: the backup is stored, but prune could not judge or remove: manifests/odd.json');
});

it("notes that its backup is stored before it prunes, which a power cut may end", async () => {
  const night = new Night("  home: {dataset: tank/src, keep: {local: {last: 1}}, prune: after_backup}\n");
  night.scene.write("zfs", `#!/bin/sh\ncase "$1" in destroy) kill -KILL $PPID; exit 1 ;; esac\nexec "${fakeProgram}" "$@"\n`);
  chmodSync(join(night.scene.folder, "zfs"), 0o755);
  night.pool.change(({ datasets }) => (datasets["tank/src"] = { snapshots: { old: { guid: "5", holds: [], ours: true, ...{ creation: "0" } } }, bookmarks: {} }));
  const words = ["backup", "--zfs", join(night.scene.folder, "zfs")];
  const { exit, stderr } = await (await night.scene.start(words, { env: night.pool.env })).ended;
  expect(exit, stderr).toBeNull();
  expect((await night.runs).map(({ job, outcome }) => [job, outcome])).toEqual([["home", "stored"]]);
});

describe("a job of several datasets", () => {
  it.for([
    ["recursive", "dataset: tank/src, recursive: true", three],
    ["a glob", "datasets: [tank/src/*]", ["tank/src/a", "tank/src/b"]],
    ["a name and a glob, less one that is excluded", "datasets: [tank/src, tank/src/*], exclude: [tank/src/a]", ["tank/src", "tank/src/b"]],
  ] as const)("(%s) takes one atomic snapshot of all, and stores each by itself", async ([, which, datasets]) => {
    const night = new Night(`  all: {${which}}\n`);
    const { exit, stderr, stdout } = await night.run();
    expect(exit, stderr).toBe(0);
    expect(night.taken).toEqual([datasets.map((name) => `${name}@${tonight}`)]);
    expect(night.scene.manifests.sort()).toEqual(datasets.map((name) => `${name}@${tonight}.json`).sort());
    expect(stdout.toString().match(/stored full backup/g)).toHaveLength(datasets.length);
    expect(night.intents).toEqual([]);
    expect((await night.runs).map(({ job, dataset, outcome, kind }) => [job, dataset, outcome, kind])).toEqual(
      datasets.map((name) => ["all", name, "stored", "full"]),
    );
  });

  it("gives each dataset a chain of its own", async () => {
    const night = new Night("  all: {datasets: ['tank/src/*']}\n");
    await night.run();
    const later = await night.scene.run(["backup", "--json"], { env: night.pool.env, now: new Date("2026-11-22T00:00:00Z") });
    const documents = later.stdout.toString().trim().split("\n").map((line) => JSON.parse(line) as { type: string; dataset: string; plan: { base: string } });
    expect(documents.map(({ type }) => type)).toEqual(["backup", "backup", "backup-summary"]);
    expect(documents.slice(0, 2).map(({ plan }) => plan.base)).toEqual([`tank/src/a@${tonight}`, `tank/src/b@${tonight}`]);
  });

  it("stores the others when one fails, gives its snapshot back, and ends with that failure", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true}\n");
    const mine = { mine: { guid: String(guids.one), holds: [], ours: false } }; // so the stream of the next one is an incremental
    night.pool.change(({ datasets }) => (datasets["tank/src/a"] = { snapshots: mine, bookmarks: {} }));
    const { exit, stdout, stderr } = await night.run();
    expect(exit, stderr).toBe(14);
    expect(night.scene.manifests).toContain(`tank/src/b@${tonight}.json`);
    expect(night.snapshotsOf("tank/src/a")).toEqual(["mine"]);
    expect(night.snapshotsOf("tank/src/b")).toEqual([tonight]);
    expect(stdout.toString()).toContain("2 of 3 datasets done, 1 failed, 0 skipped");
    expect(night.intents).toEqual([]);
    expect((await night.runs).map(({ dataset, outcome }) => `${dataset} ${outcome}`).sort()).toEqual([
      "tank/src stored", "tank/src/a failed", "tank/src/b stored",
    ]);
  });

  it("does without a dataset that is not there, which is a failure", async () => {
    const night = new Night("  all: {datasets: [tank/src/b, tank/none, tank/src/a]}\n");
    const { exit, stderr } = await night.run();
    expect(exit).toBe(14);
    expect(stderr).toContain('there is no dataset "tank/none"');
    expect(night.scene.manifests).toHaveLength(2);
  });

  it("tells of a glob that matches nothing; when nothing is left, that is a failure", async () => {
    const some = new Night("  all: {datasets: [tank/src/a, 'tank/x*']}\n");
    expect(await some.run()).toMatchObject({ exit: 0, stderr: expect.stringContaining('job "all": "tank/x*" matches no dataset') as string });
    const none = new Night("  all: {datasets: ['tank/x*']}\n");
    expect(await none.run()).toMatchObject({ exit: 14, stderr: expect.stringContaining('the job "all" matches no dataset') as string });
  });

  it("takes them one at a time where zfs cannot do otherwise, and says so", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true}\n", { old: true });
    const { exit, stderr } = await night.run();
    expect(exit, stderr).toBe(0);
    expect(stderr).toContain("this zfs takes one snapshot at a time");
    expect(night.scene.manifests).toHaveLength(3);
  });

  it("is only planned with --dry-run: nothing is taken, stored or noted", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true}\n");
    const { exit, stdout } = await night.run("--dry-run");
    expect(exit).toBe(0);
    expect(stdout.toString().match(/would make: full, there is no full backup in the store yet/g)).toHaveLength(3);
    expect([night.taken, night.scene.objects, existsSync(night.scene.stateDir)]).toEqual([[], [], false]);
  });
});

describe("a group of jobs", () => {
  it("shares one atomic snapshot, whose names begin as each job says", async () => {
    const night = new Night("  a: {dataset: tank/src/a, group: g}\n  other: {dataset: tank/src}\n  b: {dataset: tank/src/b, group: g, snapshot_prefix: b-}\n");
    expect((await night.run()).exit).toBe(0);
    expect(night.taken).toEqual([[`tank/src/a@${tonight}`, "tank/src/b@b-20261121T074200Z"], [`tank/src@${tonight}`]]);
  });

  it("takes a dataset that two of its jobs have once for each", async () => {
    const night = new Night("  a: {dataset: tank/src/a, group: g}\n  b: {datasets: [tank/src/a, tank/src/b], group: g, snapshot_prefix: b-}\n");
    expect((await night.run()).exit).toBe(0);
    expect(night.taken).toEqual([[`tank/src/a@${tonight}`, "tank/src/b@b-20261121T074200Z"], ["tank/src/a@b-20261121T074200Z"]]);
    expect(night.scene.manifests).toHaveLength(3);
  });

  it("is not kept from its work by a job whose store cannot be reached", async () => {
    const night = new Night("  a: {dataset: tank/src/a, group: g, store: gone, chunk_size: 16MiB}\n  b: {dataset: tank/src/b, group: g}\n");
    const { exit, stderr } = await night.scene.run(["backup"], { env: { ...night.pool.env, AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "an-unused-secret" } });
    expect(exit, stderr).toBe(15);
    expect(night.scene.manifests).toEqual([`tank/src/b@${tonight}.json`]);
    expect(night.snapshotsOf("tank/src/a")).toEqual([]);
    expect(night.intents).toEqual([]);
  });
});

describe("what was left behind", () => {
  it("by a run that was killed after its snapshots is destroyed by the next, dataset by dataset", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true}\n");
    const where = { stateDir: night.scene.stateDir, storeUrl: `file://${night.scene.store}` };
    for (const dataset of three) {
      await noteIntent({ ...where, dataset: parseDatasetName(dataset) }, { name: parseSnapshotName(`${dataset}@zferry-killed`), mark: null });
      night.pool.change(({ datasets }) => (datasets[dataset] = { snapshots: { "zferry-killed": { guid: "77", holds: [], ours: true } }, bookmarks: {} }));
    }
    const { exit, stderr } = await night.run();
    expect(exit, stderr).toBe(0);
    for (const dataset of three) expect(night.snapshotsOf(dataset)).toEqual([tonight]);
    expect(stderr.match(/which is destroyed now/g)).toHaveLength(3);
    expect(night.intents).toEqual([]);
  });

  it("by a run whose store failed in the middle is gone on with, and then tonight's is stored too", async () => {
    const night = new Night("  all: {datasets: ['tank/src/*']}\n");
    const words = ["backup", "--dataset", "tank/src/a", "--config", join(night.scene.folder, "zferry.yaml")];
    night.scene.write("store/streams/tank/src", "in the way"); // nothing can be stored under it
    expect((await night.scene.run(words, { env: night.pool.env, now: new Date("2026-11-20T00:00:00Z") })).exit).toBe(15);
    expect(night.snapshotsOf("tank/src/a")).toEqual(["zferry-20261120T000000Z"]);
    rmSync(join(night.scene.store, "streams/tank/src"));
    const { exit, stderr } = await night.run();
    expect(exit, stderr).toBe(0);
    expect(night.scene.manifests.sort()).toEqual([
      "tank/src/a@zferry-20261120T000000Z.json", `tank/src/a@${tonight}.json`, `tank/src/b@${tonight}.json`,
    ]);
    expect(night.snapshotsOf("tank/src/a")).toEqual(["zferry-20261120T000000Z", tonight]);
    expect(night.intents).toEqual([]);
  });
});

describe("another run at work on a dataset", () => {
  const lock = (night: Night): ReturnType<typeof takeLocalLock> => takeLocalLock(night.scene.stateDir, parseDatasetName("tank/src/a"), { signal });

  it("is waited for, which is said, when the job queues", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true}\n");
    const { release } = await lock(night);
    const { stderr, said } = uponHearing('all: waits for its turn, because another run is at work on "tank/src/a"', () => void release());
    const environment = { PATH: `${join(fixtures, "bin")}:${process.env.PATH ?? ""}`, ...night.pool.env };
    expect(await runToExit(["backup"], ownTerminal({ environment, workingDirectory: night.scene.folder, stderr })), said()).toBe(0);
    expect(night.scene.manifests).toHaveLength(3);
  });

  it("leaves the dataset out, with status 0, when the job skips", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true, when_running: skip}\n");
    const { release } = await lock(night);
    const { exit, stdout } = await night.run();
    await release();
    expect(exit).toBe(0);
    expect(stdout.toString()).toContain('all: tank/src/a: skipped: another run is at work on "tank/src/a"');
    expect(stdout.toString()).toContain("2 of 3 datasets done, 0 failed, 1 skipped");
    expect((await night.runs).filter(({ outcome }) => outcome === "skipped").map(({ dataset, error }) => [dataset, error?.code])).toEqual([
      ["tank/src/a", "locked"],
    ]);
  });

  it("is waited for no longer than until the next run is due", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true, every: 1s}\n");
    const { release } = await lock(night);
    const { exit } = await night.run();
    await release();
    expect(exit).toBe(11);
    expect(night.scene.manifests).toHaveLength(2);
  });

  it("fails what was asked for without a job", async () => {
    const night = new Night("  all: {dataset: tank/src}\n");
    const { release } = await lock(night);
    const { exit } = await night.run("--dataset", "tank/src/a");
    await release();
    expect(exit).toBe(11);
  });
});

describe("a disabled job", () => {
  const jobs = "  off: {dataset: tank/src/a, enabled: false}\n  on: {dataset: tank/src/b}\n";

  it("is passed over with a word", async () => {
    const night = new Night(jobs);
    expect(await night.run()).toMatchObject({ exit: 0, stderr: expect.stringContaining("off: is disabled, and skipped") as string });
    expect(night.scene.manifests).toEqual([`tank/src/b@${tonight}.json`]);
  });

  it("runs when it is named", async () => {
    const night = new Night(jobs);
    expect((await night.run("off")).exit).toBe(0);
    expect(night.scene.manifests).toEqual([`tank/src/a@${tonight}.json`]);
  });
});

it("a large incremental makes the next backup a full, which --dry-run explains", async () => {
  const night = new Night("  a: {dataset: tank/src/a, full_when_incremental_exceeds: 1%}\n");
  for (const day of [22, 23]) expect((await night.scene.run(["backup"], { env: night.pool.env, now: new Date(`2026-11-${day}T00:00:00Z`) })).exit).toBe(0);
  const { stdout } = await night.run("--dry-run");
  expect(stdout.toString()).toMatch(/would make: full, the last incremental, "tank\/src\/a@zferry-20261123T000000Z", has .* of its anchor, and the limit is 1%/);
  expect(Object.values(night.pool.dataset("tank/src/a").snapshots).map(({ guid }) => guid)).toEqual([guids.one, guids.two].map(String));
});

it("a history that cannot be written is told and fails nothing", async () => {
  const night = new Night("  a: {dataset: tank/src/a}\n");
  night.scene.write("state/history", "in the way");
  const { exit, stderr } = await night.run();
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain("a: the history could not be written");
});
