import { describe, expect, it } from "vitest";
import { bookmark, destroyBookmark, hold, release } from "../../src/zfs/anchors.ts";
import { readDataset } from "../../src/zfs/inventory.ts";
import { parseBookmarkName, parseDatasetName, parseGuid, parseSnapshotName } from "../../src/zfs/names.ts";
import { fakeZfs, never, type FakeZfs } from "./fake.ts";

const s1 = parseSnapshotName("tank/a@s1");
const b1 = parseBookmarkName("tank/a#b1");
const guid = parseGuid("17");
const here = { "tank/a": { snapshots: { s1: { guid: "17" } } } };
const gone = { "tank/a": {} };

async function factsIn({ zfs }: FakeZfs): ReturnType<typeof readDataset> {
  return await readDataset(zfs, parseDatasetName("tank/a"), { signal: never });
}

describe("a hold", () => {
  it("can be put twice and released twice", async () => {
    const fake = fakeZfs({ datasets: here });
    await hold(fake.zfs, "zferry", s1, { signal: never });
    await hold(fake.zfs, "zferry", s1, { signal: never });
    expect(await factsIn(fake)).toMatchObject({ snapshots: [{ userRefs: 1 }] });
    await release(fake.zfs, "zferry", s1, { signal: never });
    await release(fake.zfs, "zferry", s1, { signal: never });
    expect(await factsIn(fake)).toMatchObject({ snapshots: [{ userRefs: 0 }] });
  });

  it("cannot be put on a snapshot that is gone", async () => {
    const { zfs } = fakeZfs({ datasets: gone });
    await expect(hold(zfs, "zferry", s1, { signal: never })).rejects.toMatchObject({ code: "zfs-not-found" });
  });

  it("counts as released when the snapshot is gone", async () => {
    const { zfs } = fakeZfs({ datasets: gone });
    await release(zfs, "zferry", s1, { signal: never });
  });

  it("does not count as released when the whole dataset is not there", async () => {
    const { zfs } = fakeZfs({ datasets: {} });
    await expect(release(zfs, "zferry", s1, { signal: never })).rejects.toMatchObject({ code: "zfs-not-found" });
  });

  it.for(["hold", "release"])("passes on any other complaint about %s", async (verb) => {
    const { zfs } = fakeZfs({ datasets: here, faults: { [verb]: { stderr: `cannot ${verb}: permission denied` } } });
    const act = verb === "hold" ? hold : release;
    await expect(act(zfs, "zferry", s1, { signal: never })).rejects.toMatchObject({ code: "zfs-permission" });
  });
});

describe("a bookmark", () => {
  it("is made once and found again", async () => {
    const fake = fakeZfs({ datasets: here });
    expect(await bookmark(fake.zfs, s1, b1, { signal: never })).toBe("made");
    expect(await bookmark(fake.zfs, s1, b1, { signal: never })).toBe("exists");
    expect(await factsIn(fake)).toMatchObject({ bookmarks: [{ name: "tank/a#b1", guid: 17n }] });
  });

  it("is refused when its name is taken by that of another snapshot", async () => {
    const { zfs } = fakeZfs({ datasets: { "tank/a": { ...here["tank/a"], bookmarks: { b1: { guid: "18" } } } } });
    await expect(bookmark(zfs, s1, b1, { signal: never })).rejects.toMatchObject({
      code: "zfs-failed",
      message: 'cannot bookmark "tank/a@s1": "tank/a#b1" is of another snapshot (guid 18)',
    });
  });

  it.for([
    ["the zfs", { old: true, datasets: here }],
    ["the pool", { datasets: here, faults: { bookmark: { stderr: "cannot create bookmark 'b': bookmark feature not enabled" } } }],
  ] as const)("is unsupported where %s has none", async ([, state]) => {
    expect(await bookmark(fakeZfs(state).zfs, s1, b1, { signal: never })).toBe("unsupported");
  });

  it("needs its snapshot", async () => {
    const { zfs } = fakeZfs({ datasets: gone });
    await expect(bookmark(zfs, s1, b1, { signal: never })).rejects.toMatchObject({ code: "zfs-not-found" });
  });

  it("is destroyed, and destroying it again changes nothing", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": { bookmarks: { b1: { guid: "17" } } } } });
    await destroyBookmark(fake.zfs, b1, guid, { signal: never });
    await destroyBookmark(fake.zfs, b1, guid, { signal: never });
    expect(await factsIn(fake)).toMatchObject({ bookmarks: [] });
  });

  it("is not destroyed when it has another guid", async () => {
    const fake = fakeZfs({ datasets: { "tank/a": { bookmarks: { b1: { guid: "18" } } } } });
    await expect(destroyBookmark(fake.zfs, b1, guid, { signal: never })).rejects.toThrow("its guid is 18, not 17");
    expect(await factsIn(fake)).toMatchObject({ bookmarks: [{ guid: 18n }] });
  });
});
