import { describe, expect, it } from "vitest";
import { readDataset } from "../../src/zfs/inventory.ts";
import { parseDatasetName, parseGuid, parseSnapshotName } from "../../src/zfs/names.ts";
import { createSnapshots, destroySnapshot, newSnapshotName } from "../../src/zfs/snapshots.ts";
import { fakeZfs, never, type FakeZfs } from "./fake.ts";

const s1 = parseSnapshotName("tank/a@s1");
const guid = parseGuid("17");

async function namesIn({ zfs }: FakeZfs): Promise<readonly string[] | undefined> {
  const facts = await readDataset(zfs, parseDatasetName("tank/a"), { signal: never });
  return facts?.snapshots.map(({ name }) => name);
}

describe("the name of a new snapshot", () => {
  it.for([
    ["2026-01-31T23:59:59.999Z", "zferry-20260131T235959Z"],
    ["2026-11-21T09:05:07.000+02:00", "zferry-20261121T070507Z"],
  ] as const)("is its time %s in UTC behind the prefix", ([at, name]) => {
    expect(newSnapshotName("zferry-", new Date(at))).toBe(name);
  });
});

describe("making snapshots", () => {
  it("takes all of them in one command and marks them as ours", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": {}, "tank/b c": {} } });
    await createSnapshots(fake.zfs, [s1, parseSnapshotName("tank/b c@s1")], { mark: "7f", signal: never });
    expect(fake.calls()).toEqual([["snapshot", "-o", "zferry:snapshot=7f", "--", "tank/a@s1", "tank/b c@s1"]]);
    const facts = await readDataset(fake.zfs, parseDatasetName("tank/b c"), { signal: never });
    expect(facts?.snapshots).toMatchObject([{ name: "tank/b c@s1", ours: true, mark: "7f" }]);
  });

  it("asks nothing of zfs when there are none to make", async () => {
    const fake = fakeZfs({ datasets: {} });
    await createSnapshots(fake.zfs, [], { mark: "7f", signal: never });
    expect(fake.calls()).toEqual([]);
  });

  it("makes none when one of the names is taken", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": {}, "tank/b": { snapshots: { s1: {} } } } });
    const names = [s1, parseSnapshotName("tank/b@s1")];
    await expect(createSnapshots(fake.zfs, names, { mark: "7f", signal: never })).rejects.toMatchObject({ code: "target-exists" });
    expect(await namesIn(fake)).toEqual([]);
  });
});

describe("destroying a snapshot", () => {
  it("destroys one that is ours and has the guid", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": { snapshots: { s1: { guid: "17", ours: true } } } } });
    await destroySnapshot(fake.zfs, s1, guid, { signal: never });
    expect(await namesIn(fake)).toEqual([]);
  });

  it.for([
    ["zferry did not make", { guid: "17" }, /zferry did not make it/],
    ["was replaced under its name", { guid: "18", ours: true }, /its guid is 18, not 17/],
  ] as const)("refuses one that %s", async ([, snapshot, message]) => {
    const fake = fakeZfs({ datasets: { "tank/a": { snapshots: { s1: snapshot } } } });
    await expect(destroySnapshot(fake.zfs, s1, guid, { signal: never })).rejects.toThrow(message);
    expect(await namesIn(fake)).toEqual(["tank/a@s1"]);
  });

  it("refuses a name that zfs takes for a range, before it asks zfs anything", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": {} } });
    const range = parseSnapshotName("tank/a@s1%s9");
    await expect(destroySnapshot(fake.zfs, range, guid, { signal: never })).rejects.toMatchObject({ code: "usage" });
    expect(fake.calls()).toEqual([]);
  });

  it("is content when it is gone already", async () => {
    const { zfs } = fakeZfs({ datasets: { "tank/a": {} } });
    await destroySnapshot(zfs, s1, guid, { signal: never });
  });

  it("is not content when the dataset could not be looked at", async () => {
    const { zfs } = fakeZfs({ datasets: {}, faults: { get: { stderr: "cannot open 'tank/a': I/O error" } } });
    await expect(destroySnapshot(zfs, s1, guid, { signal: never })).rejects.toMatchObject({ code: "zfs-failed" });
  });

  it("says that it is busy when it is held", async () => {
    const held = { guid: "17", ours: true, holds: ["keep"] };
    const { zfs } = fakeZfs({ datasets: { "tank/a": { snapshots: { s1: held } } } });
    await expect(destroySnapshot(zfs, s1, guid, { signal: never })).rejects.toMatchObject({ code: "zfs-busy" });
  });
});
