/**
 * What a drill is about to make, noted in `<state folder>/drills/` before it is made: whoever is killed leaves a note, by
 * which the next drill takes away what it finds, and nothing else.
 */
import { readdir, rm, rmdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { ZferryError } from "../errors.ts";
import { ifThere, inStateFolder, readIfAny, writeWhole } from "../files.ts";
import { parsedAs } from "../json.ts";
import { takeAway } from "../verify/receive.ts";
import type { Zfs } from "../zfs/command.ts";
import { readDataset } from "../zfs/inventory.ts";
import { parseDatasetName, parseGuid } from "../zfs/names.ts";
import { destroyFilePool, zpoolBeside } from "../zfs/pool.ts";
import { readProperties } from "../zfs/properties.ts";

/** How long the removal may take, whether or not the run was stopped. */
const removeTimeoutMs = 60_000;

const noteSchema = z.object({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{8}$/),
  /** The zfs that made it. */
  command: z.tuple([z.string()], z.string()),
  /** The dataset received into; its last part has the id, or it lies in a pool whose name has it. */
  into: z.string().transform((text) => parseDatasetName(text)),
  /** Of the snapshots that are received. */
  guids: z.array(z.string().transform((text) => parseGuid(text))).readonly(),
  isPackage: z.boolean(),
  /** The pool, where it is one of the drill's own, and the file it lies on. */
  pool: z.object({ name: z.string().transform((text) => parseDatasetName(text)), file: z.string() }).nullable(),
});

export type Note = Readonly<z.output<typeof noteSchema>>;

function folderIn(stateDir: string): string {
  return join(stateDir, "drills");
}

/** The file of a drill's own pool. */
export function poolFileIn(stateDir: string, id: string): string {
  return join(folderIn(stateDir), `${id}.pool`);
}

/** @throws ZferryError `config-invalid` */
export async function writeNote(stateDir: string, note: Note): Promise<void> {
  const path = join(folderIn(stateDir), `${note.id}.json`);
  const text = JSON.stringify(note, (_name, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  await inStateFolder(`write the note "${path}"`, () => writeWhole(path, `${text}\n`));
}

/**
 * Takes away what the note speaks of, and then the note. Safe to repeat.
 *
 * @throws ZferryError when something is left; the note is then left too
 */
export async function clear(stateDir: string, note: Note, zfs: Zfs): Promise<void> {
  const signal = AbortSignal.timeout(removeTimeoutMs);
  if (note.pool === null) {
    await refuseAbsentPool(zfs, note, signal);
    const folder = await mountFolderOf(zfs, note, signal);
    await takeAway({ zfs, into: note.into }, { ...note, isOwnName: true }, signal);
    if (folder !== null) await rmdir(folder).catch(() => undefined); // on another machine, or gone
  } else {
    const { name, file } = note.pool;
    if (!(await destroyFilePool(zpoolBeside(zfs), name, file, { signal }))) {
      throw new ZferryError("zfs-failed", `will not destroy the pool "${name}": it does not lie on "${file}"`, { hint: "look at it, and destroy it with zpool itself" });
    }
    await inStateFolder(`remove "${file}"`, () => rm(file, { force: true }));
  }
  const path = join(folderIn(stateDir), `${note.id}.json`);
  await inStateFolder(`remove the note "${path}"`, () => rm(path, { force: true }));
}

/** Zfs calls a dataset of a pool that is not imported missing: it is there again with the pool. */
async function refuseAbsentPool(zfs: Zfs, { into, id }: Note, signal: AbortSignal): Promise<void> {
  const pool = parseDatasetName(into.split("/", 1)[0] ?? "");
  if ((await readDataset(zfs, pool, { signal })) !== null) return;
  throw new ZferryError("zfs-not-found", `the pool "${pool}" is not imported`, { hint: `import it; if it is gone for good, remove drills/${id}.json in the state folder` });
}

/** The folder that a sample which was cut off has mounted it in (`verify/sample.ts`). */
async function mountFolderOf(zfs: Zfs, { into }: Note, signal: AbortSignal): Promise<string | null> {
  try {
    const folder = (await readProperties(zfs, ["mountpoint"], into, { signal })).get("mountpoint")?.value ?? "";
    return /^zferry-verify-\w+$/.test(basename(folder)) ? folder : null;
  } catch {
    return null; // it is not there, or is looked at again in a moment
  }
}

/** The notes of drills that were killed, for whoever has the lock of the drills. @param warn - is told of what is no note */
export async function readNotes(stateDir: string, warn: (text: string) => void): Promise<readonly Note[]> {
  const folder = folderIn(stateDir);
  return inStateFolder(`read the notes of drills in "${folder}"`, async () => {
    const notes: Note[] = [];
    for (const name of ((await ifThere(readdir(folder))) ?? []).filter((one) => /^[0-9a-f]{8}\.json$/.test(one))) {
      const text = (await readIfAny(join(folder, name)))?.toString("utf8");
      if (text === undefined) continue;
      const note = parsedAs(noteSchema, text);
      if (note === null) warn(`"${join(folder, name)}" cannot be read: look for a dataset or pool that has ${name.slice(0, 8)} in its name, destroy it, and remove the file`);
      else notes.push(note);
    }
    return notes;
  });
}
