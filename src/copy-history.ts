/**
 * What the copies made on this host came to: a line of JSON for each, in `<state folder>/copies`, a file per job, dataset and
 * target (`records.ts`). As the history of runs (`history.ts`), it decides nothing and losing it loses no backup.
 */
import { join } from "node:path";
import { z } from "zod";
import { appendRecord, readRecords, recordsPath } from "./records.ts";
import { parseDatasetName } from "./zfs/names.ts";

/** Of one job, dataset and target, kept for certain. */
const keptCopies = 500;

const time = z.iso.datetime().transform((text) => new Date(text));

/** One line. */
export const copyRecordSchema = z.object({
  job: z.string(),
  dataset: z.string().transform((text) => parseDatasetName(text)),
  /** Of the store that was copied into. */
  storeUrl: z.string(),
  startedAt: time,
  endedAt: time,
  /** `nothing`: all that is wanted was there already. */
  outcome: z.enum(["copied", "nothing", "failed"]),
  copiedCount: z.number(),
  /** Bytes of chunks that were sent. */
  sentBytes: z.number(),
  /** The first thing that failed; others may have been copied all the same. */
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }).nullable(),
});

/** One dataset's way into one store. */
export type CopyRecord = Readonly<z.output<typeof copyRecordSchema>>;

/** @throws ZferryError `config-invalid` when it cannot be written; no reason to fail a copy */
export async function appendCopy(stateDir: string, record: CopyRecord): Promise<void> {
  const { job, dataset, storeUrl } = record;
  await appendRecord(recordsPath(folderOf(stateDir), `${job}-${dataset}`, [job, dataset, storeUrl]), record, keptCopies);
}

/**
 * The newest of each, ascending by their start.
 *
 * @param warn - is told of lines that cannot be understood, which are skipped
 * @throws ZferryError `config-invalid` when they cannot be read
 */
export function readCopies(stateDir: string, warn: (text: string) => void): Promise<readonly CopyRecord[]> {
  return readRecords(folderOf(stateDir), { schema: copyRecordSchema, kept: keptCopies, warn });
}

function folderOf(stateDir: string): string {
  return join(stateDir, "copies");
}
