/**
 * Stores full of backups that were never made: manifests sealed by the project's own code, of datasets with a full and an
 * increment a day for 249 days, and no chunks, which a listing does not look at.
 */
import { createHash } from "node:crypto";
import { setMaxListeners } from "node:events";
import { manifestKey } from "../dist/format/layout.js";
import { sealManifest } from "../dist/format/manifest.js";
import { openStore } from "../dist/store/open.js";

const MiB = 1024 ** 2;
const backupsPerDataset = 250;
const lanes = 16;
const key = Buffer.alloc(32, 7);

const digest = (text) => createHash("sha256").update(text).digest("hex");
const takenAt = (day) => new Date(Date.UTC(2026, 0, 1 + day, 2));
const guidOf = (backup) => BigInt(`0x1${digest(backup).slice(0, 15)}`);

function nameOf(dataset, day) {
  return `tank/hosts/h${String(dataset).padStart(3, "0")}/data@zferry-${takenAt(day).toISOString().slice(0, 10)}`;
}

/** The manifest of backup `index`: 101 MiB in one chunk. */
function manifestOf(index) {
  const [dataset, day] = [Math.floor(index / backupsPerDataset), index % backupsPerDataset];
  const [backup, full] = [nameOf(dataset, day), nameOf(dataset, 0)];
  const marks = Array.from({ length: 6 }, (_, mark) => digest(`${backup} ${mark}`));
  return {
    format: 1,
    backup,
    kind: day === 0 ? "full" : "incremental",
    attempt: digest(backup).slice(0, 8),
    snapshot: { guid: guidOf(backup), createTxg: BigInt(1000 + day), createdAt: takenAt(day) },
    base: day === 0 ? null : { guid: guidOf(full), backup: full },
    stream: { sizeBytes: 100 * MiB, recordCount: 900, kind: "single", featureFlags: "0x4000c", flags: ["-L", "-c"] },
    encryption: { packet: "ocb", sessionKeyPackets: Buffer.alloc(60, 1).toString("base64"), keyCheck: "0123456789abcdef" },
    messageBytes: 101 * MiB,
    chunkBytes: 1024 * MiB,
    markBytes: 16 * MiB,
    chunks: [{ sizeBytes: 101 * MiB, sha256: digest(backup), marks }],
    startedAt: takenAt(day),
    committedAt: takenAt(day),
    writer: "zferry bench",
  };
}

/**
 * Opens a store to fill and to empty it.
 *
 * @returns `{ fill(count), empty(), close() }`; `empty` removes the manifests of the last `fill`
 */
export async function openShelf(url, { env, signal }) {
  const retry = { budgetMs: 60_000, firstDelayMs: 100, maxDelayMs: 5000 };
  const store = await openStore(url, { partBytes: 16 * MiB, concurrency: lanes, retry, access: "write", environment: env });
  const stop = AbortSignal.any([signal]);
  setMaxListeners(0, stop);
  const tidying = new AbortController().signal; // also after the benchmark was stopped
  const keys = [];
  return {
    fill: async (count) => {
      await Promise.all(Array.from({ length: lanes }, async () => {
        while (keys.length < count) {
          const manifest = manifestOf(keys.length);
          keys.push(manifestKey(manifest.backup));
          await store.put(keys.at(-1), sealManifest(manifest, key), { when: "replace", signal: stop });
        }
      }));
    },
    empty: () => store.delete(keys.splice(0), { signal: tidying }),
    close: () => store.close(),
  };
}
