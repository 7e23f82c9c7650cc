/** What commands print that read what is stored: `list`, `restore`, `download`, `verify`, `drill`. */
import { z } from "zod";
import type { FindingKind } from "../../src/verify/findings.ts";
import { bytes, code, count, dataset, document, failure, flag, guid, kind, level, packet, sampledFile, seconds, snapshot, storeUrl, text, time, verified } from "./values.ts";

const host = text.optional().describe("with --all-hosts");

const listed = z.object({
  host,
  backup: snapshot,
  kind,
  guid,
  createdAt: time.describe("of the snapshot"),
  baseGuid: guid.nullable(),
  baseBackup: snapshot.nullable(),
  streamBytes: bytes,
  storedBytes: bytes,
  chunkCount: count,
  packet,
  committedAt: time,
  imported: flag.describe("taken over by zferry import: its seal vouches for no time before committedAt"),
  restorable: flag,
  obstacle: text.nullable(),
  verified: verified.nullable(),
});

export const list = document("list", "of zferry list", {
  hosts: z
    .array(z.object({ host: text, store: storeUrl, backupCount: count.nullable().describe("null when it could not be listed"), error: failure.nullable() }))
    .optional()
    .describe("with --all-hosts"),
  backups: z.array(listed),
  damaged: z.array(z.object({ host, key: text, code, message: text })).describe("manifests that cannot be used"),
});

const fallOver = z.object({
  backup: snapshot.nullable(),
  chunk: count.nullable().describe("index; null for a manifest, and for a store that could not be asked"),
  key: text.nullable(),
  store: storeUrl.describe("the one that failed"),
  next: storeUrl.describe("the one asked instead"),
  code,
  why: text,
});
const steps = z.array(z.object({ backup: snapshot, isThere: flag, store: storeUrl }));
const fallOvers = z.array(fallOver);

export const restore = z
  .union([
    z.object({ type: z.literal("restore"), dryRun: z.literal(true), steps, fallOvers, files: z.array(text).optional().describe("of a folder without manifest") }),
    z.object({ type: z.literal("restore"), dryRun: z.literal(false), snapshot, steps, fallOvers, fetchedBytes: bytes, seconds }),
  ])
  .describe("of zferry restore");

export const download = document("download", "of zferry download", {
  folder: text,
  backups: z.array(snapshot).describe("the base first"),
  bytes,
  seconds,
});

/** Each kind once: the type checker says when one is missing. */
const findingKinds: Readonly<Record<FindingKind, true>> = {
  ...{ "missing-chunk": true, "extra-object": true, size: true, digest: true, seal: true, stream: true, receive: true, sample: true },
  ...{ "base-missing": true, "manifest-damaged": true, "foreign-manifest": true, "rolled-back": true },
};
const findingKind = z.enum(Object.keys(findingKinds) as [FindingKind, ...FindingKind[]]);
const finding = z.object({ kind: findingKind, chunk: count.nullable(), key: text.nullable(), message: text });

export const verify = document("verify", "of zferry verify, also when it was cut off", {
  level: level.describe("the one wanted"),
  complete: flag,
  backups: z.array(
    z.object({
      backup: snapshot,
      level: level.describe("the one reached"),
      ok: flag,
      bytes,
      sealChecked: flag,
      findings: z.array(finding),
      obstacle: z.object({ code, message: text }).nullable(),
    }),
  ),
  findings: z.array(finding).describe("about objects of no backup"),
  samples: z.array(z.object({ backup: snapshot, seed: text, fileCount: count, obstacle: text.nullable(), files: z.array(sampledFile) })),
  bytes,
  seconds,
});

export const drill = document("drill", "of zferry drill, one for each job", {
  job: text.nullable(),
  store: storeUrl,
  ok: flag,
  candidateCount: count,
  startedAt: time,
  endedAt: time,
  seed: text,
  dataset: dataset.nullable(),
  backup: snapshot.nullable(),
  chain: z.array(snapshot).describe("what was received, the backup last"),
  guid: guid.nullable(),
  streamBytes: bytes.nullable(),
  fetchedBytes: bytes,
  place: z.object({ kind: z.enum(["dataset", "file-pool"]), into: text }).nullable(),
  rtoSeconds: seconds.nullable(),
  sample: z.object({ obstacle: text.nullable(), files: z.array(sampledFile) }).nullable(),
  findings: z.array(z.object({ kind: findingKind, message: text })),
  error: failure.nullable(),
  clean: flag.describe("all that it made is gone"),
});
