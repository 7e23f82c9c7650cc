/**
 * What the copies made on this host came to: a line of JSON for each, in `<state folder>/copies`, a file per job, dataset and
 * target. As the history of runs (`history.ts`), it decides nothing and losing it loses no backup.
 */
import { createHash } from "node:crypto";
import { mkdir, open, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ifThere, inStateFolder, readIfAny } from "./files.ts";
import { parseDatasetName } from "./zfs/names.ts";

/** Lines at which a file becomes the older half, in the place of the one before. */
const keptCopies = 500;
/** As of the history's files. */
const maxNameChars = 160;

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

function folderOf(stateDir: string): string {
  return join(stateDir, "copies");
}

function pathOf(stateDir: string, { job, dataset, storeUrl }: CopyRecord): string {
  const name = `${job}-${dataset}`.replaceAll(/[^A-Za-z0-9_.:-]/g, "-").slice(0, maxNameChars);
  const digest = createHash("sha256").update(`${job}\n${dataset}\n${storeUrl}`).digest("hex").slice(0, 8);
  return join(folderOf(stateDir), `${name}-${digest}.jsonl`);
}

/** @throws ZferryError `config-invalid` when it cannot be written; no reason to fail a copy */
export async function appendCopy(stateDir: string, record: CopyRecord): Promise<void> {
  const path = pathOf(stateDir, record);
  await inStateFolder(`write the history "${path}"`, async () => {
    await mkdir(folderOf(stateDir), { recursive: true, mode: 0o700 });
    const file = await open(path, "a+", 0o600);
    try {
      const text = await file.readFile("utf8");
      // A power cut can have torn the last line.
      await file.appendFile(`${text === "" || text.endsWith("\n") ? "" : "\n"}${JSON.stringify(record)}\n`);
      await file.sync();
      if (text.split("\n").length >= keptCopies) await rename(path, path.replace(/\.jsonl$/, ".1.jsonl"));
    } finally {
      await file.close();
    }
  });
}

/** All there are, ascending by their start; lines that cannot be understood are left out. @throws ZferryError `config-invalid` */
export async function readCopies(stateDir: string): Promise<readonly CopyRecord[]> {
  const folder = folderOf(stateDir);
  return inStateFolder(`read the history "${folder}"`, async () => {
    const names = ((await ifThere(readdir(folder))) ?? []).filter((name) => name.endsWith(".jsonl"));
    const texts = await Promise.all(names.map((name) => readIfAny(join(folder, name))));
    const lines = texts.flatMap((text) => text?.toString("utf8").split("\n") ?? []);
    return lines.flatMap((line) => parse(line)).sort((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
  });
}

function parse(line: string): CopyRecord[] {
  try {
    return [copyRecordSchema.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}
