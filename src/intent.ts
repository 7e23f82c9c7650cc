/**
 * That a snapshot is about to be taken: a small file beside the journal, written before `zfs snapshot` and removed once
 * the journal names the snapshot. A run that was killed in between leaves it, and the next one knows by it which
 * snapshot is nobody's (`resume.ts`).
 */
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, syncFolder, writeWhole } from "./files.ts";
import { folderName, journalPath } from "./journal.ts";
import { type DatasetName, parseSnapshotName, type SnapshotName } from "./zfs/names.ts";

const intentSchema = z.object({ version: z.literal(1), snapshot: z.string().transform((text) => parseSnapshotName(text)) });

interface Where {
  readonly stateDir: string;
  readonly storeUrl: string;
  readonly dataset: DatasetName;
}

function intentPath({ stateDir, storeUrl, dataset }: Where): string {
  return journalPath(stateDir, storeUrl, { verb: "backup", name: dataset }).replace(/\.journal$/, ".intent");
}

/** @throws ZferryError `config-invalid` when it cannot be written */
export async function noteIntent(where: Where, snapshot: SnapshotName): Promise<void> {
  const path = intentPath(where);
  await inStateFolder(`write "${path}"`, () => writeWhole(path, `${JSON.stringify({ version: 1, snapshot })}\n`));
}

/**
 * The snapshot an earlier run was about to take; null when there is none. What cannot be understood speaks for nothing:
 * a snapshot too many is better than one destroyed on a guess.
 *
 * @throws ZferryError `config-invalid` when it cannot be read
 */
export function readIntent(where: Where): Promise<SnapshotName | null> {
  return readIntentAt(intentPath(where));
}

/** Every snapshot that a run of this host was about to take, of any dataset and for any store. @throws ZferryError `config-invalid` */
export async function readIntents(stateDir: string): Promise<readonly SnapshotName[]> {
  const folder = join(stateDir, folderName);
  const names = await inStateFolder(`read "${folder}"`, () => namesIn(folder));
  const intended: SnapshotName[] = [];
  for (const name of names.filter((one) => one.endsWith(".intent"))) {
    const snapshot = await readIntentAt(join(folder, name));
    if (snapshot !== null) intended.push(snapshot);
  }
  return intended;
}

/** None of a folder that is not there. */
async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function readIntentAt(path: string): Promise<SnapshotName | null> {
  const bytes = await inStateFolder(`read "${path}"`, () => readIfAny(path));
  try {
    return bytes === null ? null : intentSchema.parse(JSON.parse(bytes.toString("utf8"))).snapshot;
  } catch {
    return null;
  }
}

/** Removes it; that there is none is what was wanted. @throws ZferryError `config-invalid` */
export async function dropIntent(where: Where): Promise<void> {
  const path = intentPath(where);
  await inStateFolder(`remove "${path}"`, async () => {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  });
}
