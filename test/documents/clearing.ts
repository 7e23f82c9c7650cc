/** What `prune` prints. */
import { z } from "zod";
import type { Reason } from "../../src/keep-rules.ts";
import { bytes, count, dataset, document, flag, guid, kind, snapshot, storeUrl, text, time } from "./values.ts";

/** Each kind once: the type checker says when one is missing. */
const reasonKinds: Readonly<Record<Reason["kind"], true>> = {
  ...{ last: true, within: true, daily: true, weekly: true, monthly: true, yearly: true, fulls: true },
  ...{ needed: true, newest: true, verified: true, anchor: true, held: true, unfinished: true, doubt: true, ahead: true, "no-policy": true },
};
const reasons = z.array(z.object({ kind: z.enum(Object.keys(reasonKinds) as [Reason["kind"], ...Reason["kind"][]]), text }));
const fate = {
  outcome: z.enum(["stays", "would-go", "removed", "failed"]),
  reasons: reasons.describe("why it stays"),
  problem: text.nullable().describe("why it could not be removed"),
};

export const retention = document("retention", "of zferry prune, one for each job and dataset", {
  job: text,
  dataset,
  store: storeUrl,
  dryRun: flag,
  backups: z.array(z.object({ backup: snapshot, kind, guid, createdAt: time, storedBytes: bytes, ...fate })),
  snapshots: z.array(z.object({ snapshot, guid, createdAt: time, ...fate })),
  unreadable: z.array(text).describe("keys of manifests that cannot be read"),
});

const attempt = z.object({
  backup: snapshot,
  attempt: text,
  objectCount: count,
  bytes,
  unfinishedCount: count.describe("multipart uploads that were begun and not ended"),
  newestAt: time,
  outcome: z.enum(["would-go", "removed", "stays", "failed"]),
  reason: text.nullable(),
});

export const prune = document("prune", "of zferry prune --strays", {
  dryRun: flag,
  attempts: z.array(attempt).describe("without a manifest"),
  journals: z.array(z.object({ backup: snapshot, attempt: text, touchedAt: time, outcome: z.enum(["would-go", "removed", "stays"]), reason: text.nullable() })),
  committedCount: count,
  foreignCount: count.describe("objects under streams/ that zferry did not make"),
});
