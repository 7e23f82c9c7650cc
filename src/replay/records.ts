/**
 * The records of a ZFS send stream: names, layout, length of what follows them (OpenZFS `include/sys/zfs_ioctl.h`,
 * `dmu_replay_record`; kept since 2005, new fields went into padding).
 *
 * A record is 312 bytes, in the byte order of the machine that sent it, and may be followed by a payload. This file
 * knows one record at a time; `walk.ts` knows which may follow which.
 */
import { KiB, MiB } from "../bytes.ts";
import type { ByteOrder } from "./fletcher4.ts";

/** `sizeof (dmu_replay_record_t)`. */
export const recordBytes = 312;
/** Where the running checksum stands in every record but BEGIN: its last 32 bytes. It covers all that precedes it. */
export const checksumOffset = recordBytes - 32;
/** Where END has the checksum of everything before END. */
export const endChecksumOffset = 8;

/** Record types in the order of their numbers, without `DRR_`. */
export const recordTypes = [
  "BEGIN",
  "OBJECT",
  "FREEOBJECTS",
  "WRITE",
  "FREE",
  "END",
  "WRITE_BYREF",
  "SPILL",
  "WRITE_EMBEDDED",
  "OBJECT_RANGE",
  "REDACT",
] as const;
export type RecordType = (typeof recordTypes)[number];

/** `DMU_BACKUP_MAGIC`, which also tells the byte order. */
const magic = 0x2f5bacbacn;

/** Names of the feature flags by bit; 3–15 are vendors' own, 18 is Delphix's, the rest is not taken yet. */
const featureNames = new Map<number, string>([
  [0, "dedup"],
  [1, "dedup-props"],
  [2, "sa-spill"],
  [16, "embed-data"],
  [17, "lz4"],
  [19, "large-blocks"],
  [20, "resuming"],
  [21, "redacted"],
  [22, "compressed"],
  [23, "large-dnode"],
  [24, "raw"],
  [25, "zstd"],
  [26, "holds"],
  [27, "switch-to-large-blocks"],
  [28, "longname"],
  [29, "large-microzap"],
]);
export type Feature = "resuming" | "redacted" | "raw" | "compressed" | "embed-data" | "large-blocks" | "dedup";

/** `["sa-spill", "compressed", "bit-40"]`: the set bits by name, unknown ones by number. */
export function namesOfFeatures(flags: bigint): readonly string[] {
  return Array.from({ length: 56 }, (_, bit) => bit)
    .filter((bit) => ((flags >> BigInt(bit)) & 1n) === 1n)
    .map((bit) => featureNames.get(bit) ?? `bit-${bit}`);
}

export function hasFeature(flags: bigint, feature: Feature): boolean {
  return namesOfFeatures(flags).includes(feature);
}

/** The byte order a BEGIN record was written in; null when these bytes do not begin a replay stream. */
export function byteOrderOf(record: DataView): ByteOrder | null {
  if (record.getUint32(0, true) !== 0) return null;
  if (record.getBigUint64(8, true) === magic) return "little";
  return record.getBigUint64(8, false) === magic ? "big" : null;
}

/** Whether these bytes, too few for a record, are how one that {@link byteOrderOf} knows begins. */
export function couldBegin(bytes: Uint8Array): boolean {
  const record = new DataView(new ArrayBuffer(recordBytes));
  return [true, false].some((little) => {
    record.setBigUint64(8, magic, little);
    return bytes.every((byte, at) => (at >= 4 && at < 8) || at >= 16 || byte === record.getUint8(at));
  });
}

/** The fields of BEGIN. `headerType` 1 is one snapshot, 2 a package of several (`-R`, `-I`, `-p`). */
export interface BeginRecord {
  readonly headerType: number;
  /** 56 bits. */
  readonly featureFlags: bigint;
  readonly creationSeconds: bigint;
  /** 2 is a file system, 3 a volume, 0 in the BEGIN of a package. */
  readonly objectSetType: number;
  readonly toGuid: bigint;
  /** 0 for a full stream. */
  readonly fromGuid: bigint;
  readonly toName: string;
}

