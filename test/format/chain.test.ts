import { describe, expect, it } from "vitest";
import { baseOf, candidatesFor, chainTo } from "../../src/format/chain.ts";
import type { BackupEntry } from "../../src/format/entry.ts";
import { type Guid, parseSnapshotName } from "../../src/zfs/names.ts";
import { backupEntry } from "../entries.ts";

/** A backup of the snapshot with guid `of`, taken against the one with guid `from`, which it says is `baseName`. */
function entry(name: string, of: number, from: number | null = null, baseName: string | null = null): BackupEntry {
  const base = from === null ? null : { guid: BigInt(from) as Guid, backup: baseName === null ? null : parseSnapshotName(baseName) };
  return backupEntry({ backup: parseSnapshotName(name), guid: BigInt(of) as Guid, createdAt: new Date(of), base });
}

function chainNames(wanted: BackupEntry, backups: readonly BackupEntry[]): string[] | string {
  const chain = chainTo(wanted, { backups });
  return typeof chain === "string" ? chain : chain.map(({ backup }) => backup);
}

describe("the way to a backup", () => {
  const [full, first, second] = [entry("t@a", 1), entry("t@b", 2, 1, "t@a"), entry("t@c", 3, 2, "t@b")];

  it.for([
    ["a full is the full alone", full, [full, first], ["t@a"]],
    ["an incremental begins with its full", first, [first, full], ["t@a", "t@b"]],
    ["an increment of an increment goes over it", second, [second, full, first], ["t@a", "t@b", "t@c"]],
  ] as const)("%s", ([, wanted, backups, names]) => {
    expect(chainNames(wanted, backups)).toEqual(names);
  });

  it("is found by guid although the base has another name", () => {
    const renamed = entry("t@renamed", 1);
    expect(chainNames(first, [renamed, first])).toEqual(["t@renamed", "t@b"]);
  });

  it("ends at a base that is not there, and says which", () => {
    expect(chainNames(first, [first])).toBe("its base, the snapshot with guid 1, is not in the store");
    expect(chainNames(second, [second, first])).toBe("its base, the snapshot with guid 1, is not in the store");
  });

  it("is none when another snapshot has the base's name", () => {
    expect(chainNames(first, [entry("t@a", 9), first])).toBe("its base, the snapshot with guid 1, is not in the store");
  });

  it("is none when the bases form a circle", () => {
    const [one, other] = [entry("t@x", 1, 2), entry("t@y", 2, 1)];
    expect(chainNames(one, [one, other])).toBe("its bases form a circle");
    expect(chainNames(entry("t@x", 1, 1), [entry("t@x", 1, 1)])).toBe("its base, the snapshot with guid 1, is not in the store");
  });
});

describe("of several backups of the base's snapshot", () => {
  const wanted = entry("t@b", 2, 1, "u@a");
  const [named, inDataset, elsewhere] = [entry("u@a", 1), entry("t@z", 1), entry("s@a", 1)];

  it.for([
    ["the one the manifest names comes first", [elsewhere, inDataset, named], "u@a"],
    ["then one of the same dataset", [elsewhere, inDataset], "t@z"],
    ["then any", [elsewhere], "s@a"],
  ] as const)("%s", ([, backups, name]) => {
    expect(baseOf(wanted, { backups })?.backup).toBe(name);
  });

  it("and all of them are candidates, the backup itself is none", () => {
    const same = entry("t@b", 1, 1);
    expect(candidatesFor(same, { backups: [elsewhere, same, inDataset] })).toEqual([elsewhere, inDataset]);
    expect(candidatesFor(inDataset, { backups: [elsewhere, inDataset] })).toEqual([]);
  });
});
