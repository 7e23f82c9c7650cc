import { describe, expect, it } from "vitest";
import { type BackupEntry, byAge, datasetOfEntry, entryOf, entrySchema } from "../../src/format/entry.ts";
import { parseManifest } from "../../src/format/manifest.ts";
import { parseSnapshotName } from "../../src/zfs/names.ts";
import { goldenBackup, goldenKeyed, goldenUnkeyed } from "./sealing.ts";

const full = entryOf(parseManifest(goldenKeyed, "key", goldenBackup));
const incremental = entryOf(parseManifest(goldenUnkeyed, "key", parseSnapshotName("tank/home@golden-2")));

function asJson(entry: BackupEntry): Record<string, unknown> {
  const text = JSON.stringify(entry, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  return JSON.parse(text) as Record<string, unknown>;
}

describe("the short form of a manifest", () => {
  it("says what planning, listing and restoring need", () => {
    expect(full).toEqual({
      backup: "tank/home@golden",
      kind: "full",
      attempt: "5d0c9f3a",
      guid: 18446744073709551557n,
      createdAt: new Date("2026-11-21T02:00:00Z"),
      base: null,
      streamKind: "single",
      streamBytes: 19000,
      messageBytes: 20000,
      chunkCount: 3,
      packet: "ocb",
      flags: ["-L", "-c"],
      featureFlags: "0x4c0004",
      committedAt: new Date("2026-11-21T02:00:09.500Z"),
      sha256: "077aa71da88bff6c4a2cb9e464e2f7ebdde2d5d8a5754512d2223c82461e1697",
      isImported: false,
    });
    expect(datasetOfEntry(full)).toBe("tank/home");
  });

  it.for([
    ["a full", full],
    ["an incremental", incremental],
    ["an incremental whose base is in no backup", { ...incremental, base: { guid: full.guid, backup: null } }],
  ] as const)("of %s is the same after its way through JSON", ([, entry]) => {
    expect(entrySchema.parse(asJson(entry))).toEqual(entry);
  });

  it("of an older version, which did not remember the SHA-256 of the manifest nor whether it was imported, is one", () => {
    const { sha256, isImported, ...older } = asJson(full);
    expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(isImported).toBe(false);
    expect(entrySchema.parse(older)).toEqual({ ...full, sha256: null, isImported: undefined });
  });

  it.for(Object.keys(full).filter((member) => !["sha256", "isImported"].includes(member)))("is no short form without %s", (member) => {
    const json = asJson(full);
    expect(entrySchema.safeParse(json).success).toBe(true);
    expect(entrySchema.safeParse(Object.fromEntries(Object.entries(json).filter(([name]) => name !== member))).success).toBe(false);
  });

  it.for([
    ["backup", "no snapshot"],
    ["guid", "0"],
    ["guid", "x"],
    ["createdAt", "now"],
    ["packet", "zip"],
    ["base", { guid: "-1", backup: null }],
  ] as const)("is refused with %s as %j", ([member, value]) => {
    expect(() => entrySchema.parse({ ...asJson(full), [member]: value })).toThrow();
  });
});

describe("the order of backups", () => {
  const at = (name: string, day: number): BackupEntry => ({
    ...full,
    backup: parseSnapshotName(name),
    createdAt: new Date(Date.UTC(2026, 0, day)),
  });

  it("is by the time of the snapshot, whatever the names", () => {
    const [c, a, b] = [at("t@a", 3), at("t@c", 1), at("t@b", 2)];
    expect([c, a, b].sort(byAge)).toEqual([a, b, c]);
  });

  it("is by name for snapshots of one moment", () => {
    const [a, b] = [at("t@a", 1), at("t@b", 1)];
    expect([b, a].sort(byAge)).toEqual([a, b]);
    expect([a, b].sort(byAge)).toEqual([a, b]);
  });
});
