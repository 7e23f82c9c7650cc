/**
 * What the runs on this host came to: a line of JSON for each, in `<state folder>/history`, a file per job and dataset.
 *
 * It is for people and monitoring (`records.ts`); nothing is decided by it, and losing it loses no backup.
 */
import { join } from "node:path";
import { z } from "zod";
import { appendRecord, readRecords, recordsPath } from "./records.ts";
import { parseDatasetName, parseSnapshotName } from "./zfs/names.ts";

/** Runs of one job and dataset that are kept for certain; at most twice as many lie there. */
export const keptRuns = 1000;

const time = z.iso.datetime().transform((text) => new Date(text));

/** One line. */
export const runRecordSchema = z.object({
  job: z.string(),
  /** Null where the job failed before it was known which datasets it means. */
  dataset: z
    .string()
    .transform((text) => parseDatasetName(text))
    .nullable(),
  /** As the store calls itself; as the configuration names it when it was never open. */
  storeUrl: z.string(),
  startedAt: time,
  endedAt: time,
  /** `stored`: there is a new backup; `nothing`: there was nothing to send; `skipped`: another run was at work. */
  outcome: z.enum(["stored", "nothing", "failed", "skipped"]),
  /** Of the backup that was made, or was to be made; null when it did not come to that. */
  kind: z.enum(["full", "incremental"]).nullable(),
  /** The backup that was stored; null for none. */
  backup: z
    .string()
    .transform((text) => parseSnapshotName(text))
    .nullable(),
  /** Bytes of the ZFS stream. */
  streamBytes: z.number().nullable(),
  /** Bytes in the store, the chunks together. */
  storedBytes: z.number().nullable(),
  /** How long the hooks had services stopped, in milliseconds; null without hooks. */
  downtimeMs: z.number().nullable(),
  /** Why it failed or was skipped. */
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }).nullable(),
});

/** One dataset's part of one run, or why a job had none. */
export type RunRecord = Readonly<z.output<typeof runRecordSchema>>;

/** @throws ZferryError `config-invalid` when it cannot be written; no reason to fail a backup */
export async function appendRun(stateDir: string, record: RunRecord): Promise<void> {
  const { job, dataset } = record;
  await appendRecord(recordsPath(folderOf(stateDir), `${job}-${dataset ?? ""}`, [job, dataset ?? ""]), record, keptRuns);
}

/**
 * The newest thousand runs of every job and dataset, ascending by their start.
 *
 * @param warn - is told of lines that cannot be understood, which are skipped
 * @throws ZferryError `config-invalid` when they cannot be read
 */
export function readRuns(stateDir: string, warn: (text: string) => void): Promise<readonly RunRecord[]> {
  return readRecords(folderOf(stateDir), { schema: runRecordSchema, kept: keptRuns, warn });
}

function folderOf(stateDir: string): string {
  return join(stateDir, "history");
}
