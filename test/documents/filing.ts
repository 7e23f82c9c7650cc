/** What `zferry files` prints: what engine `s3` of mode `files` has stored. */
import { z } from "zod";
import { bytes, count, dataset, document, flag, seconds, storeUrl, text, time } from "./values.ts";

const run = z.string().regex(/^\d{6}-\d{8}T\d{6}Z-[0-9a-f]{6}$/);

/** What a run of engine `s3` has stored. */
export const storedFiles = z.object({
  run,
  entryCount: count,
  fileCount: count,
  sizeBytes: bytes,
  sentCount: count,
  sentBytes: bytes,
  leftOutCount: count,
  changedCount: count,
  unreadableCount: count,
});

export const filesList = document("files-list", "of zferry files list without --run", {
  runs: z.array(
    z.object({
      job: text,
      store: storeUrl,
      dataset,
      run,
      startedAt: time,
      fileCount: count.nullable(),
      entryCount: count.nullable(),
      sizeBytes: bytes.nullable(),
      error: text.nullable().describe("why the list cannot be read; then the counts are null"),
    }),
  ),
});

export const filesEntry = document("files-entry", "of zferry files list --run, one for each path", {
  path: text.describe("bytes that are no plain ASCII as %XX; . for the root"),
  kind: z.enum(["folder", "file", "symlink", "pipe", "socket", "device"]),
  mode: count.nullable(),
  uid: count.nullable(),
  gid: count.nullable(),
  modifiedAt: time.nullable(),
  sizeBytes: bytes.nullable(),
  linkTo: text.nullable().describe("the path that is the same file"),
  sentBy: run.nullable().describe("the run that has sent its content; null for none"),
  changed: flag.describe("it changed while it was read"),
});

export const filesPaths = document("files-paths", "of zferry files list --run, the last line", { job: text, dataset, run });

export const filesRestore = document("files-restore", "of zferry files restore", {
  job: text,
  dataset,
  run,
  into: text,
  fileCount: count,
  folderCount: count,
  symlinkCount: count,
  linkCount: count,
  leftOutCount: count,
  sizeBytes: bytes,
  seconds,
});
