/**
 * A run that is killed between `zfs snapshot` and its journal leaves a snapshot that nothing speaks of but the intent,
 * noted before. The next run destroys it, and nothing else.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { nightly, type Pool } from "./pool.ts";
import { Scene } from "./zferry.ts";

const [before, later] = [new Date("2026-11-22T00:00:00Z"), new Date("2026-11-23T00:00:00Z")];
const name = "tank/src@zferry-20261122T000000Z";

function wordsFor(scene: Scene, ...flags: string[]): string[] {
  return ["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob, ...flags];
}

function filesOfRuns(scene: Scene): string[] {
  return readdirSync(join(scene.stateDir, "journal"));
}

/** A backup that cannot learn of its snapshot, because zfs fails right after taking it; the intent stays. */
async function intended(scene: Scene, pool: Pool): Promise<string> {
  pool.change((state) => (state.faults = { snapshot: { exit: 1, stderr: "out of luck" } }));
  expect((await scene.run(wordsFor(scene), { env: pool.env, now: before })).exit).toBe(14);
  pool.change((state) => (state.faults = {}));
  const [intent, ...more] = filesOfRuns(scene);
  expect(more).toEqual([]);
  return join(scene.stateDir, "journal", intent ?? "");
}

/** @param ours - its mark; false for a snapshot that zferry has not taken */
function take(pool: Pool, ours: string | false): void {
  pool.change(({ datasets }) => {
    const taken = { [name.split("@")[1] ?? ""]: { guid: "77", holds: [], ours } };
    datasets["tank/src"] = { snapshots: taken, bookmarks: {} };
  });
}

function snapshotsOf(pool: Pool): string[] {
  return Object.keys(pool.dataset("tank/src").snapshots);
}

it("the next run destroys it, saying so, and backs up a snapshot of its own", async () => {
  const [scene, pool] = [new Scene(), nightly()];
  await intended(scene, pool);
  take(pool, pool.lastMark);
  const { exit, stderr } = await scene.run(wordsFor(scene), { env: pool.env, now: later });
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain(`a run ended before it had stored its snapshot "${name}", which is destroyed now`);
  expect(snapshotsOf(pool)).toEqual(["zferry-20261123T000000Z"]);
  expect(filesOfRuns(scene)).toEqual([]);
});

it.for<[string, (intent: string, pool: Pool) => void]>([
  ["that zferry did not take", (_, pool) => { take(pool, false); }],
  ["that another run took under that name", (_, pool) => { take(pool, "another's"); }],
  ["that the intent does not name", (intent, pool) => {
    take(pool, pool.lastMark);
    writeFileSync(intent, readFileSync(intent, "utf8").replaceAll("zferry-2026", "zferry-2025"));
  }],
  ["when the intent is garbage", (intent, pool) => {
    take(pool, pool.lastMark);
    writeFileSync(intent, "{");
  }],
])("a snapshot %s stays, and the intent goes", async ([, spoil]) => {
  const [scene, pool] = [new Scene(), nightly()];
  spoil(await intended(scene, pool), pool);
  const { exit, stderr } = await scene.run(wordsFor(scene), { env: pool.env, now: later });
  expect(exit, stderr).toBe(0);
  expect(snapshotsOf(pool)).toContain("zferry-20261122T000000Z");
  expect(pool.calls("destroy")).toEqual([]);
  expect(filesOfRuns(scene)).toEqual([]);
});

it("a snapshot that was stored is no longer anybody's to destroy", async () => {
  const [scene, pool] = [new Scene(), nightly()];
  const intent = await intended(scene, pool);
  const text = readFileSync(intent);
  expect((await scene.run(wordsFor(scene), { env: pool.env, now: before })).exit).toBe(0);
  writeFileSync(intent, text);
  expect((await scene.run(wordsFor(scene), { env: pool.env, now: later })).exit).toBe(0);
  expect(snapshotsOf(pool)).toEqual(["zferry-20261122T000000Z", "zferry-20261123T000000Z"]);
});

it("one whose name is taken leaves no intent: the snapshot there is another run's", async () => {
  const [scene, pool] = [new Scene(), nightly()];
  take(pool, "another's");
  expect((await scene.run(wordsFor(scene), { env: pool.env, now: before })).exit).not.toBe(0);
  expect(snapshotsOf(pool)).toEqual(["zferry-20261122T000000Z"]);
  expect((await scene.run(wordsFor(scene), { env: pool.env, now: later })).exit).toBe(0);
  expect(snapshotsOf(pool)).toEqual(["zferry-20261122T000000Z", "zferry-20261123T000000Z"]);
});

it("an intent that cannot be read ends the run with 2, naming it, before anything is sent", async () => {
  const [scene, pool] = [new Scene(), nightly()];
  const intent = await intended(scene, pool);
  rmSync(intent);
  mkdirSync(intent);
  const { exit, stderr } = await scene.run(wordsFor(scene), { env: pool.env, now: later });
  expect(exit).toBe(2);
  expect(stderr).toContain(`cannot read "${intent}"`);
  expect(snapshotsOf(pool)).toEqual([]);
});
