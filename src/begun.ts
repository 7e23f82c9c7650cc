/**
 * Attempts whose objects no manifest names for a while: small files in the state folder, one of removals and one of copies.
 *
 * A removal is noted before the manifest is deleted, and a copy before its first object is written; the note goes when all
 * objects are gone, or the manifest is there. What is cut off in between leaves chunks that no manifest names: the next
 * prune, or copy, knows by this file that they are nobody's. Losing it costs nothing: such chunks are strays then.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, syncFolder, writeWhole } from "./files.ts";
import { journalPath } from "./journal.ts";
import { type DatasetName, parseSnapshotName } from "./zfs/names.ts";

const begunSchema = z.object({
  backup: z.string().transform((text) => parseSnapshotName(text)),
  attempt: z.string().regex(/^[0-9a-f]{8}$/),
});

const fileSchema = z.object({ version: z.literal(1), removals: z.array(begunSchema) });

/** A backup whose objects go, or come. */
export type Begun = z.output<typeof begunSchema>;

export interface BegunPlace {
  readonly verb: "prune" | "copy";
  readonly stateDir: string;
  readonly store: { readonly url: string };
  readonly dataset: DatasetName;
}

function pathOf({ verb, stateDir, store, dataset }: BegunPlace): string {
  return journalPath(stateDir, store.url, { verb: "backup", name: dataset }).replace(/\.journal$/, `.${verb}`);
}

/** What was begun and not ended. What cannot be understood speaks for nothing. @throws ZferryError `config-invalid` when it cannot be read */
export async function readBegun(where: BegunPlace): Promise<readonly Begun[]> {
  const path = pathOf(where);
  const bytes = await inStateFolder(`read "${path}"`, () => readIfAny(path));
  try {
    return bytes === null ? [] : fileSchema.parse(JSON.parse(bytes.toString("utf8"))).removals;
  } catch {
    return [];
  }
}

async function write(where: BegunPlace, removals: readonly Begun[]): Promise<void> {
  const path = pathOf(where);
  await inStateFolder(`write "${path}"`, async () => {
    if (removals.length > 0) return writeWhole(path, `${JSON.stringify({ version: 1, removals })}\n`);
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  });
}

/** @throws ZferryError `config-invalid` when it cannot be written: then nothing may be removed, or stored */
export async function noteBegun(where: BegunPlace, { backup, attempt }: Begun): Promise<void> {
  await write(where, [...(await others(where, attempt)), { backup, attempt }]);
}

/** All of it is gone, or none of it goes; or its manifest is there. @throws ZferryError `config-invalid` */
export async function noteEnded(where: BegunPlace, { attempt }: Begun): Promise<void> {
  const noted = await readBegun(where);
  const left = noted.filter((one) => one.attempt !== attempt);
  if (left.length < noted.length) await write(where, left);
}

async function others(where: BegunPlace, attempt: string): Promise<readonly Begun[]> {
  return (await readBegun(where)).filter((removal) => removal.attempt !== attempt);
}
