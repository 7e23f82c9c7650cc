import { describe, expect, it } from "vitest";
import { listDatasets, readDataset } from "../../src/zfs/inventory.ts";
import { zfsThrough, type Zfs } from "../../src/zfs/command.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { fakeZfs, never } from "./fake.ts";

const tank = parseDatasetName("tsrc/x");

/** A zfs that prints these lines whatever it is asked. */
function printing(...lines: readonly string[]): Zfs {
  return zfsThrough(["printf", lines.map((line) => `${line}\n`).join(""), "--"], {});
}

/** As printed by OpenZFS 2.3.2 to the question of `readDataset`. */
const openZfs = [
  "tsrc/x\ttype\tfilesystem\t-",
  "tsrc/x\tguid\t7070064059481114849\t-",
  "tsrc/x\tcreatetxg\t27\t-",
  "tsrc/x\tcreation\t1795254437\t-",
  "tsrc/x\tuserrefs\t-\t-",
  "tsrc/x\tzferry:snapshot\t7\tlocal",
  "tsrc/x\tencryption\toff\tdefault",
  "tsrc/x@with space\ttype\tsnapshot\t-",
  "tsrc/x@with space\tguid\t15906234245724498336\t-",
  "tsrc/x@with space\tcreatetxg\t29\t-",
  "tsrc/x@with space\tcreation\t1795254438\t-",
  "tsrc/x@with space\tuserrefs\t0\t-",
  "tsrc/x@with space\tzferry:snapshot\t1\tlocal",
  "tsrc/x@with space\tencryption\toff\tdefault",
  "tsrc/x@s2\ttype\tsnapshot\t-",
  "tsrc/x@s2\tguid\t126736447481643048\t-",
  "tsrc/x@s2\tcreatetxg\t30\t-",
  "tsrc/x@s2\tcreation\t1795254438\t-",
  "tsrc/x@s2\tuserrefs\t1\t-",
  "tsrc/x@s2\tzferry:snapshot\t7\tinherited from tsrc/x",
  "tsrc/x@s2\tencryption\toff\tdefault",
  "tsrc/x#bm\ttype\tbookmark\t-",
  "tsrc/x#bm\tguid\t126736447481643048\t-",
  "tsrc/x#bm\tcreatetxg\t30\t-",
  "tsrc/x#bm\tcreation\t1795254438\t-",
  "tsrc/x#bm\tuserrefs\t-\t-",
  "tsrc/x#bm\tzferry:snapshot\t-\t-",
  "tsrc/x#bm\tencryption\t-\t-",
  "tsrc/x/child\ttype\tfilesystem\t-",
  "tsrc/x/child\tguid\t17499294139159311635\t-",
  "tsrc/x/child\tcreatetxg\t28\t-",
  "tsrc/x/child\tcreation\t1795254437\t-",
  "tsrc/x/child\tuserrefs\t-\t-",
  "tsrc/x/child\tzferry:snapshot\t7\tinherited from tsrc/x",
  "tsrc/x/child\tencryption\toff\tdefault",
];

const at = new Date(1_795_254_438_000);

