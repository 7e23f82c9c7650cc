/**
 * What the drills of this host came to: `<state folder>/drills.json`, the newest reports last.
 *
 * It is for people and monitoring; nothing is decided by it, and losing it loses no backup. It is written whole, by
 * whoever has the lock of the drills.
 */
import { join } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, writeWhole } from "./files.ts";
import { parsedAs } from "./json.ts";

/** Reports that are kept; each has a few kilobytes, most of them the sample's. */
const keptReports = 200;

const time = z.iso.datetime().transform((text) => new Date(text));

const fileSchema = z.object({
  path: z.string(),
  sizeBytes: z.number(),
  sha256: z.string(),
  /** Whether the source's snapshot was there to compare it with. */
  isCompared: z.boolean(),
});

const reportSchema = z.object({
  /** Null for a dataset that was named by itself. */
  job: z.string().nullable(),
  storeUrl: z.string(),
  startedAt: time,
  endedAt: time,
  outcome: z.enum(["passed", "failed"]),
  seed: z.string(),
  /** How many backups it was picked of. */
  candidateCount: z.number(),
  /** Null when it did not come to a choice; so is the backup's name. */
  dataset: z.string().nullable(),
  backup: z.string().nullable(),
  /** What was received one after the other, the backup itself last. */
  chain: z.array(z.string()),
  guid: z.string().nullable(),
  streamBytes: z.number().nullable(),
  fetchedBytes: z.number(),
  /** Where it was received. */
  place: z.object({ kind: z.enum(["dataset", "file-pool"]), into: z.string() }).nullable(),
  /** From the first look at the store to the guid found on the pool, as `restore` takes it; null when it did not come to that. */
  restoreSeconds: z.number().nullable(),
  sample: z
    .object({
      /** Files that were read in the restored dataset. */
      files: z.array(fileSchema),
      /** Why they could not be read, or were compared with nothing; null when they were. */
      obstacle: z.string().nullable(),
    })
    .nullable(),
  findings: z.array(z.object({ kind: z.string(), message: z.string() })),
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().nullable() }).nullable(),
  /** Whether all that the drill had made is gone again. */
  isClean: z.boolean(),
});

export const drillsSchema = z.object({ version: z.literal(1), reports: z.array(reportSchema) });

/** One drill. */
export type DrillReport = Readonly<z.output<typeof reportSchema>>;

/** Ascending by their end. What cannot be understood is told, and counts as no report. @throws ZferryError `config-invalid` */
export async function readDrills(stateDir: string, warn: (text: string) => void): Promise<readonly DrillReport[]> {
  const path = pathIn(stateDir);
  const bytes = await inStateFolder(`read the reports of drills "${path}"`, () => readIfAny(path));
  if (bytes === null) return [];
  const drills = parsedAs(drillsSchema, bytes.toString("utf8"));
  if (drills === null) warn(`the reports of drills "${path}" cannot be read, and are begun anew by the next drill`);
  return drills?.reports ?? [];
}

/** @throws ZferryError `config-invalid` when it cannot be written */
export async function appendDrill(stateDir: string, report: DrillReport): Promise<void> {
  const path = pathIn(stateDir);
  const reports = [...(await readDrills(stateDir, () => undefined)), report].slice(-keptReports);
  await inStateFolder(`write the reports of drills "${path}"`, () => writeWhole(path, `${JSON.stringify({ version: 1, reports }, null, 1)}\n`));
}

/**
 * The last drill that says something of a dataset of a job: one of its backups, or one that came to no choice at all, until
 * another drill of the job came to one. Null for none.
 */
export function lastDrill(reports: readonly DrillReport[], job: string, dataset: string | null): DrillReport | null {
  const last = reports.findLast((one) => one.job === job) ?? null;
  return reports.findLast((one) => (one.dataset === null ? one === last : one.dataset === dataset && (one.job === job || one.job === null))) ?? null;
}

function pathIn(stateDir: string): string {
  return join(stateDir, "drills.json");
}
