#!/usr/bin/env node
/**
 * synthetic-stream.mjs SIZE [GUID] — writes a valid full send stream of at least SIZE bytes (16GiB, 3221225472, …) to
 * stdout: BEGIN, an OBJECT, WRITE records with 128 KiB of incompressible payload each, END, every checksum right.
 *
 * Made faster than the engine reads it: the payloads are windows into 8 MiB of random bytes, so only fletcher-4 costs.
 * Needs a build (`npm run build`). Nothing can be restored from it; it measures, and it feeds tests.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { parseSize } from "../dist/bytes.js";
import { Fletcher4 } from "../dist/replay/fletcher4.js";

const recordBytes = 312;
const payloadBytes = 128 * 1024;
const type = { begin: 0, object: 1, write: 3, end: 5 };

const [sizeText = "1GiB", guidText = "1234567890123456789"] = process.argv.slice(2);
const wantedBytes = parseSize(sizeText);
const guid = BigInt(guidText);
const pool = randomBytes(8 * 1024 * 1024);
const fletcher = new Fletcher4("little");

function record(kind, fill) {
  const bytes = Buffer.alloc(recordBytes);
  bytes.writeUInt32LE(kind, 0);
  fill(bytes);
  return bytes;
}

/** Writes a record, its checksum field filled in, and its payload. */
async function emit(bytes, payload = null) {
  if (bytes.readUInt32LE(0) !== type.begin) {
    fletcher.update(bytes.subarray(0, recordBytes - 32));
    writeChecksum(bytes, recordBytes - 32);
    fletcher.update(bytes.subarray(recordBytes - 32));
  } else {
    fletcher.update(bytes);
  }
  await write(bytes);
  if (payload !== null) {
    fletcher.update(payload);
    await write(payload);
  }
}

function writeChecksum(bytes, at) {
  fletcher.sums().forEach((word, index) => bytes.writeBigUInt64LE(word, at + 8 * index));
}

async function write(bytes) {
  if (!process.stdout.write(bytes)) await once(process.stdout, "drain");
}

process.stdout.on("error", () => process.exit(1));
await emit(
  record(type.begin, (bytes) => {
    bytes.writeBigUInt64LE(0x2f5bacbacn, 8);
    bytes.writeBigUInt64LE(1n, 16); // versioninfo: a single stream without features
    bytes.writeBigUInt64LE(1_700_000_000n, 24);
    bytes.writeUInt32LE(2, 32); // DMU_OST_ZFS
    bytes.writeBigUInt64LE(guid, 40);
    bytes.write("tank/synthetic@bench", 56, "latin1");
  }),
);
for (let offset = 0; offset < wantedBytes; offset += payloadBytes) {
  const start = (offset * 7) % (pool.length - payloadBytes);
  await emit(
    record(type.write, (bytes) => {
      bytes.writeBigUInt64LE(7n, 8); // object
      bytes.writeUInt32LE(19, 16); // DMU_OT_PLAIN_FILE_CONTENTS
      bytes.writeBigUInt64LE(BigInt(offset), 24);
      bytes.writeBigUInt64LE(BigInt(payloadBytes), 32);
      bytes.writeBigUInt64LE(guid, 40);
    }),
    pool.subarray(start & ~7, (start & ~7) + payloadBytes),
  );
}
const end = record(type.end, (bytes) => {
  writeChecksum(bytes, 8);
  bytes.writeBigUInt64LE(guid, 40);
});
await emit(end);
