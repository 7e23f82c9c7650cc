/**
 * Snapshots that several runs take of one dataset: of two state folders, or two hosts, whose timers ring in the same second.
 * A name then says nothing of who has taken what bears it.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { intentsOf } from "../src/intent.ts";
import { giveBack, nameSnapshots, takeSnapshot, takeSnapshots, type WantedSnapshot } from "../src/taken.ts";
import { readDataset } from "../src/zfs/inventory.ts";
import { parseDatasetName, snapshotName } from "../src/zfs/names.ts";
import { createSnapshots } from "../src/zfs/snapshots.ts";
import { fakeZfs, type FakeZfs, never } from "./zfs/fake.ts";

const [a, b] = [parseDatasetName("tank/a"), parseDatasetName("tank/b")];
const night = "zferry-20261122T020000Z";
const now = (): Date => new Date("2026-11-22T02:00:00.990Z");
const warn = (text: string): void => expect.fail(text);

function wantedOn({ zfs }: FakeZfs): readonly WantedSnapshot[] {
  const stateDir = mkdtempSync(join(tmpdir(), "zferry-taken-"));
  onTestFinished(() => {
    rmSync(stateDir, { recursive: true });
  });
  return [a, b].map((dataset) => ({ zfs, storeUrl: "file:///store", stateDir, dataset, prefix: "zferry-" }));
}

async function snapshotsOf({ zfs }: FakeZfs): Promise<readonly string[]> {
  const both = await Promise.all([a, b].map((dataset) => readDataset(zfs, dataset, { signal: never })));
  return both.flatMap((facts) => facts?.snapshots ?? []).map(({ name }) => name);
}

const pool = (): FakeZfs => fakeZfs({ datasets: { [a]: {}, [b]: {} } });

it("one of another run stays where this one has meant to take it, and gives back its own", async () => {
  const fake = pool();
  const wanted = wantedOn(fake);
  const named = await nameSnapshots(wanted, { now, signal: never });
  await createSnapshots(fake.zfs, [snapshotName(b, night)], { mark: "another's", signal: never });
  await expect(takeSnapshots(named, { warn, signal: never })).rejects.toMatchObject({ code: "target-exists" });
  await takeSnapshots(named.slice(0, 1), { warn, signal: never });
  for (const { name, zfs, stateDir, storeUrl } of named) await giveBack({ zfs, store: { url: storeUrl }, stateDir, progress: { warn } }, name);
  expect(await snapshotsOf(fake)).toEqual([`${b}@${night}`]);
  for (const one of wanted) expect(await intentsOf(one)).toEqual([]);
});

it("a name that another run has taken is left to it, and that of the next second is taken", async () => {
  const fake = pool();
  const [wanted] = wantedOn(fake);
  if (wanted === undefined) throw new Error("nothing is wanted");
  await createSnapshots(fake.zfs, [snapshotName(a, night)], { mark: "another's", signal: never });
  const moments = [now(), now(), new Date("2026-11-22T02:00:01Z")];
  const taken = await takeSnapshot(wanted, { now: () => moments.shift() ?? now(), warn, signal: never });
  expect(taken).toBe("tank/a@zferry-20261122T020001Z");
  expect(await snapshotsOf(fake)).toEqual([`${a}@${night}`, taken]);
  expect(await intentsOf(wanted)).toMatchObject([{ name: taken }]);
});

it("names that are taken in three seconds in a row are an error, and not waited for without end", async () => {
  const taken = { "zferry-20261122T020000Z": {}, "zferry-20261122T020001Z": {}, "zferry-20261122T020002Z": {} };
  const fake = fakeZfs({ datasets: { [a]: { snapshots: taken } } });
  const [wanted] = wantedOn(fake);
  if (wanted === undefined) throw new Error("nothing is wanted");
  const moments = [0, 0, 1, 1, 2, 2, 3].map((seconds) => new Date(now().getTime() + 1000 * seconds));
  await expect(takeSnapshot(wanted, { now: () => moments.shift() ?? now(), warn, signal: never })).rejects.toMatchObject({ code: "target-exists" });
  expect(fake.calls().filter(([verb]) => verb === "snapshot")).toHaveLength(3);
  expect(await intentsOf(wanted)).toEqual([]);
});
