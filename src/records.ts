/**
 * Files of records in the state folder: a line of JSON for each, appended; for people and monitoring.
 *
 * A file that has its number of lines becomes the older half (`….1.jsonl`), in the place of the one before, so there is an
 * end to it. Appending is one write to a file opened for that, so two runs at once cannot mix their lines.
 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { z } from "zod";
import { isZferryError } from "./errors.ts";
import { ifThere, inStateFolder, readIfAny } from "./files.ts";
import { parsedAs } from "./json.ts";
import { withLockAt } from "./lock.ts";

/** Of what a file is about in its name: NAME_MAX is 255. The hash tells long names apart. */
const maxNameChars = 160;

/**
 * The file of the records about something.
 *
 * @param title - for people to find it by
 * @param identity - no two of them share a file
 */
export function recordsPath(folder: string, title: string, identity: readonly string[]): string {
  const name = title.replaceAll(/[^A-Za-z0-9_.:-]/g, "-").slice(0, maxNameChars);
  const digest = createHash("sha256").update(identity.join("\n")).digest("hex").slice(0, 8);
  return join(folder, `${name}-${digest}.jsonl`);
}

/**
 * @param kept - records that are kept for certain; at most twice as many lie there
 * @throws ZferryError `config-invalid` when it cannot be written
 */
export async function appendRecord(path: string, record: unknown, kept: number): Promise<void> {
  await inStateFolder(`write the history "${path}"`, async () => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(path, "a+", 0o600);
    try {
      const text = await file.readFile("utf8");
      // A power cut can have torn the last line.
      await file.appendFile(`${text === "" || text.endsWith("\n") ? "" : "\n"}${JSON.stringify(record)}\n`);
      await file.sync();
      if (text.split("\n").length >= kept) await turnOver(path, file);
    } finally {
      await file.close();
    }
  });
}

/**
 * Makes the file the older half, unless another run has done so meanwhile: what is at the path then is young, and would take the
 * place of a whole one. One that is at it right now has it left to it.
 */
async function turnOver(path: string, file: FileHandle): Promise<void> {
  const { signal } = new AbortController();
  await withLockAt(`${path}.lock`, "the history", { signal }, async () => {
    const there = await ifThere(stat(path));
    if (there?.ino === (await file.stat()).ino) await rename(path, path.replace(/\.jsonl$/, ".1.jsonl"));
  }).catch((error: unknown) => {
    if (!isZferryError(error, "locked")) throw error;
  });
}

/** How the records of a folder are read. */
export interface RecordsReading<T> {
  readonly schema: z.ZodType<T>;
  /** The newest so many of each file and its older half. */
  readonly kept: number;
  /** Is told of lines that cannot be understood, which are skipped. */
  readonly warn: (text: string) => void;
}

/** All of a folder, ascending by their start. @throws ZferryError `config-invalid` when they cannot be read */
export async function readRecords<T extends { readonly startedAt: Date }>(folder: string, { schema, kept, warn }: RecordsReading<T>): Promise<readonly T[]> {
  return inStateFolder(`read the history "${folder}"`, async () => {
    const byFile = new Map<string, T[]>();
    for (const name of ((await ifThere(readdir(folder))) ?? []).filter((one) => one.endsWith(".jsonl"))) {
      const whose = name.replace(/(\.1)?\.jsonl$/, "");
      byFile.set(whose, [...(byFile.get(whose) ?? []), ...(await recordsIn(join(folder, name), schema, warn))]);
    }
    return [...byFile.values()].flatMap((records) => records.sort(byStart).slice(-kept)).sort(byStart);
  });
}

async function recordsIn<T>(path: string, schema: z.ZodType<T>, warn: (text: string) => void): Promise<readonly T[]> {
  const text = (await readIfAny(path))?.toString("utf8") ?? ""; // gone: it has become the older half meanwhile
  const records: T[] = [];
  let damagedCount = 0;
  for (const line of text.split("\n").filter((one) => one !== "")) {
    const record = parsedAs(schema, line);
    if (record === null) damagedCount += 1;
    else records.push(record);
  }
  if (damagedCount > 0) warn(`the history "${path}" has ${damagedCount} damaged ${damagedCount === 1 ? "line" : "lines"}, skipped`);
  return records;
}

function byStart(a: { readonly startedAt: Date }, b: { readonly startedAt: Date }): number {
  return a.startedAt.getTime() - b.startedAt.getTime();
}
