/**
 * What the runs on this host came to: a line of JSON for each, in `<state folder>/history`, a file per job and dataset.
 *
 * It is for people and monitoring; nothing is decided by it, and losing it loses no backup. A file that has a thousand
 * lines becomes the older half (`….1.jsonl`), in the place of the one before, so there is an end to it. Appending is one
 * write to a file opened for that, so two runs at once cannot mix their lines.
 */
import { createHash } from "node:crypto";
import { mkdir, open, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny } from "./files.ts";
import { parsedAs } from "./json.ts";
import { parseDatasetName, parseSnapshotName } from "./zfs/names.ts";

/** Runs of one job and dataset that are kept for certain; at most twice as many lie there. */
export const keptRuns = 1000;
/** Of the job's name and the dataset's in the file's: NAME_MAX is 255. The hash tells long names apart. */
const maxNameChars = 160;

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
  const path = pathOf(stateDir, record);
  await inStateFolder(`write the history "${path}"`, async () => {
    await mkdir(folderOf(stateDir), { recursive: true, mode: 0o700 });
    const file = await open(path, "a+", 0o600);
    try {
      const text = await file.readFile("utf8");
      // A power cut can have torn the last line.
      await file.appendFile(`${text === "" || text.endsWith("\n") ? "" : "\n"}${JSON.stringify(record)}\n`);
      await file.sync();
      if (text.split("\n").length >= keptRuns) await rename(path, path.replace(/\.jsonl$/, ".1.jsonl"));
    } finally {
      await file.close();
    }
  });
}

/**
 * The newest thousand runs of every job and dataset, ascending by their start.
 *
 * @param warn - is told of lines that cannot be understood, which are skipped
 * @throws ZferryError `config-invalid` when they cannot be read
 */
export async function readRuns(stateDir: string, warn: (text: string) => void): Promise<readonly RunRecord[]> {
  const folder = folderOf(stateDir);
  return inStateFolder(`read the history "${folder}"`, async () => {
    const byFile = new Map<string, RunRecord[]>();
    for (const name of await namesIn(folder)) {
      const whose = name.replace(/(\.1)?\.jsonl$/, "");
      byFile.set(whose, [...(byFile.get(whose) ?? []), ...(await runsIn(join(folder, name), warn))]);
    }
    return [...byFile.values()].flatMap((runs) => runs.sort(byStart).slice(-keptRuns)).sort(byStart);
  });
}

function folderOf(stateDir: string): string {
  return join(stateDir, "history");
}

function pathOf(stateDir: string, { job, dataset }: Pick<RunRecord, "job" | "dataset">): string {
  const name = `${job}-${dataset ?? ""}`.replaceAll(/[^A-Za-z0-9_.:-]/g, "-").slice(0, maxNameChars);
  const digest = createHash("sha256").update(`${job}\n${dataset ?? ""}`).digest("hex").slice(0, 8);
  return join(folderOf(stateDir), `${name}-${digest}.jsonl`);
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(".jsonl"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function runsIn(path: string, warn: (text: string) => void): Promise<readonly RunRecord[]> {
  const text = (await readIfAny(path))?.toString("utf8") ?? ""; // gone: it has become the older half meanwhile
  const runs: RunRecord[] = [];
  let damagedCount = 0;
  for (const line of text.split("\n").filter((one) => one !== "")) {
    const run = parsedAs(runRecordSchema, line);
    if (run === null) damagedCount += 1;
    else runs.push(run);
  }
  if (damagedCount > 0) warn(`the history "${path}" has ${damagedCount} damaged ${damagedCount === 1 ? "line" : "lines"}, skipped`);
  return runs;
}

function byStart(a: RunRecord, b: RunRecord): number {
  return a.startedAt.getTime() - b.startedAt.getTime();
}
