/**
 * Send streams of any size for the system tests: valid in every record, with payloads that cannot be compressed, and
 * the same again with one byte of the payload changed, as a source that is not reproducible would give.
 */
import { randomBytes } from "node:crypto";
import { KiB } from "../../src/bytes.ts";
import { Fletcher4 } from "../../src/replay/fletcher4.ts";
import { begin, end, type Piece, record, type } from "../replay/forge.ts";

const payloadBytes = 128 * KiB;
const recordBytes = 312;

/** The data of a stream: as many records of 128 KiB as make up `sizeBytes`. */
export function payloadOf(sizeBytes: number): Buffer {
  return randomBytes(Math.ceil(sizeBytes / payloadBytes) * payloadBytes);
}

/** A full stream of `tank/a@s` with this data. */
export function streamOf(payload: Buffer): Buffer {
  const pieces: Piece[] = [begin()];
  for (let at = 0; at < payload.length; at += payloadBytes) {
    pieces.push({ record: writeAt(at).record, payload: payload.subarray(at, at + payloadBytes) });
  }
  return sealed([...pieces, end()]);
}

/** The same data with one bit changed, at or right behind a place in the stream of {@link streamOf}. */
export function changedAt(payload: Buffer, streamBytes: number): Buffer {
  const recordIndex = Math.floor((streamBytes - recordBytes) / (recordBytes + payloadBytes));
  const withinBytes = streamBytes - recordBytes - recordIndex * (recordBytes + payloadBytes) - recordBytes;
  const changed = Buffer.from(payload);
  const at = recordIndex * payloadBytes + Math.max(withinBytes, 0);
  changed[at] = (changed[at] ?? 0) ^ 1;
  return changed;
}

function writeAt(atBytes: number): Piece {
  return record(type.write, (view) => {
    view.setBigUint64(8, 7n, true); // object
    view.setUint32(16, 19, true); // DMU_OT_PLAIN_FILE_CONTENTS
    view.setBigUint64(24, BigInt(atBytes), true);
    view.setBigUint64(32, BigInt(payloadBytes), true);
  });
}

/** As `seal` of forge.ts, whose sums are made to be read and not for tens of megabytes. */
function sealed(pieces: readonly Piece[]): Buffer {
  const fletcher = new Fletcher4("little");
  const put = (bytes: Uint8Array, at: number): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    fletcher.sums().forEach((sum, index) => {
      view.setBigUint64(at + 8 * index, sum, true);
    });
  };
  return Buffer.concat(
    pieces.flatMap(({ record: bytes, payload }, index) => {
      if (index === pieces.length - 1) put(bytes, 8);
      fletcher.update(bytes.subarray(0, recordBytes - 32));
      if (index > 0) put(bytes, recordBytes - 32);
      fletcher.update(bytes.subarray(recordBytes - 32));
      fletcher.update(payload);
      return [bytes, payload];
    }),
  );
}
