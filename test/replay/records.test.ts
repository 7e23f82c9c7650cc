import { describe, expect, it } from "vitest";
import {
  byteOrderOf,
  couldBegin,
  namesOfFeatures,
  payloadLengthOf,
  readBegin,
  recordTypes,
  typeOf,
} from "../../src/replay/records.ts";
import { begin, record, swapped, type } from "./forge.ts";
import type { Piece } from "./forge.ts";

const viewOf = (piece: Piece): DataView => new DataView(piece.record.buffer);

describe("a BEGIN record", () => {
  const fields = { flags: (1n << 24n) | 4n, fromGuid: (1n << 63n) + 1n, toGuid: (1n << 64n) - 1n, toName: "tank/ä@s1" };

  it.for(["little", "big"] as const)("reads the same from a %s-endian machine", (byteOrder) => {
    const piece = byteOrder === "little" ? begin(fields) : swapped(begin(fields));
    expect(byteOrderOf(viewOf(piece))).toBe(byteOrder);
    expect(readBegin(viewOf(piece), byteOrder)).toEqual({
      headerType: 1,
      featureFlags: fields.flags,
      creationSeconds: 1_700_000_000n,
      objectSetType: 2,
      toGuid: fields.toGuid,
      fromGuid: fields.fromGuid,
      toName: "tank/ä@s1",
    });
  });

  it("keeps a name that fills its field to the last byte", () => {
    const toName = `tank/${"n".repeat(249)}@s`;
    expect(readBegin(viewOf(begin({ toName })), "little").toName).toBe(toName);
  });

  it("is known by its type and magic number, whole or in part", () => {
    const bytes = begin().record;
    for (const length of [0, 1, 8, 15, 16, 311]) expect(couldBegin(bytes.subarray(0, length))).toBe(true);
    for (const at of [0, 3, 8, 15]) {
      const other = bytes.slice();
      other[at] = (other[at] ?? 0) ^ 1;
      expect(byteOrderOf(new DataView(other.buffer))).toBeNull();
      expect(couldBegin(other.subarray(0, 20))).toBe(false);
    }
  });
});

describe("feature flags", () => {
  it.for<[bigint, string[]]>([
    [0n, []],
    [4n, ["sa-spill"]],
    [0x1420004n, ["sa-spill", "lz4", "compressed", "raw"]],
    [(1n << 55n) | (1n << 5n) | (1n << 20n), ["bit-5", "resuming", "bit-55"]],
    [0x3fff0000n, [
      "embed-data", "lz4", "bit-18", "large-blocks", "resuming", "redacted", "compressed", "large-dnode", "raw", "zstd",
      "holds", "switch-to-large-blocks", "longname", "large-microzap",
    ]],
  ])("%s are named, the unknown ones by their bit", ([flags, names]) => {
    expect(namesOfFeatures(flags)).toEqual(names);
  });
});

describe("the payload of a record", () => {
  const rows: readonly [string, number, [offset: number, bits: 8 | 32 | 64, value: number][], number | null][] = [
    ["BEGIN: what its header says", type.begin, [[4, 32, 1028]], 1028],
    ["OBJECT: the bonus, rounded up to 8", type.object, [[28, 32, 169]], 176],
    ["OBJECT without a bonus: nothing", type.object, [], 0],
    ["raw OBJECT: the raw bonus as it is", type.object, [[28, 32, 168], [36, 32, 320]], 320],
    ["WRITE: the logical size", type.write, [[32, 64, 131072], [96, 64, 512]], 131072],
    ["compressed WRITE: the compressed size", type.write, [[32, 64, 131072], [50, 8, 15], [96, 64, 4608]], 4608],
    ["raw WRITE with compression off (2): the compressed size", type.write, [[50, 8, 2], [96, 64, 1024]], 1024],
    ["SPILL: its length", type.spill, [[16, 64, 512]], 512],
    ["raw SPILL: the compressed size", type.spill, [[16, 64, 1024], [40, 64, 512]], 512],
    ["WRITE_EMBEDDED: the real size, rounded up to 8", type.writeEmbedded, [[16, 64, 131072], [52, 32, 50]], 56],
    ["FREE: none", type.free, [[24, 64, 4096]], null],
    ["FREEOBJECTS: none", type.freeobjects, [[16, 64, 32]], null],
    ["WRITE_BYREF: none, whatever its length", type.writeByref, [[24, 64, 4096]], null],
    ["OBJECT_RANGE: none", type.objectRange, [[16, 64, 32]], null],
    ["REDACT: none", type.redact, [[24, 64, 4096]], null],
    ["END: none", type.end, [], null],
  ];

  it.for(rows)("of %s", ([, number, values, expected]) => {
    const piece = record(number, (view) => {
      for (const [offset, bits, value] of values) {
        if (bits === 8) view.setUint8(offset, value);
        else if (bits === 32) view.setUint32(offset, value, true);
        else view.setBigUint64(offset, BigInt(value), true);
      }
    });
    const name = typeOf(viewOf(piece), "little");
    if (name === null) throw new Error(`no type ${number}`);
    const wanted = expected === null ? undefined : BigInt(expected);
    expect(payloadLengthOf(name, viewOf(piece), "little")?.bytes).toBe(wanted);
    expect(payloadLengthOf(name, viewOf(swapped(piece)), "big")?.bytes).toBe(wanted);
    expect(name).toBe(recordTypes[number]);
    expect(typeOf(viewOf(swapped(piece)), "big")).toBe(name);
  });

  it("has a type only up to REDACT", () => {
    expect(typeOf(viewOf(record(10)), "little")).toBe("REDACT");
    expect(typeOf(viewOf(record(11)), "little")).toBeNull();
    expect(typeOf(viewOf(record(0xffffffff)), "little")).toBeNull();
  });
});
