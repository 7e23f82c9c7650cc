import { describe, expect, it } from "vitest";
import { destroyDataset } from "../../src/zfs/datasets.ts";
import { parseDatasetName, parseGuid } from "../../src/zfs/names.ts";
import { fakeZfs, never } from "./fake.ts";

const name = parseDatasetName("tank/a");
const guid = parseGuid("17");

describe("destroying a dataset", () => {
  it("takes its snapshots and children with it", async () => {
    const fake = fakeZfs({ datasets: { tank: {}, "tank/a": { guid: "17", snapshots: { s1: {} } }, "tank/a/b": {}, "tank/ab": {} } });
    await destroyDataset(fake.zfs, name, guid, { signal: never });
    expect(fake.calls().at(-1)).toEqual(["destroy", "-r", "--", "tank/a"]);
    await expect(destroyDataset(fake.zfs, parseDatasetName("tank/ab"), guid, { signal: never })).rejects.toThrow("its guid is");
  });

  it("refuses one that was replaced under its name", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": { guid: "18" } } });
    await expect(destroyDataset(fake.zfs, name, guid, { signal: never })).rejects.toThrow(/its guid is 18, not 17/);
    expect(fake.calls().map(([verb]) => verb)).toEqual(["get"]);
  });

  it("refuses the top of a pool before it asks zfs anything", async () => {
    const fake = fakeZfs({ datasets: { tank: { guid: "17" } } });
    await expect(destroyDataset(fake.zfs, parseDatasetName("tank"), guid, { signal: never })).rejects.toMatchObject({ code: "usage" });
    expect(fake.calls()).toEqual([]);
  });

  it("is content when it is gone already", async () => {
    await destroyDataset(fakeZfs({ datasets: {} }).zfs, name, guid, { signal: never });
  });

  it("says that it is busy when a snapshot is held", async () => {
    const { zfs } = fakeZfs({ datasets: { "tank/a": { guid: "17", snapshots: { s1: { holds: ["keep"] } } } } });
    await expect(destroyDataset(zfs, name, guid, { signal: never })).rejects.toMatchObject({ code: "zfs-busy" });
  });
});
