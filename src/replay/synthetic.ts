/**
 * A valid full send stream out of nothing, for measuring: BEGIN, WRITE records with 128 KiB of incompressible payload
 * each, END, every checksum right. Nothing can be restored from it.
 *
 * Made faster than anything reads it: the payloads are 64 random blocks that come round, and fletcher-4 of a block need
 * only be taken once, because the sums of a whole follow from those of its pieces ({@link Sums}).
 */
import { randomBytes } from "node:crypto";
import { KiB } from "../bytes.ts";
import { Fletcher4, type FletcherSums } from "./fletcher4.ts";
import { checksumOffset, endChecksumOffset, recordBytes, recordTypes, type RecordType } from "./records.ts";

const payloadBytes = 128 * KiB;
/** 8 MiB, which is more than any compressor of a file system looks back. */
const payloadCount = 64;

export interface SyntheticStream {
  /** The stream has as many bytes or, because it consists of whole records, up to 129 KiB more. */
  readonly sizeBytes: number;
  readonly guid?: bigint;
}

interface Summed {
  readonly bytes: Buffer;
  readonly sums: FletcherSums;
}

/** Yields memory that comes round and is never written to again. Holds 8 MiB, from the first stream on. */
export function* syntheticStream({ sizeBytes, guid = 1_234_567_890_123_456_789n }: SyntheticStream): Generator<Buffer> {
  const sums = new Sums();
  const begin = beginRecord(guid);
  sums.add(summed(begin));
  yield begin;
  for (let written = 0; written < sizeBytes; written += payloadBytes) {
    const payload = payloadOf(written / payloadBytes);
    yield checked(writeRecord(guid, written), sums);
    sums.add(payload);
    yield payload.bytes;
  }
  yield checked(endRecord(guid, sums), sums);
}

const payloads: Summed[] = [];

function payloadOf(index: number): Summed {
  return (payloads[index % payloadCount] ??= summed(randomBytes(payloadBytes)));
}

function summed(bytes: Buffer): Summed {
  const fletcher = new Fletcher4("little");
  fletcher.update(bytes);
  return { bytes, sums: fletcher.sums() };
}

/**
 * The running fletcher-4 of a stream, from the sums of its pieces. Of n words behind sums (a, b, c, d), each sum gets what
 * the words would give it from nothing, and what the sums before it add up to in n steps (OpenZFS `zfs_fletcher.c` uses
 * the same to put the results of its vector lanes together).
 */
class Sums {
  #a = 0n;
  #b = 0n;
  #c = 0n;
  #d = 0n;

  /** @param piece - of a length that is a multiple of 4 */
  add({ bytes, sums: [a, b, c, d] }: Summed): void {
    const n = BigInt(bytes.length / 4);
    const n2 = (n * (n + 1n)) / 2n;
    const n3 = (n * (n + 1n) * (n + 2n)) / 6n;
    this.#d = BigInt.asUintN(64, this.#d + n * this.#c + n2 * this.#b + n3 * this.#a + d);
    this.#c = BigInt.asUintN(64, this.#c + n * this.#b + n2 * this.#a + c);
    this.#b = BigInt.asUintN(64, this.#b + n * this.#a + b);
    this.#a = BigInt.asUintN(64, this.#a + a);
  }

  writeTo(record: Buffer, offset: number): void {
    for (const [index, sum] of [this.#a, this.#b, this.#c, this.#d].entries()) record.writeBigUInt64LE(sum, offset + 8 * index);
  }
}

/** Fills in the record's own checksum, which covers all that precedes it. */
function checked(record: Buffer, sums: Sums): Buffer {
  sums.add(summed(record.subarray(0, checksumOffset)));
  sums.writeTo(record, checksumOffset);
  sums.add(summed(record.subarray(checksumOffset)));
  return record;
}

function recordOf(type: RecordType): Buffer {
  const record = Buffer.alloc(recordBytes);
  record.writeUInt32LE(recordTypes.indexOf(type), 0);
  return record;
}

function beginRecord(guid: bigint): Buffer {
  const record = recordOf("BEGIN");
  record.writeBigUInt64LE(0x2f5bacbacn, 8); // DMU_BACKUP_MAGIC
  record.writeBigUInt64LE(1n, 16); // a single stream without features
  record.writeBigUInt64LE(1_700_000_000n, 24); // creation time
  record.writeUInt32LE(2, 32); // DMU_OST_ZFS
  record.writeBigUInt64LE(guid, 40);
  record.write("tank/synthetic@bench", 56, "latin1");
  return record;
}

function writeRecord(guid: bigint, offset: number): Buffer {
  const record = recordOf("WRITE");
  record.writeBigUInt64LE(7n, 8); // object
  record.writeUInt32LE(19, 16); // DMU_OT_PLAIN_FILE_CONTENTS
  record.writeBigUInt64LE(BigInt(offset), 24);
  record.writeBigUInt64LE(BigInt(payloadBytes), 32);
  record.writeBigUInt64LE(guid, 40);
  return record;
}

function endRecord(guid: bigint, sums: Sums): Buffer {
  const record = recordOf("END");
  sums.writeTo(record, endChecksumOffset);
  record.writeBigUInt64LE(guid, 40);
  return record;
}
