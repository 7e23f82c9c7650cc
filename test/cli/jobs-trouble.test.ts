/**
 * Trouble in the middle of a run of jobs: what it costs, what it leaves, and who hears of it.
 */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { aloneInStore } from "../../src/alone.ts";
import { runToExit } from "../../src/cli/program.ts";
import { takeLocalLock } from "../../src/lock.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { openDirectory } from "../../src/store/directory.ts";
import { Night, tonight, uponHearing } from "./job-night.ts";
import { ownTerminal } from "./terminal.ts";
import { documentOf, type Ended, fixtures, recordedAt } from "./zferry.ts";
import { residentBin } from "../zfs/resident.ts";

const { signal } = new AbortController();

vi.setConfig({ testTimeout: 120_000 });

/** Another host's lease on a dataset. @returns what lets go of it */
async function leaseElsewhere({ scene }: Night, dataset: string): Promise<() => Promise<void>> {
  const store = await openDirectory(scene.store, "write");
  const elsewhere = { store, stateDir: join(scene.folder, "elsewhere"), leaseMs: 60_000, progress: { warn: (text: string) => expect.fail(text) }, signal };
  const over = new AbortController();
  const held = await new Promise<{ readonly work: Promise<void> }>((resolve) => {
    const work: Promise<void> = aloneInStore(elsewhere, parseDatasetName(dataset), async () => {
      resolve({ work });
      await once(over.signal, "abort");
    });
  });
  return () => {
    over.abort();
    return held.work;
  };
}

describe("another host at work on a dataset", () => {
  it("is waited for, and then the snapshot that was taken before that is stored", async () => {
    const night = new Night("  all: {datasets: ['tank/src/*']}\n");
    const release = await leaseElsewhere(night, "tank/src/a");
    const { stderr, said } = uponHearing('all: waits for its turn, because another run is at work on "tank/src/a"', () => void release());
    const environment = { PATH: `${residentBin}:${join(fixtures, "bin")}:${process.env.PATH ?? ""}`, ...night.pool.env };
    const terminal = ownTerminal({ environment, workingDirectory: night.scene.folder, stderr, now: () => recordedAt });
    expect(await runToExit(["backup"], terminal), said()).toBe(0);
    expect(night.scene.manifests).toEqual([`tank/src/a@${tonight}.json`, `tank/src/b@${tonight}.json`]);
    expect(night.intents).toEqual([]);
  });
});

it("a dataset whose name leaves no room for a snapshot's fails by itself", async () => {
  const long = `tank/src/${"x".repeat(240)}`;
  const night = new Night("  all: {dataset: tank/src, recursive: true}\n", { datasets: ["tank/src", "tank/src/a", long] });
  const { exit, stderr, stdout } = await night.run();
  expect(exit, stderr).toBe(2);
  expect(stdout.toString()).toContain("2 of 3 datasets done, 1 failed, 0 skipped");
  expect(night.scene.manifests).toHaveLength(2);
});

describe("a snapshot that is to be taken back", () => {
  const busy = { exit: 1, stderr: "cannot destroy snapshot: dataset is busy" };
  const later = (night: Night, day = 22): Promise<Ended> => night.scene.run(["backup"], { env: night.pool.env, now: new Date(`2026-11-${day}T00:00:00Z`) });

  it("and cannot be destroyed yet is destroyed by the run after that", async () => {
    const night = new Night("  all: {datasets: ['tank/src/*'], when_running: skip}\n");
    const release = await leaseElsewhere(night, "tank/src/a");
    night.pool.change(({ faults }) => (faults.destroy = busy));
    expect(await night.run()).toMatchObject({ exit: 0, stderr: expect.stringContaining("could not destroy the snapshot") as string });
    await release();
    night.pool.change(({ datasets }) => (datasets["tank/src/a"] = { snapshots: { [tonight]: { guid: "77", holds: [], ours: night.pool.lastMark } }, bookmarks: {} })); // no recorded stream's
    expect((await later(night)).stderr).toContain(`could not destroy the snapshot "tank/src/a@${tonight}"`);
    night.pool.change(({ faults }) => delete faults.destroy);
    await later(night, 23);
    expect(night.snapshotsOf("tank/src/a")).not.toContain(tonight);
    expect(night.intents.filter((name) => name.includes("tank-src-a"))).toEqual([]);
  });

  it("with a backup that failed half-way, on a pool that refuses everything, is destroyed by the next run", async () => {
    const night = new Night("  a: {dataset: tank/src/a}\n");
    night.pool.change(({ faults }) => Object.assign(faults, { send: { at: 100_000, exit: 1 }, release: busy, destroy: busy }));
    expect((await night.run()).exit).toBe(14);
    expect(night.snapshotsOf("tank/src/a")).toEqual([tonight]);
    night.pool.change((state) => (state.faults = {}));
    await later(night);
    expect(night.snapshotsOf("tank/src/a")).not.toContain(tonight);
    expect(night.intents).toEqual([]);
  });

  it("and is there only later, because zfs went on without the run that had given up, is destroyed by the next", async () => {
    const night = new Night("  all: {datasets: ['tank/src/*']}\n");
    night.pool.change(({ faults }) => (faults.snapshot = { exit: 255, stderr: "connection closed" }));
    expect((await night.run()).exit).toBe(14);
    night.pool.change(({ faults, datasets }) => {
      delete faults.snapshot;
      datasets["tank/src/a"] = { snapshots: { [tonight]: { guid: "77", holds: [], ours: night.pool.lastMark } }, bookmarks: {} };
    });
    const { exit, stderr } = await later(night);
    expect(exit, stderr).toBe(0);
    expect(night.snapshotsOf("tank/src/a")).toEqual(["zferry-20261122T000000Z"]);
    expect(night.intents).toEqual([]);
  });
});

