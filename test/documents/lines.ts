/** What stands on stderr with `--json` or `--log-format json`: one object per line. */
import { z } from "zod";
import { logLevels } from "../../src/cli/report.ts";
import type { Event } from "../../src/events.ts";
import { bytes, code, count, dataset, flag, kind, level, seconds, snapshot, storeUrl, text, time } from "./values.ts";

const head = { time, level: z.enum(logLevels) };

export const message = z.object({ type: z.literal("message"), ...head, text }).describe("what people are told while a command runs");

export const error = z
  .object({ type: z.literal("error"), ...head, code, message: text, hint: text.nullable(), exit: z.int() })
  .describe("why a command failed; the last of them is its last word");

const shapes = {
  began: { command: text, version: text },
  ended: { command: text, exit: z.int(), seconds },
  "dataset-began": { job: text, dataset },
  planned: { job: text, dataset, kind: z.enum(["full", "incremental", "nothing"]), reason: text, base: text.nullable() },
  "dataset-ended": { job: text, dataset, outcome: z.enum(["stored", "nothing", "planned", "failed", "skipped"]), backup: snapshot.nullable(), code: code.nullable(), seconds },
  "hooks-began": { jobs: z.array(text), hooks: z.array(text) },
  "hooks-ended": { jobs: z.array(text), downtimeSeconds: seconds.nullable(), failureCount: count },
  "snapshot-taken": { snapshot },
  "chunk-stored": { store: storeUrl, backup: snapshot, chunk: count.describe("index"), bytes, sent: flag.describe("false for one that was there already, and was compared") },
  committed: { store: storeUrl, backup: snapshot, kind, streamBytes: bytes, storedBytes: bytes, chunkCount: count },
  progress: { what: text, bytes, totalBytes: bytes.nullable().describe("a guess"), seconds },
  "request-retried": { what: text, attempt: count, delaySeconds: seconds, why: text },
  "fell-over": { backup: snapshot.nullable(), chunk: count.nullable(), key: text.nullable(), store: storeUrl, next: storeUrl, code, why: text },
  "copy-began": { job: text, dataset, from: storeUrl, to: storeUrl },
  "copy-ended": { job: text, dataset, from: storeUrl, to: storeUrl, outcome: z.enum(["copied", "planned", "nothing", "failed", "skipped"]), code: code.nullable(), seconds },
  "receive-began": { backup: snapshot, target: dataset, store: storeUrl, bytes },
  "receive-ended": { backup: snapshot, target: dataset },
  "backup-verified": { backup: snapshot, level, ok: flag, findingCount: count, bytes },
  "drill-began": { job: text.nullable(), backup: snapshot, candidateCount: count, seed: text },
  "drill-ended": { job: text.nullable(), backup: snapshot.nullable(), ok: flag, rtoSeconds: seconds.nullable(), code: code.nullable() },
  removed: { what: z.enum(["backup", "snapshot", "attempt"]), name: text, store: storeUrl.nullable(), problem: text.nullable() },
} as const satisfies Readonly<Record<Event["event"], z.ZodRawShape>>;

export const eventNames = Object.keys(shapes) as readonly Event["event"][];

const events = Object.entries(shapes).map(([name, shape]) =>
  z.object({ type: z.literal("event"), ...head, event: z.literal(name), ...shape, text: text.optional().describe("where people are told of it, too") }),
);

export const event = z.union(events as [(typeof events)[number], ...typeof events]).describe("what happens on the way");
