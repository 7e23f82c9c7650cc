/** What commands print that look after a host: `status`, `doctor`, `recover`, `init`, `systemd`, `state rebuild`; and what notifiers get. */
import { z } from "zod";
import { happeningKinds } from "../../src/config/notify.ts";
import { states } from "../../src/status/standing.ts";
import { bytes, count, dataset, document, failure, flag, kind, rememberedFailure, seconds, snapshot, storeUrl, text, time, verified } from "./values.ts";

const held = {
  store: storeUrl,
  backupCount: count,
  storedBytes: bytes,
  newest: snapshot.nullable(),
  newestRestorableAt: time.nullable(),
  oldestRestorableAt: time.nullable(),
  verified: verified.nullable(),
  restoreVerifiedAt: time.nullable(),
  damaged: z.array(snapshot),
  lostCount: count,
};
/** The last run of a backup or of a copy. */
const lastRun = <T extends [string, ...string[]]>(outcomes: T) =>
  z.object({ startedAt: time, endedAt: time, outcome: z.enum(outcomes), error: rememberedFailure.nullable() }).nullable();

const standing = z.object({
  host: text.optional().describe("with --all-hosts"),
  job: text,
  dataset: dataset.nullable().describe("null for globs that never matched"),
  store: storeUrl,
  enabled: flag,
  state: z.enum(states).describe("docs/monitoring.md"),
  problem: flag,
  why: text.nullable(),
  lastSuccessAt: time.nullable(),
  nextExpectedAt: time.nullable(),
  lastRun: lastRun(["stored", "nothing", "failed", "skipped"]),
  lastBackup: z.object({ backup: snapshot.nullable(), kind: kind.nullable(), streamBytes: bytes.nullable(), storedBytes: bytes.nullable(), seconds: seconds.nullable() }).nullable(),
  meanSeconds: seconds.nullable(),
  downtimeSeconds: seconds.nullable(),
  failureCount: count,
  held: z.object(held).nullable(),
  copies: z.array(z.object(held)),
  drill: z
    .object({ backup: snapshot.nullable(), at: time, ok: flag, rtoSeconds: seconds.nullable(), fileCount: count, comparedCount: count, error: rememberedFailure.nullable() })
    .nullable(),
  copying: z.array(z.object({ store: storeUrl, lastRun: lastRun(["copied", "nothing", "failed"]), lastSuccessAt: time.nullable(), waitingSince: time.nullable() })),
});

export const status = document("status", "of zferry status and of /api/v1/backup/status", {
  at: time,
  ok: flag,
  datasets: z.array(standing),
  notifiers: z.array(z.object({ name: text, undeliveredAt: time, why: text })).describe("that did not get the last message"),
  elsewhere: z
    .array(z.object({ host: text, dataset, ...held }))
    .optional()
    .describe("with --all-hosts: what hosts' stores hold and no job here stores"),
});

const probe = z.object({ name: text, outcome: z.enum(["ok", "finding", "failed", "skipped"]), detail: text, consequence: text.nullable() });

export const doctor = document("doctor", "of zferry doctor", {
  store: storeUrl.nullable().describe("the first of them; null where there are jobs of files only"),
  machine: z.array(probe),
  probes: z.array(probe).describe("of the first store"),
  stores: z.array(z.object({ store: storeUrl, probes: z.array(probe) })).describe("that were tried, in this order"),
});

export const doctorRestore = document("doctor-restore", "of zferry doctor --restore", {
  ready: flag.describe("nothing is a finding"),
  restore: z.array(probe),
});

export const recover = document("recover", "of zferry recover", {
  dryRun: flag,
  records: z
    .array(
      z.object({
        id: text,
        outcome: z.enum(["recovered", "failed", "owed", "running", "damaged"]),
        since: time.nullable(),
        jobs: z.array(text),
        hooks: z.array(text),
        failures: z.array(failure),
      }),
    )
    .describe("the newest first"),
  views: z.array(
    z.object({
      id: text,
      outcome: z.enum(["running", "left", "closed", "failed", "damaged"]),
      since: time.nullable(),
      job: text.nullable(),
      snapshot: snapshot.nullable(),
      error: failure.nullable(),
    }),
  ),
});

export const init = document("init", "of zferry init", { file: text, store: storeUrl, jobs: z.array(text), obstacle: text.nullable() });

export const stateRebuild = document("state-rebuild", "of zferry state rebuild", {
  backupCount: count,
  damagedCount: count,
  anchors: z.record(dataset, snapshot).describe("by dataset"),
});

const names = z.array(text);

export const systemd = document("systemd", "of zferry systemd", {
  units: z.array(z.object({ name: text, text })),
  folder: text.nullable().describe("null when they were not written"),
  ...{ written: names.optional(), unchanged: names.optional(), replaced: names.optional(), leftOver: names.optional() },
});

export const happening = document("happening", "what notifiers of type webhook or command get", {
  version: z.literal(1),
  kind: z.enum(happeningKinds),
  job: text.nullable(),
  dataset: dataset.nullable(),
  at: time,
  host: text,
  zferry: text.describe("its version"),
  title: text,
  text,
  isBad: flag,
  details: z.record(text, z.union([text, z.number(), z.null(), z.array(text)])).describe("members depend on the kind"),
});
