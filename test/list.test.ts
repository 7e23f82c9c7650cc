import { describe, expect, it } from "vitest";
import type { BackupEntry } from "../src/format/entry.ts";
import { manifestKey } from "../src/format/layout.ts";
import { baseOf, chainTo, list } from "../src/list.ts";
import { updateStoreState } from "../src/state.ts";
import { MemoryStore } from "../src/store/memory.ts";
import { type Guid, parseDatasetName, parseSnapshotName } from "../src/zfs/names.ts";
import { ownFolder } from "./folder.ts";
import * as golden from "./format/sealing.ts";

const { signal } = new AbortController();

/** A backup of the snapshot with guid `of`, taken against the one with guid `from`, which it says is `base`. */
function entry(name: string, of: number, from: number | null = null, base: string | null = null): BackupEntry {
  return {
    backup: parseSnapshotName(name),
    kind: from === null ? "full" : "incremental",
    attempt: "00000000",
    guid: BigInt(of) as Guid,
    createdAt: new Date(of),
    base: from === null ? null : { guid: BigInt(from) as Guid, backup: base === null ? null : parseSnapshotName(base) },
    streamKind: "single",
    streamBytes: 1,
    messageBytes: 1,
    chunkCount: 1,
    packet: "ocb",
    flags: null,
    featureFlags: "0x4",
    committedAt: new Date(0),
    sha256: null,
  };
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
});

describe("a listing", () => {
  async function store(): Promise<MemoryStore> {
    const memory = new MemoryStore();
    const put = async (name: string, members: Record<string, unknown>): Promise<void> => {
      const backup = parseSnapshotName(name);
      const bytes = golden.sealMembers({ ...golden.goldenMembers(), ...members, backup });
      await memory.put(manifestKey(backup), bytes, { when: "create", signal });
    };
    const { snapshot } = golden.goldenMembers();
    const of = (guid: string): Record<string, unknown> => ({ snapshot: { ...(snapshot as object), guid } });
    await put("tank/moved@a", of("1"));
    await put("tank/home@b", { ...of("2"), kind: "incremental", base: { guid: "1", backup: null } });
    await put("tank/home@c", { ...of("3"), kind: "incremental", base: { guid: "7", backup: null } });
    for (const name of ["tank/home@broken", "tank/moved@broken"]) {
      await memory.put(manifestKey(parseSnapshotName(name)), golden.broken("bit-flip.json"), { when: "create", signal });
    }
    return memory;
  }

  const options = { stateDir: null, warn: (): void => undefined, signal };

  it("says of every backup whether it can be restored, or why not", async () => {
    const { backups, damaged } = await list(await store(), { ...options, dataset: null });
    const obstacles = Object.fromEntries(backups.map(({ entry: { backup }, obstacle }) => [backup, obstacle]));
    expect(obstacles).toEqual({
      "tank/moved@a": null,
      "tank/home@b": null,
      "tank/home@c": "its base, the snapshot with guid 7, is not in the store",
    });
    expect(damaged).toHaveLength(2);
  });

  it("says when the manifest that is there was last verified, and of another version nothing", async () => {
    const [memory, stateDir] = [await store(), ownFolder()];
    const key = manifestKey(parseSnapshotName("tank/home@b"));
    const etag = (await memory.head(key, { signal }))?.etag ?? "";
    const at = new Date("2026-11-21T02:00:00Z");
    const result = { at, findingCount: 0, findings: [] };
    await updateStoreState(stateDir, memory.url, (state) => {
      state.verified = { [key]: { digest: { ...result, etag }, stream: { ...result, etag: "of another" } } };
    });
    const { backups } = await list(memory, { ...options, stateDir, dataset: parseDatasetName("tank/home") });
    expect(backups.map(({ verified }) => verified?.level ?? null)).toEqual(["digest", null]);
  });

  it("of one dataset shows that one alone, and finds bases that lie elsewhere", async () => {
    const { backups, damaged } = await list(await store(), { ...options, dataset: parseDatasetName("tank/home") });
    expect(backups.map(({ entry: { backup }, obstacle }) => [backup, obstacle === null])).toEqual([
      ["tank/home@b", true],
      ["tank/home@c", false],
    ]);
    expect(damaged.map(({ key }) => key)).toEqual(["manifests/tank/home@broken.json"]);
  });
});
