/**
 * A full send stream of a gigabyte, for a pool that does not store it: its records, and the payload they share windows of.
 */
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Fletcher4 } from "../../src/replay/fletcher4.ts";
import { begin, end, type Piece, record, type } from "../replay/forge.ts";

const payloadBytes = 128 * 1024;
/** Every checksum stands at the end of its record; that of END is inside, too. */
const checksumAt = 280;
const endChecksumAt = 8;

export interface Gigabyte {
  readonly records: Buffer;
  readonly payload: Buffer;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** At least `wantedBytes`, of WRITE records with 128 KiB of random bytes each. */
export function gigabyte(guid: bigint, wantedBytes: number): Gigabyte {
  const payload = randomBytes(8 * 1024 * 1024);
  const pieces = [begin({ toGuid: guid }), ...Array.from({ length: wantedBytes / payloadBytes }, (_, index) => writeOf(index)), end(guid)];
  const fletcher = new Fletcher4("little");
  const hash = createHash("sha256");
  let sizeBytes = 0;
  pieces.forEach(({ record: bytes }, index) => {
    const view = new DataView(bytes.buffer);
    const put = (at: number): void => {
      fletcher.sums().forEach((sum, word) => { view.setBigUint64(at + 8 * word, sum, true); });
    };
    const kind = view.getUint32(0, true);
    if (kind === type.end) put(endChecksumAt);
    fletcher.update(bytes.subarray(0, checksumAt));
    if (kind !== type.begin) put(checksumAt);
    fletcher.update(bytes.subarray(checksumAt));
    hash.update(bytes);
    const start = (index * 8) % (payload.length - payloadBytes);
    const window = payload.subarray(start, kind === type.write ? start + payloadBytes : start);
    fletcher.update(window);
    hash.update(window);
    sizeBytes += bytes.length + window.length;
  });
  return { records: Buffer.concat(pieces.map((piece) => piece.record)), payload, sizeBytes, sha256: hash.digest("hex") };
}

function writeOf(index: number): Piece {
  return record(type.write, (view) => {
    view.setBigUint64(8, 7n, true); // object
    view.setBigUint64(24, BigInt(index * payloadBytes), true);
    view.setBigUint64(32, BigInt(payloadBytes), true);
  });
}

/** Puts it where `gigabyte-zfs.mjs` looks for it. */
export function layOut({ records, payload }: Gigabyte, folder: string): void {
  writeFileSync(join(folder, "gigabyte.records"), records);
  writeFileSync(join(folder, "gigabyte.payload"), payload);
}