/** The last second a `Date` can hold. */
export const maxCreationSeconds = 8_640_000_000_000n;

export function readBegin(record: DataView, byteOrder: ByteOrder): BeginRecord {
  const little = byteOrder === "little";
  const version = record.getBigUint64(16, little);
  const name = new Uint8Array(record.buffer, record.byteOffset + 56, recordBytes - 56);
  const end = name.indexOf(0);
  return {
    headerType: Number(version & 3n),
    featureFlags: (version >> 2n) & ((1n << 56n) - 1n),
    creationSeconds: record.getBigUint64(24, little),
    objectSetType: record.getUint32(32, little),
    toGuid: record.getBigUint64(40, little),
    fromGuid: record.getBigUint64(48, little),
    toName: new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)),
  };
}

/** END's own guid of the snapshot; 0 in the END records of a package, and in streams older than 2010. */
export function endGuidOf(record: DataView, byteOrder: ByteOrder): bigint {
  return record.getBigUint64(40, byteOrder === "little");
}

/** The name of the record's type; null when there is none of that number. */
export function typeOf(record: DataView, byteOrder: ByteOrder): RecordType | null {
  return recordTypes[record.getUint32(0, byteOrder === "little")] ?? null;
}

/** What a record says of its payload. ZFS writes only whole checksum words of at most `maxBytes`. */
export interface PayloadLength {
  /** The field that says it, in words. */
  readonly field: string;
  readonly bytes: bigint;
  readonly maxBytes: number;
}

/** The nvlist of a BEGIN; libzfs takes 64 MiB unless told otherwise, `zstream` this much. */
const maxNvlistBytes = 256 * MiB;
/** `DNODE_MAX_SIZE`, in which the bonus lies. */
const maxBonusBytes = 16 * KiB;
/** `SPA_MAXBLOCKSIZE`. */
const maxBlockBytes = 16 * MiB;
/** `BPE_PAYLOAD_SIZE`, what fits in a block pointer. */
const maxEmbeddedBytes = 112;

/** How many bytes the record says follow it, unchecked; null for a type that never has a payload. */
export function payloadLengthOf(type: RecordType, record: DataView, byteOrder: ByteOrder): PayloadLength | null {
  const little = byteOrder === "little";
  const u32 = (offset: number): bigint => BigInt(record.getUint32(offset, little));
  const u64 = (offset: number): bigint => record.getBigUint64(offset, little);
  switch (type) {
    case "BEGIN":
      return { field: "payload length", bytes: u32(4), maxBytes: maxNvlistBytes };
    case "OBJECT":
      if (u32(36) !== 0n) return { field: "raw bonus length", bytes: u32(36), maxBytes: maxBonusBytes };
      return { field: "bonus length", bytes: roundedUpTo8(u32(28)), maxBytes: maxBonusBytes };
    case "WRITE":
      if (record.getUint8(50) === 0) return { field: "logical size", bytes: u64(32), maxBytes: maxBlockBytes };
      return { field: "compressed size", bytes: u64(96), maxBytes: maxBlockBytes };
    case "SPILL":
      if (u64(40) === 0n) return { field: "length", bytes: u64(16), maxBytes: maxBlockBytes };
      return { field: "compressed size", bytes: u64(40), maxBytes: maxBlockBytes };
    case "WRITE_EMBEDDED":
      return { field: "payload size", bytes: roundedUpTo8(u32(52)), maxBytes: maxEmbeddedBytes };
    case "FREEOBJECTS":
    case "FREE":
    case "END":
    case "WRITE_BYREF":
    case "OBJECT_RANGE":
    case "REDACT":
      return null;
  }
}

const roundedUpTo8 = (value: bigint): bigint => (value + 7n) & ~7n;
