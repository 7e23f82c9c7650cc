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

const intentSchema = z.object({
  version: z.literal(1),
  snapshots: z.array(snapshot),
  /** By name; none of those that were noted before there were marks. */
  marks: z.record(z.string(), z.string()).default({}),
});

/** As it was once: one name. */
const oneSchema = z.object({ version: z.literal(1), snapshot }).transform(({ snapshot: name }): z.output<typeof intentSchema> => ({ version: 1, snapshots: [name], marks: {} }));

/** A snapshot that is about to be taken. */
export interface Intent {
  readonly name: SnapshotName;
  /** What it is to be marked with (`zfs/snapshots.ts`); null in a note from before there were marks. */
  readonly mark: string | null;
}

/** Whether that is the snapshot that was meant, and not one that another run has taken under its name. */
export function isMeant({ name, mark }: Intent, found: { readonly name: SnapshotName; readonly mark: string | null }): boolean {
  return found.name === name && found.mark !== null && (mark === null || mark === found.mark);
}

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
export async function noteIntent(where: IntentPlace, intent: Intent): Promise<void> {
  const noted = (await intentsOf(where)).filter(({ name }) => name !== intent.name);
  await writeIntents(where, [...noted, intent]);
}

/**
 * The snapshots earlier runs were about to take. What cannot be understood speaks for nothing: a snapshot too many is
 * better than one destroyed on a guess.
 *
 * @throws ZferryError `config-invalid` when it cannot be read
 */
export function intentsOf(where: IntentPlace): Promise<readonly Intent[]> {
  return readIntentsAt(intentPath(where));
}

/** Every snapshot that a run of this host was about to take, of any dataset and for any store. @throws ZferryError `config-invalid` */
export async function readIntents(stateDir: string): Promise<readonly SnapshotName[]> {
  const folder = join(stateDir, folderName);
  const names = await inStateFolder(`read "${folder}"`, () => namesIn(folder));
  const intended: Intent[] = [];
  for (const name of names.filter((one) => one.endsWith(".intent"))) intended.push(...(await readIntentsAt(join(folder, name))));
  return intended.map(({ name }) => name);
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

async function readIntentsAt(path: string): Promise<readonly Intent[]> {
  const bytes = await inStateFolder(`read "${path}"`, () => readIfAny(path));
  try {
    const { snapshots, marks } = z.union([intentSchema, oneSchema]).parse(bytes === null ? { version: 1, snapshots: [] } : JSON.parse(bytes.toString("utf8")));
    return snapshots.map((name) => ({ name, mark: marks[name] ?? null }));
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
  await writeIntents(where, (await intentsOf(where)).filter(({ name }) => isKept(name)));
}

async function writeIntents(where: IntentPlace, intents: readonly Intent[]): Promise<void> {
  const path = intentPath(where);
  if (intents.length > 0) {
    const marks = Object.fromEntries(intents.flatMap(({ name, mark }) => (mark === null ? [] : [[name, mark]])));
    const text = JSON.stringify({ version: 1, snapshots: intents.map(({ name }) => name), marks });
    await inStateFolder(`write "${path}"`, () => writeWhole(path, `${text}\n`));
    return;
  }
  if ((await inStateFolder(`read "${path}"`, () => readIfAny(path))) === null) return;
  await inStateFolder(`remove "${path}"`, async () => {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  });
}