describe("the inventory of a dataset", () => {
  it("has its snapshots and bookmarks with exact guids, and not its children", async () => {
    expect(await readDataset(printing(...openZfs), tank, { signal: never })).toEqual({
      name: "tsrc/x",
      type: "filesystem",
      encrypted: false,
      guid: 7070064059481114849n,
      snapshots: [
        { name: "tsrc/x@with space", guid: 15906234245724498336n, createTxg: 29n, createdAt: at, ours: true, mark: "1", userRefs: 0 },
        { name: "tsrc/x@s2", guid: 126736447481643048n, createTxg: 30n, createdAt: at, ours: false, mark: null, userRefs: 1 },
      ],
      bookmarks: [{ name: "tsrc/x#bm", guid: 126736447481643048n, createTxg: 30n, createdAt: at }],
    });
  });

  it("is in the order of createtxg, whatever zfs prints first", async () => {
    const swapped = [...openZfs.slice(0, 7), ...openZfs.slice(14, 21), ...openZfs.slice(7, 14)];
    const facts = await readDataset(printing(...swapped), tank, { signal: never });
    expect(facts?.snapshots.map(({ createTxg }) => createTxg)).toEqual([29n, 30n]);
  });

  it.for([
    ["aes-256-gcm", true],
    ["off", false],
    ["-", false],
  ] as const)("calls a dataset with encryption %s encrypted: %s", async ([value, encrypted]) => {
    const lines = openZfs.map((line) => line.replace("x\tencryption\toff", `x\tencryption\t${value}`));
    expect(await readDataset(printing(...lines), tank, { signal: never })).toMatchObject({ encrypted });
  });

  it("takes a mark that came with a stream for none of ours", async () => {
    const lines = openZfs.map((line) => line.replace("zferry:snapshot\t1\tlocal", "zferry:snapshot\t1\treceived"));
    const facts = await readDataset(printing(...lines), tank, { signal: never });
    expect(facts?.snapshots.map(({ ours }) => ours)).toEqual([false, false]);
  });

  it("is the same from a zfs that knows neither encryption nor bookmarks", async () => {
    const { zfs, calls } = fakeZfs({
      old: true,
      datasets: { "tsrc/x": { guid: "5", snapshots: { s1: { guid: "18446744073709551615", createtxg: "3" } } } },
    });
    expect(await readDataset(zfs, tank, { signal: never })).toMatchObject({
      encrypted: false,
      guid: 5n,
      snapshots: [{ name: "tsrc/x@s1", guid: 18446744073709551615n, createTxg: 3n }],
      bookmarks: [],
    });
    expect(calls()).toHaveLength(2);
  });

  it("is null when zfs looked and there is no such dataset", async () => {
    const { zfs } = fakeZfs({ datasets: { tsrc: {} } });
    expect(await readDataset(zfs, tank, { signal: never })).toBeNull();
  });

  it.for([
    ["zfs failed over something else", "cannot open 'tsrc/x/y': dataset does not exist", "zfs-not-found"],
    ["zfs may not look", "Permission denied the ZFS utilities must be run as root.", "zfs-permission"],
  ] as const)("is never null when %s", async ([, stderr, code]) => {
    const { zfs } = fakeZfs({ datasets: {}, faults: { get: { stderr } } });
    await expect(readDataset(zfs, tank, { signal: never })).rejects.toMatchObject({ code });
  });

  it.for([
    ["nothing", []],
    ["a line that is cut off", [...openZfs.slice(0, 6), "tsrc/x\tencr"]],
    ["a snapshot without its guid", openZfs.filter((line) => !line.startsWith("tsrc/x@s2\tguid"))],
    ["a guid that was rounded by a hand", openZfs.map((line) => line.replace("7070064059481114849", "7.07E18"))],
    ["a value with a line of its own in it", [...openZfs, "tsrc/x@s2\tzferry:snapshot\t1\tlocal"]],
    ["a type that nobody can send", openZfs.map((line) => line.replace("type\tfilesystem", "type\tvdev"))],
  ] as const)("fails when zfs prints %s", async ([, lines]) => {
    await expect(readDataset(printing(...lines), tank, { signal: never })).rejects.toMatchObject({ code: "zfs-failed" });
  });
});

describe("listing datasets", () => {
  it("names the root and everything below it", async () => {
    const { zfs } = fakeZfs({ datasets: { tank: {}, "tank/a": {}, "tank/a/b": {}, "tank/ab": {}, other: {} } });
    expect(await listDatasets(zfs, parseDatasetName("tank/a"), { signal: never })).toEqual(["tank/a", "tank/a/b"]);
  });

  it("fails when the root is not there", async () => {
    const { zfs } = fakeZfs({ datasets: { tank: {} } });
    await expect(listDatasets(zfs, tank, { signal: never })).rejects.toMatchObject({ code: "zfs-not-found" });
  });
});
