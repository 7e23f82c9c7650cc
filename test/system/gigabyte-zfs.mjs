/**
 * A `zfs` whose `send` gives a long stream without having it: records from `gigabyte.records`, each followed by a window
 * of `gigabyte.payload` as long as it says, both in the folder ZFERRY_FAKE_ZFS (`gigabyte.ts` makes them). The same bytes
 * each time, and next to no work. All else is done by `fixtures/bin/zfs.mjs`.
 */
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

// The global `process`: importing it would make its stdout, and that would make the pipe one that does not block.
const recordBytes = 312;
const [verb, ...args] = process.argv.slice(2);

if (verb === "send" && args.includes("--") && !args.includes("-nP")) sendAll();
else await import("../../fixtures/bin/zfs.mjs");

function sendAll() {
  const folder = process.env.ZFERRY_FAKE_ZFS;
  const records = readFileSync(join(folder, "gigabyte.records"));
  const payload = readFileSync(join(folder, "gigabyte.payload"));
  for (let at = 0, index = 0; at < records.length; at += recordBytes, index += 1) {
    writeAll(records.subarray(at, at + recordBytes));
    const sizeBytes = records.readUInt32LE(at) === 3 ? Number(records.readBigUInt64LE(at + 32)) : 0;
    if (sizeBytes > 0) writeAll(payload.subarray((index * 8) % (payload.length - sizeBytes)).subarray(0, sizeBytes));
  }
}

/** Blocks while nobody reads; ends when nobody will. */
function writeAll(bytes) {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== "EPIPE") throw error;
      process.exit(141);
    }
  }
}
