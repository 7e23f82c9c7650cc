/**
 * Takes send streams apart and puts them together again, with right checksums by the oracle. Written from the C
 * structures, not from `src/replay`, so that it can prove the latter wrong.
 */
import { readFileSync } from "node:fs";
import type { ByteOrder } from "../../src/replay/fletcher4.ts";
import { oracle } from "./oracle.ts";

export interface Piece {
  readonly record: Uint8Array<ArrayBuffer>;
  readonly payload: Uint8Array;
}

/** `DRR_*` by number. */
export const type = {
  begin: 0,
  object: 1,
  freeobjects: 2,
  write: 3,
  free: 4,
  end: 5,
  writeByref: 6,
  spill: 7,
  writeEmbedded: 8,
  objectRange: 9,
  redact: 10,
} as const;

export const guid = 0xfedcba9876543210n;

export function recorded(name: string): Uint8Array {
  return readFileSync(new URL(`../../fixtures/streams/${name}.zfs`, import.meta.url));
}

/** A record of a type, filled in little-endian by the callback. */
export function record(number: number, fill: (view: DataView) => void = () => undefined, payloadBytes = 0): Piece {
  const bytes = new Uint8Array(312);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, number, true);
  fill(view);
  return { record: bytes, payload: Uint8Array.from({ length: payloadBytes }, (_, index) => index * 31) };
}

export interface Begin {
  readonly headerType?: number;
  readonly flags?: bigint;
  readonly seconds?: bigint;
  readonly toGuid?: bigint;
  readonly fromGuid?: bigint;
  readonly toName?: string;
  readonly payloadBytes?: number;
}

export function begin(fields: Begin = {}): Piece {
  const { headerType = 1, flags = 4n, seconds = 1_700_000_000n, toGuid = guid, fromGuid = 0n } = fields;
  const { toName = "tank/a@s", payloadBytes = 0 } = fields;
  const piece = record(
    type.begin,
    (view) => {
      view.setUint32(4, payloadBytes, true);
      view.setBigUint64(8, 0x2f5bacbacn, true);
      view.setBigUint64(16, (flags << 2n) | BigInt(headerType), true);
      view.setBigUint64(24, seconds, true);
      view.setUint32(32, headerType === 2 ? 0 : 2, true);
      view.setBigUint64(40, toGuid, true);
      view.setBigUint64(48, fromGuid, true);
    },
    payloadBytes,
  );
  piece.record.set(Buffer.from(toName), 56);
  return piece;
}

export function write(payloadBytes: number): Piece {
  return record(type.write, (view) => { view.setBigUint64(32, BigInt(payloadBytes), true); }, payloadBytes);
}

export function end(toGuid = guid): Piece {
  return record(type.end, (view) => { view.setBigUint64(40, toGuid, true); });
}

/** The bytes of the pieces, with every checksum the format has (or, `records: false`, only those of old streams). */
export function seal(pieces: readonly Piece[], byteOrder: ByteOrder = "little", { records = true } = {}): Uint8Array {
  let sums = oracle(new Uint8Array(), byteOrder);
  const out = pieces.map(({ record: original, payload }) => {
    const bytes = original.slice();
    const view = new DataView(bytes.buffer);
    const number = view.getUint32(0, byteOrder === "little");
    const put = (offset: number): void => {
      sums.forEach((sum, index) => {
        view.setBigUint64(offset + 8 * index, sum, byteOrder === "little");
      });
    };
    if (number === type.end) put(8);
    sums = oracle(bytes.subarray(0, 280), byteOrder, sums);
    if (number !== type.begin && records) put(280);
    sums = oracle(payload, byteOrder, oracle(bytes.subarray(280), byteOrder, sums));
    if (number === type.end) sums = [0n, 0n, 0n, 0n];
    return [bytes, payload];
  });
  return Buffer.concat(out.flat());
}

/** The records of a good little-endian stream. */
export function split(stream: Uint8Array): readonly Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < stream.length; ) {
    const bytes = Uint8Array.from(stream.subarray(at, at + 312));
    const payloadBytes = payloadBytesOf(new DataView(bytes.buffer));
    pieces.push({ record: bytes, payload: stream.subarray(at + 312, at + 312 + payloadBytes) });
    at += 312 + payloadBytes;
  }
  return pieces;
}

function payloadBytesOf(view: DataView): number {
  const u32 = (offset: number): number => view.getUint32(offset, true);
  const u64 = (offset: number): number => Number(view.getBigUint64(offset, true));
  switch (u32(0)) {
    case type.begin:
      return u32(4);
    case type.object:
      return u32(36) === 0 ? Math.ceil(u32(28) / 8) * 8 : u32(36);
    case type.write:
      return view.getUint8(50) === 0 ? u64(32) : u64(96);
    case type.spill:
      return u64(40) === 0 ? u64(16) : u64(40);
    case type.writeEmbedded:
      return Math.ceil(u32(52) / 8) * 8;
    default:
      return 0;
  }
}

/** Offsets of the 32- and 64-bit fields of each type, behind type and payload length (`byteswap_record` swaps these). */
const fields: Record<number, { readonly u32: readonly number[]; readonly u64: readonly number[] }> = {
  [type.begin]: { u32: [32, 36], u64: [8, 16, 24, 40, 48] },
  [type.object]: { u32: [16, 20, 24, 28, 36], u64: [8, 40, 56] },
  [type.freeobjects]: { u32: [], u64: [8, 16, 24] },
  [type.write]: { u32: [16], u64: [8, 24, 32, 40, 56, 64, 72, 80, 88, 96] },
  [type.free]: { u32: [], u64: [8, 16, 24, 32] },
  [type.end]: { u32: [], u64: [8, 16, 24, 32, 40] },
  [type.writeByref]: { u32: [], u64: [8, 16, 24, 32, 40, 48, 56, 72, 80, 88, 96, 104] },
  [type.spill]: { u32: [84], u64: [8, 16, 24, 40] },
  [type.writeEmbedded]: { u32: [48, 52], u64: [8, 16, 24, 32] },
  [type.objectRange]: { u32: [], u64: [8, 16, 24] },
  [type.redact]: { u32: [], u64: [8, 16, 24, 32] },
};

/** The piece as a machine of the other byte order sends it; the payload is data and stays. Needs `seal` afterwards. */
export function swapped({ record: original, payload }: Piece): Piece {
  const bytes = original.slice();
  const view = new DataView(bytes.buffer);
  const { u32 = [], u64 = [] } = fields[view.getUint32(0, true)] ?? {};
  for (const at of [0, 4, ...u32]) view.setUint32(at, view.getUint32(at, true), false);
  for (const at of u64) view.setBigUint64(at, view.getBigUint64(at, true), false);
  return { record: bytes, payload };
}
