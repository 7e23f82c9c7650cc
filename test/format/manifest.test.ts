import { describe, expect, it } from "vitest";
import { isZferryError } from "../../src/errors.ts";
import { type ParsedManifest, parseManifest, sealManifest } from "../../src/format/manifest.ts";
import { parseSnapshotName } from "../../src/zfs/names.ts";
import * as golden from "./sealing.ts";

const key = "manifests/tank/home@golden.json";

function parse(bytes: Buffer): ParsedManifest {
  return parseManifest(bytes, key, golden.goldenBackup);
}

/** `code: message` of what reading the bytes and checking the seal throws; "" when it succeeds. */
function refusal(bytes: Buffer, hmacKey: Buffer | null = golden.goldenHmacKey): string {
  try {
    const parsed = parse(bytes);
    if (hmacKey !== null) parsed.checkSeal(hmacKey);
    return "";
  } catch (error) {
    if (isZferryError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
}

const damaged = (why: string): string => `manifest-invalid: manifest "${key}" is damaged: ${why}`;

describe("a golden manifest of version 1", () => {
  it("is read as what it says, identities as bigint and times as Date", () => {
    const { manifest, isKeyed } = parse(golden.goldenKeyed);
    expect(isKeyed).toBe(true);
    expect(manifest).toMatchObject({
      format: 1,
      backup: "tank/home@golden",
      kind: "full",
      attempt: "5d0c9f3a",
      snapshot: { guid: 18446744073709551557n, createTxg: 9007199254740993n, createdAt: new Date("2026-11-21T02:00:00Z") },
      base: null,
      stream: { sizeBytes: 19000, recordCount: 42, kind: "single", featureFlags: "0x4c0004", flags: ["-L", "-c"] },
      encryption: { packet: "ocb", keyCheck: "29914f929be80c00" },
      messageBytes: 20000,
      chunkBytes: 8192,
      markBytes: 4096,
      startedAt: new Date("2026-11-21T02:00:01.250Z"),
      committedAt: new Date("2026-11-21T02:00:09.500Z"),
      writer: "zferry 0.1.0",
    });
    expect(manifest.chunks.map(({ sizeBytes, marks }) => [sizeBytes, marks.length])).toEqual([[8192, 1], [8192, 1], [3616, 0]]);
  });

  it("has a seal its key fits", () => {
    expect(refusal(golden.goldenKeyed)).toBe("");
  });

  it("is written again byte for byte", () => {
    expect(sealManifest(parse(golden.goldenKeyed).manifest, golden.goldenHmacKey).toString()).toBe(golden.goldenKeyed.toString());
  });

  it("without a key is read and written the same way, and no key ever fits it", () => {
    const backup = parseSnapshotName("tank/home@golden-2");
    const parsed = parseManifest(golden.goldenUnkeyed, key, backup);
    expect(parsed.isKeyed).toBe(false);
    expect(parsed.manifest).toMatchObject({
      kind: "incremental",
      snapshot: { guid: 1n, createTxg: null },
      base: { guid: 18446744073709551557n, backup: "tank/home@golden" },
      stream: { flags: null },
      encryption: { packet: "none", sessionKeyPackets: null, keyCheck: null },
    });
    expect(sealManifest(parsed.manifest, null).toString()).toBe(golden.goldenUnkeyed.toString());
    expect(() => {
      parsed.checkSeal(golden.goldenHmacKey);
    }).toThrow(/changed by someone without the key/);
  });
});

describe("the seal", () => {
  it("does not fit another key", () => {
    for (let bit = 0; bit < 256; bit += 17) {
      const other = Buffer.from(golden.goldenHmacKey);
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(refusal(golden.goldenKeyed, other)).toBe(
        damaged("it was changed by someone without the key: its seal does not match its content"),
      );
    }
  });

  it("of someone without the key is found, although the sum is right", () => {
    const forged = golden.sealMembers(golden.withMember("stream.sizeBytes", 1), { key: Buffer.alloc(32) });
    expect(refusal(forged, null)).toBe("");
    expect(refusal(forged)).toMatch(/^manifest-invalid: .* changed by someone without the key/);
  });

  it("that was taken away is found by whoever asks for it", () => {
    expect(refusal(golden.sealMembers(golden.goldenMembers(), { key: null }))).toMatch(/changed by someone without the key/);
  });
});

describe("damage", () => {
  it("of any single bit is found", () => {
    const bytes = Buffer.from(golden.goldenKeyed);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const [at, flip] = [bit >> 3, 1 << (bit & 7)];
      const was = bytes[at] ?? 0;
      bytes[at] = was ^ flip;
      const found = refusal(bytes);
      if (!found.startsWith("manifest-invalid: ")) throw new Error(`bit ${flip} of byte ${at}: "${found}"`);
      bytes[at] = was;
    }
    expect(refusal(bytes)).toBe("");
  });

  it("of any single byte is found, whatever it became", () => {
    const bytes = Buffer.from(golden.goldenKeyed);
    for (let at = 0; at < bytes.length; at++) {
      const was = bytes[at] ?? 0;
      for (const becomes of [0x00, 0x0a, 0x20, 0x22, 0x30, 0x31, 0x32, 0x7d, 0xff, was + 1, was - 1]) {
        if ((becomes & 0xff) === was) continue;
        bytes[at] = becomes;
        const found = refusal(bytes);
        if (!found.startsWith("manifest-invalid: ")) throw new Error(`byte ${at} as ${becomes}: "${found}"`);
      }
      bytes[at] = was;
    }
    expect(refusal(bytes)).toBe("");
  });

  it("by cutting it off anywhere is found", () => {
    for (let length = 0; length < golden.goldenKeyed.length; length++) {
      expect(refusal(golden.goldenKeyed.subarray(0, length))).toBe(damaged("its seal is missing or malformed"));
    }
  });

  it("of both version numbers alike is a newer format and nothing else", () => {
    for (const version of ["2", "3", "9", "10", "99999"]) {
      const text = golden.goldenKeyed.toString().replace('"format": 1,', `"format": ${version},`).replace('"v1:', `"v${version}:`);
      expect(refusal(Buffer.from(text))).toBe(`format-too-new: manifest "${key}" has format ${version}, newer than 1`);
    }
  });
});

const expectedRefusals: Readonly<Record<string, string>> = {
  "bit-flip.json": damaged("its checksum does not match its content"),
  "crlf.json": damaged("its seal is missing or malformed"),
  "empty.json": damaged("its seal is missing or malformed"),
  "format-not-first.json": damaged("its two version numbers disagree"),
  "malformed-seal.json": damaged("its seal is missing or malformed"),
  "newer.json": `format-too-new: manifest "${key}" has format 2, newer than 1`,
  "newer-with-another-seal.json": `format-too-new: manifest "${key}" has format 2, newer than 1`,
  "no-seal.json": damaged("its seal is missing or malformed"),
  "not-json.json": damaged("it is not JSON"),
  "other-backup.json": damaged('it is the manifest of "tank/home@silver"'),
  "seal-in-the-middle.json": damaged("its seal is missing or malformed"),
  "swapped-content-and-seal.json": damaged("its checksum does not match its content"),
  "trailing-newline.json": damaged("its seal is missing or malformed"),
  "truncated-by-one.json": damaged("its seal is missing or malformed"),
  "truncated.json": damaged("its seal is missing or malformed"),
  "version-zero.json": damaged("its seal is missing or malformed"),
  "versions-disagree-2.json": damaged("its two version numbers disagree"),
  "versions-disagree.json": damaged("its two version numbers disagree"),
};

describe("a broken manifest", () => {
  it("is expected for every file there is", () => {
    expect(Object.keys(expectedRefusals).sort()).toEqual(golden.brokenNames());
  });

  it.for(Object.entries(expectedRefusals))("in %s is refused with the right words", ([name, words]) => {
    expect(refusal(golden.broken(name)).slice(0, words.length)).toBe(words);
  });

  it("comes with a hint that says where a good one may be", () => {
    expect(() => parse(golden.broken("bit-flip.json"))).toThrow(
      expect.objectContaining({ hint: "restore this manifest from a second copy of the store, or use another backup" }),
    );
  });
});

const everyMember = [
  "backup",
  "kind",
  "attempt",
  "snapshot",
  "base",
  "stream",
  "encryption",
  "messageBytes",
  "chunkBytes",
  "markBytes",
  "chunks",
  "startedAt",
  "committedAt",
  "writer",
  "snapshot.guid",
  "snapshot.createTxg",
  "snapshot.createdAt",
  "stream.sizeBytes",
  "stream.recordCount",
  "stream.kind",
  "stream.featureFlags",
  "stream.flags",
  "encryption.packet",
  "encryption.sessionKeyPackets",
  "encryption.keyCheck",
  "chunks.0.sizeBytes",
  "chunks.0.sha256",
  "chunks.0.marks",
];

/** Path, a value that is wrong there, and the member or the disagreement that must be named. */
const violations: readonly (readonly [path: string, value: unknown, named: string])[] = [
  ["format", "1", "its two version numbers disagree"],
  ["format", 1.5, "its two version numbers disagree"],
  ["backup", "tank/home", 'member "backup"'],
  ["backup", "tank/home@", 'member "backup"'],
  ["kind", "differential", 'member "kind"'],
  ["attempt", "5D0C9F3A", 'member "attempt"'],
  ["attempt", "5d0c9f3", 'member "attempt"'],
  ["attempt", "../../..", 'member "attempt"'],
  ["attempt", "5d0c9f3a\n", 'member "attempt"'],
  ["snapshot.guid", 5, 'member "snapshot.guid"'],
  ["snapshot.guid", "", 'member "snapshot.guid"'],
  ["snapshot.guid", "-1", 'member "snapshot.guid"'],
  ["snapshot.guid", "007", 'member "snapshot.guid"'],
  ["snapshot.guid", "0x10", 'member "snapshot.guid"'],
  ["snapshot.guid", "0", 'member "snapshot.guid"'],
  ["snapshot.guid", "18446744073709551616", 'member "snapshot.guid"'],
  ["snapshot.createTxg", "18446744073709551616", 'member "snapshot.createTxg"'],
  ["snapshot.createdAt", "yesterday", 'member "snapshot.createdAt"'],
  ["snapshot.createdAt", "2026-11-21T02:00:00", 'member "snapshot.createdAt"'],
  ["snapshot.createdAt", "2026-11-21T02:00:00+01:00", 'member "snapshot.createdAt"'],
  ["snapshot.createdAt", "2026-02-30T02:00:00Z", 'member "snapshot.createdAt"'],
  ["snapshot.createdAt", null, 'member "snapshot.createdAt"'],
  ["stream.sizeBytes", 0, 'member "stream.sizeBytes"'],
  ["stream.sizeBytes", -1, 'member "stream.sizeBytes"'],
  ["stream.sizeBytes", 1.5, 'member "stream.sizeBytes"'],
  ["stream.sizeBytes", 2 ** 53, 'member "stream.sizeBytes"'],
  ["stream.sizeBytes", 1e300, 'member "stream.sizeBytes"'],
  ["stream.recordCount", 0, 'member "stream.recordCount"'],
  ["stream.kind", "package", 'member "stream.kind"'],
  ["stream.featureFlags", "4c0004", 'member "stream.featureFlags"'],
  ["stream.featureFlags", "0x", 'member "stream.featureFlags"'],
  ["stream.featureFlags", "0x11112222333344445", 'member "stream.featureFlags"'],
  ["stream.flags", ["-L", 1], 'member "stream.flags.1"'],
  ["encryption.packet", "pgp", 'member "encryption.packet"'],
  ["encryption.sessionKeyPackets", "not base64!", 'member "encryption.sessionKeyPackets"'],
  ["encryption.keyCheck", "29914f929be80c0", 'member "encryption.keyCheck"'],
  ["chunks", [], 'member "chunks"'],
  ["chunks.1", null, 'member "chunks.1"'],
  ["chunks.0.sizeBytes", 0, 'member "chunks.0.sizeBytes"'],
  ["chunks.0.sizeBytes", 2 ** 53, 'member "chunks.0.sizeBytes"'],
  ["chunks.0.sha256", "AA".repeat(32), 'member "chunks.0.sha256"'],
  ["chunks.0.marks", ["aa"], 'member "chunks.0.marks.0"'],
  ["messageBytes", 0, 'member "messageBytes"'],
  ["chunkBytes", 0, 'member "chunkBytes"'],
  ["markBytes", 0, 'member "markBytes"'],
  // What the members say together.
  ["kind", "incremental", "an incremental backup without a base"],
  ["base", { guid: "1", backup: null }, "a full backup with a base"],
  ["base", { backup: null }, 'member "base.guid"'],
  ["base", { guid: "1", backup: "x" }, 'member "base.backup"'],
  ["markBytes", 4095, "its chunk size is not a multiple of its mark distance"],
  ["markBytes", 16384, "its chunk size is not a multiple of its mark distance"],
  ["markBytes", 8192, "marks of chunk 0"],
  ["markBytes", 2048, "marks of chunk 0"],
  ["encryption.keyCheck", null, "half a session key"],
  ["encryption.sessionKeyPackets", null, "half a session key"],
  ["encryption", { packet: "ocb", sessionKeyPackets: null, keyCheck: null }, "encrypted without a session key"],
  ["messageBytes", 19999, "the sizes of its chunks do not add up"],
  ["messageBytes", 20001, "the sizes of its chunks do not add up"],
  ["chunks.0.sizeBytes", 8191, "size of chunk 0"],
  ["chunks.0.sizeBytes", 8193, "size of chunk 0"],
  ["chunks.2.sizeBytes", 8193, "size of chunk 2"],
  ["chunks.2.sizeBytes", 4097, "marks of chunk 2"],
  ["chunks.2.sizeBytes", 3617, "the sizes of its chunks do not add up"],
  ["chunks.0.marks", [], "marks of chunk 0"],
  ["chunks.2.marks", ["a".repeat(64)], "marks of chunk 2"],
];

describe("a manifest that is sealed as it should be and says nonsense", () => {
  it.for(violations)("with %s as %j is refused: %s", ([path, value, named]) => {
    const words = damaged(named);
    expect(refusal(golden.sealMembers(golden.withMember(path, value))).slice(0, words.length)).toBe(words);
  });

  it.for(everyMember)("without %s, or with a boolean in its place, is refused by that name", (path) => {
    for (const value of [undefined, false]) {
      const words = damaged(`member "${path}": `);
      expect(refusal(golden.sealMembers(golden.withMember(path, value))).slice(0, words.length)).toBe(words);
    }
  });

  it("is never taken for a list, a text or nothing", () => {
    for (const body of ['{"format":1,"a":[1', '{"format":1,"a":', '{"format":1,', '{"format":1,}']) {
      expect(refusal(golden.sealText(body))).toMatch(/^manifest-invalid: .* it is not JSON/);
    }
  });
});

describe("a manifest of more values than its length has room for", () => {
  /** Sealed like any other, with 16,000 bytes of `token` and white space in a member nobody knows; `count` of them. */
  function crowded(token: string, count: number): Buffer {
    const text = JSON.stringify(golden.goldenMembers()).slice(0, -1);
    return golden.sealText(`${text},"later":"${token.repeat(count).padEnd(16_000)}"`);
  }
  const most = (bytes: Buffer): number => 1000 + Math.floor(bytes.length / 16);
  const countIn = (bytes: Buffer): number => bytes.filter((byte) => "[{,".includes(String.fromCharCode(byte))).length;

  it.for(["[", "{", ","])("is refused before it is parsed, whichever of them begin: %s", (token) => {
    const room = most(crowded(token, 0)) - countIn(crowded(token, 0));
    expect(refusal(crowded(token, room))).toBe("");
    expect(refusal(crowded(token, room + 1))).toMatch(/^manifest-invalid: .* it has more values than a manifest of its length/);
  });

  it("is not one of a hundred thousand chunks of one byte, without marks and laid out as closely as can be", () => {
    const count = 100_000;
    const chunk = { sizeBytes: 1, sha256: "0".repeat(64), marks: [] };
    const chunks = Array.from({ length: count }, () => chunk);
    const bytes = golden.sealMembers({ ...golden.goldenMembers(), chunks, chunkBytes: 1, markBytes: 1, messageBytes: count });
    expect(parse(bytes).manifest.chunks).toHaveLength(count);
  });
});

describe("a reader of version 1", () => {
  it("ignores members it does not know, at any depth", () => {
    const members = { ...golden.withMember("stream.hint", 7), later: { than: ["version", 1] } };
    expect(parse(golden.sealMembers(members)).manifest).toEqual(parse(golden.goldenKeyed).manifest);
  });

  it("does not care how the JSON is laid out", () => {
    for (const indent of [undefined, 1, 2, "\t"]) {
      const text = JSON.stringify(golden.goldenMembers(), null, indent).replace(/\n?}$/, "");
      expect(parse(golden.sealText(text)).manifest).toEqual(parse(golden.goldenKeyed).manifest);
    }
  });

  it.for([
    ["snapshot.guid", "1"],
    ["snapshot.guid", "18446744073709551615"],
    ["snapshot.createTxg", null],
    ["snapshot.createTxg", "0"],
    ["stream.sizeBytes", Number.MAX_SAFE_INTEGER],
    ["stream.featureFlags", "0xffffffffffffffff"],
    ["stream.flags", []],
    ["snapshot.createdAt", "1970-01-01T00:00:00.000Z"],
    ["writer", ""],
  ] as const)("takes %s as %j", ([path, value]) => {
    expect(refusal(golden.sealMembers(golden.withMember(path, value)))).toBe("");
  });
});
