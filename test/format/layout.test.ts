import { describe, expect, it } from "vitest";
import * as layout from "../../src/format/layout.ts";
import { checkKey, compareKeys } from "../../src/store/keys.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";

const backup = parseSnapshotName("tank/home@zferry-20261121T020000Z");

describe("the keys of docs/format.md", () => {
  it("are those of its worked example", () => {
    const folder = "streams/tank/home@zferry-20261121T020000Z/5d0c9f3a/";
    expect(layout.manifestKey(backup)).toBe("manifests/tank/home@zferry-20261121T020000Z.json");
    expect(layout.attemptPrefix(backup, "5d0c9f3a")).toBe(folder);
    expect(layout.restoreNoteKey(backup, "5d0c9f3a")).toBe(`${folder}RESTORE.md`);
    const keys = [0, 1, 2].map((index) => layout.chunkKey(backup, "5d0c9f3a", "ocb", index));
    expect(keys).toEqual(["000000", "000001", "000002"].map((number) => `${folder}home@zferry-20261121T020000Z.zfs.gpg.${number}`));
  });

  it.for([
    ["ocb", "home@zferry-20261121T020000Z.zfs.gpg"],
    ["cfb", "home@zferry-20261121T020000Z.zfs.gpg"],
    ["rfc9580", "home@zferry-20261121T020000Z.zfs.gpg"],
    ["none", "home@zferry-20261121T020000Z.zfs"],
  ] as const)("name the chunks of packet %s %s", ([packet, stem]) => {
    expect(layout.chunkStem(backup, packet)).toBe(stem);
  });

  it("of a pool itself have the pool's name as the leaf", () => {
    expect(layout.chunkStem(parseSnapshotName("tank@monday"), "none")).toBe("tank@monday.zfs");
  });

  it("sort as their numbers do, up to the last chunk there may be", () => {
    const numbers = [0, 9, 10, 99, 100, 99_999, 100_000, layout.maxChunkCount - 1];
    const keys = numbers.map((index) => layout.chunkKey(backup, "00000000", "ocb", index));
    expect([...keys].sort(compareKeys)).toEqual(keys);
    expect(new Set(keys.map(({ length }) => length)).size).toBe(1);
  });

  it("are keys in every store, for the longest names ZFS has", () => {
    const longest = parseSnapshotName(`${"p".repeat(100)}/${"d".repeat(100)}@${"s".repeat(53)}`);
    expect(longest).toHaveLength(255);
    for (const key of [
      layout.manifestKey(longest),
      layout.restoreNoteKey(longest, "00000000"),
      layout.chunkKey(longest, "00000000", "ocb", 999_999),
    ]) {
      checkKey(key);
    }
  });
});

describe("the backup a manifest's key names", () => {
  it.for(["tank@a", "tank/home@monday", "tank/my data@a b", "a.json/b@c.json", "t/u@x:y_z-1.2%3"])("is found again for %s", (name) => {
    expect(layout.backupOfManifestKey(layout.manifestKey(parseSnapshotName(name)))).toBe(name);
  });

  it.for([
    "",
    "manifests/",
    "manifests/.json",
    "manifests/tank/home.json",
    "manifests/tank/home@monday",
    "manifests/tank/home@monday.JSON",
    "manifests/tank/home@.json",
    "manifests/@monday.json",
    "manifests//tank@monday.json",
    "manifests/tank/../x@monday.json",
    "manifests/tank@a@b.json",
    "streams/tank/home@monday.json",
    "other/manifests/tank/home@monday.json",
  ])('is none for "%s"', (key) => {
    expect(layout.backupOfManifestKey(key)).toBeNull();
  });
});

it("the manifests of a dataset are those of no other, however alike the names", () => {
  const prefix = layout.manifestsOf(parseDatasetName("tank/home"));
  const key = (name: string): string => layout.manifestKey(parseSnapshotName(name));
  expect(key("tank/home@a").startsWith(prefix)).toBe(true);
  for (const other of ["tank/home2@a", "tank/home/child@a", "tank/hom@a", "tank@home"]) {
    expect(key(other).startsWith(prefix), other).toBe(false);
  }
});

it("attempts are eight hex digits and never the same twice", () => {
  const attempts = Array.from({ length: 50 }, () => layout.newAttempt());
  expect(attempts.every((attempt) => /^[0-9a-f]{8}$/.test(attempt))).toBe(true);
  expect(new Set(attempts).size).toBe(50);
});
