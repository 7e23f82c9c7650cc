/** What commands print that store something: `put`, `backup`, `copy`, `import`. */
import { z } from "zod";
import { storedFiles } from "./filing.ts";
import { bytes, count, dataset, document, failure, flag, guid, kind, seconds, snapshot, storeUrl, text } from "./values.ts";

export const put = document("put", "of zferry put", {
  backup: snapshot,
  kind,
  guid,
  baseGuid: guid.nullable(),
  streamBytes: bytes,
  storedBytes: bytes,
  chunkCount: count,
  seconds,
});

export const backup = document("backup", "of zferry backup, one for each dataset as soon as it ended", {
  job: text,
  dataset: dataset.nullable().describe("null where the job failed before it was known which datasets it means"),
  dryRun: flag,
  outcome: z.enum(["stored", "nothing", "planned", "failed", "skipped"]),
  plan: z.object({ kind: z.enum(["full", "incremental", "nothing"]), reason: text, base: text.nullable() }).nullable(),
  backup: snapshot.nullable(),
  guid: guid.nullable(),
  streamBytes: bytes.nullable(),
  storedBytes: bytes.nullable(),
  chunkCount: count.nullable(),
  files: z
    .object({ engine: text, target: text, exitStatus: z.int().nullable().describe("null in a dry run, and of engine s3"), stored: storedFiles.nullable().describe("of engine s3") })
    .nullable()
    .describe("of a job of files that went well"),
  seconds,
  downtimeSeconds: seconds.nullable().describe("how long services were down for its snapshot; null without hooks"),
  error: failure.nullable(),
});

export const backupSummary = document("backup-summary", "of zferry backup, the last line", {
  dryRun: flag,
  storedCount: count,
  nothingCount: count,
  plannedCount: count,
  failedCount: count,
  skippedCount: count,
  failedJobs: z.array(text),
  seconds,
});

const copiedBackup = z.object({
  backup: snapshot,
  kind,
  outcome: z.enum(["copied", "mended", "would-copy", "would-mend", "failed"]),
  storedBytes: bytes,
  sentBytes: bytes,
  error: failure.nullable(),
});

export const copy = document("copy", "of zferry copy and backup, one for each dataset and store it is copied into", {
  job: text,
  dataset,
  from: storeUrl,
  to: storeUrl,
  dryRun: flag,
  outcome: z.enum(["copied", "planned", "nothing", "failed", "skipped"]),
  backups: z.array(copiedBackup),
  problems: z.array(failure).describe("manifests of either store that cannot be used, names of two backups"),
  thereCount: count.nullable(),
  unwantedCount: count.nullable(),
  seconds,
  error: failure.nullable().describe("the first failure"),
});

const importedMessage = z.object({
  backup: snapshot.nullable(),
  kind: kind.nullable(),
  guid: guid.nullable(),
  baseGuid: guid.nullable(),
  files: text.describe("in the source"),
  fileCount: count,
  storedBytes: bytes,
  outcome: z.enum(["imported", "would-import", "there", "failed"]),
  error: failure.nullable(),
});

export const imported = document("import", "of zferry import", {
  dryRun: flag,
  messages: z.array(importedMessage).describe("by dataset and age; backup, kind and guid are null of one that could not be opened"),
  seconds,
});
