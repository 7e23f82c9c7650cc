/**
 * That snapshots are about to be taken: a small file beside the journal, written before `zfs snapshot`; a name is removed
 * from it once the journal names that snapshot. A run that was killed in between leaves it, and the next one knows by it
 * which snapshots are nobody's (`resume.ts`).
 */
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, syncFolder, writeWhole } from "./files.ts";
import { folderName, journalPath } from "./journal.ts";
import { type DatasetName, parseSnapshotName, type SnapshotName } from "./zfs/names.ts";

const snapshot = z.string().transform((text) => parseSnapshotName(text));

const intentSchema = z.object({ version: z.literal(1), snapshots: z.array(snapshot) });

/** As it was once: one name. */
const oneSchema = z.object({ version: z.literal(1), snapshot }).transform(({ snapshot: name }) => ({ snapshots: [name] }));

/** Whose intents: of backups of a dataset into a store. */
export interface IntentPlace {
  readonly stateDir: string;
  readonly storeUrl: string;
  readonly dataset: DatasetName;
}

function intentPath({ stateDir, storeUrl, dataset }: IntentPlace): string {
  return journalPath(stateDir, storeUrl, { verb: "backup", name: dataset }).replace(/\.journal$/, ".intent");
}

/** @throws ZferryError `config-invalid` when it cannot be written */
export async function noteIntent(where: IntentPlace, name: SnapshotName): Promise<void> {
  const noted = await intentsOf(where);
  if (!noted.includes(name)) await writeIntents(where, [...noted, name]);
}

/**
 * The snapshots earlier runs were about to take. What cannot be understood speaks for nothing: a snapshot too many is
 * better than one destroyed on a guess.
 *
 * @throws ZferryError `config-invalid` when it cannot be read
 */
export function intentsOf(where: IntentPlace): Promise<readonly SnapshotName[]> {
  return readIntentsAt(intentPath(where));
}

/** Every snapshot that a run of this host was about to take, of any dataset and for any store. @throws ZferryError `config-invalid` */
export async function readIntents(stateDir: string): Promise<readonly SnapshotName[]> {
  const folder = join(stateDir, folderName);
  const names = await inStateFolder(`read "${folder}"`, () => namesIn(folder));
  const intended: SnapshotName[] = [];
  for (const name of names.filter((one) => one.endsWith(".intent"))) intended.push(...(await readIntentsAt(join(folder, name))));
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

async function readIntentsAt(path: string): Promise<readonly SnapshotName[]> {
  const bytes = await inStateFolder(`read "${path}"`, () => readIfAny(path));
  try {
    return bytes === null ? [] : z.union([intentSchema, oneSchema]).parse(JSON.parse(bytes.toString("utf8"))).snapshots;
  } catch {
    return [];
  }
}

/** Removes a name from it; that it is not there is what was wanted. @throws ZferryError `config-invalid` */
export async function dropIntent(where: IntentPlace, name: SnapshotName): Promise<void> {
  await keepIntents(where, (noted) => noted !== name);
}

/** Removes all names but those to keep; nothing that cannot be understood stays. @throws ZferryError `config-invalid` */
export async function keepIntents(where: IntentPlace, isKept: (name: SnapshotName) => boolean): Promise<void> {
  await writeIntents(where, (await intentsOf(where)).filter(isKept));
}

async function writeIntents(where: IntentPlace, snapshots: readonly SnapshotName[]): Promise<void> {
  const path = intentPath(where);
  if (snapshots.length > 0) {
    await inStateFolder(`write "${path}"`, () => writeWhole(path, `${JSON.stringify({ version: 1, snapshots })}\n`));
    return;
  }
  if ((await inStateFolder(`read "${path}"`, () => readIfAny(path))) === null) return;
  await inStateFolder(`remove "${path}"`, async () => {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  });
}