describe("what is told", () => {
  it("of a job of which a dataset was skipped is not that all is backed up, nor that its trouble is over", async () => {
    const told = join(mkdtempSync(join(tmpdir(), "zferry-told-")), "told");
    onTestFinished(() => {
      rmSync(dirname(told), { recursive: true });
    });
    const notify = `notify: [{type: command, command: [sh, -c, "cat >> ${told}"], on: [failure, success, recovery], min_interval: 0s}]\n`;
    const night = new Night(`  all: {datasets: ['tank/src/*'], when_running: skip}\n${notify}`);
    night.pool.change(({ faults }) => (faults.send = { exit: 1, stderr: "out of luck" }));
    expect((await night.run()).exit).toBe(14);
    night.pool.change(({ faults }) => delete faults.send);
    const { release } = await takeLocalLock(night.scene.stateDir, parseDatasetName("tank/src/a"), { signal });
    expect((await night.scene.run(["backup"], { env: night.pool.env, now: new Date("2026-11-22T00:00:00Z") })).exit).toBe(0);
    await release();
    const happenings = readFileSync(told, "utf8").trim().split("\n").map((line) => JSON.parse(line) as { kind: string; dataset: string | null });
    expect(happenings.filter(({ kind }) => kind !== "failure").map(({ kind, dataset }) => [kind, dataset])).toEqual([["recovery", "tank/src/b"]]);
  });

  it("by status of a job that could not tell its datasets is that it failed, until a run can again", async () => {
    const night = new Night("  all: {datasets: ['tank/src/a*']}\n  none: {datasets: ['tank/x*']}\n");
    const states = async (day: number): Promise<unknown> => {
      const now = new Date(`2026-11-${day}T07:50:00Z`);
      await night.scene.run(["backup"], { env: night.pool.env, now });
      const { datasets } = documentOf(await night.scene.run(["status", "--json"], { now })) as { datasets: { job: string; dataset: string | null; state: string; failureCount: number }[] };
      return datasets.map(({ job, dataset, state, failureCount }) => [job, dataset, state, failureCount]);
    };
    expect(await states(21)).toEqual([["all", "tank/src/a", "ok", 0], ["none", null, "failed", 1]]);
    night.pool.change(({ faults }) => (faults.list = { exit: 1, stderr: "cannot open 'tank': pool I/O is currently suspended" }));
    expect(await states(22)).toEqual([["all", "tank/src/a", "failed", 1], ["none", null, "failed", 2]]);
    night.pool.change(({ faults }) => delete faults.list);
    expect(await states(23)).toEqual([["all", "tank/src/a", "ok", 1], ["none", null, "failed", 3]]);
  });

  it("is every failure, whatever failed before it, and each once", async () => {
    const night = new Night("  a: {datasets: ['tank/x*']}\n  b: {datasets: ['tank/y*']}\n  c: {dataset: tank/none}\n");
    const { exit, stderr } = await night.run();
    expect(exit).toBe(14);
    const errors = ['the job "a" matches no dataset', 'the job "b" matches no dataset', 'there is no dataset "tank/none"'];
    expect(stderr.split("\n").filter((line) => line.startsWith("zferry: error: "))).toEqual([1, 2, 0].map((at) => `zferry: error: ${errors[at] ?? ""}`));
  });
});

it("a record of stopped services that cannot be read keeps no backup from being made, and is the run's failure", async () => {
  const night = new Night("  a: {dataset: tank/src/a}\n");
  mkdirSync(join(night.scene.stateDir, "quiesce", "20261120T000000Z-00000000.json"), { recursive: true, mode: 0o700 });
  const { exit, stderr } = await night.run();
  expect(exit, stderr).toBe(16);
  expect(stderr).toContain("cannot be read, so nobody knows which after_snapshot hooks are owed");
  expect(night.scene.manifests).toEqual([`tank/src/a@${tonight}.json`]);
});

describe("a store that is out of reach", () => {
  it("is waited for once, and not for every dataset", async () => {
    const night = new Night("  all: {dataset: tank/src, recursive: true, store: gone, chunk_size: 64MiB}\n");
    const keys = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "an-unused-secret" };
    const { exit, stderr } = await night.scene.run(["backup"], { env: { ...night.pool.env, ...keys } });
    expect(exit, stderr).toBe(15);
    expect(stderr.match(/given up after \d+ tries/g)).toHaveLength(1);
    expect(stderr.match(/in vain just before/g)).toHaveLength(2);
    expect((await night.runs).map(({ outcome }) => outcome)).toEqual(["failed", "failed", "failed"]);
  });
});
