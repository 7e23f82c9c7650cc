/**
 * Removals that were begun: a small file in the state folder, written before the manifest of a backup is deleted and
 * brought up to date when all its objects are gone. A prune that was cut off in between leaves chunks that no manifest
 * names; the next one knows by this file that they are nobody's. Losing it costs nothing: such chunks are strays then.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, syncFolder, writeWhole } from "../files.ts";
import { journalPath } from "../journal.ts";
import { type DatasetName, parseSnapshotName } from "../zfs/names.ts";

const removalSchema = z.object({
  backup: z.string().transform((text) => parseSnapshotName(text)),
  attempt: z.string().regex(/^[0-9a-f]{8}$/),
});

const fileSchema = z.object({ version: z.literal(1), removals: z.array(removalSchema) });

/** A backup whose objects go. */
export type Removal = z.output<typeof removalSchema>;

interface Where {
  readonly stateDir: string;
  readonly store: { readonly url: string };
  readonly dataset: DatasetName;
}

function pathOf({ stateDir, store, dataset }: Where): string {
  return journalPath(stateDir, store.url, { verb: "backup", name: dataset }).replace(/\.journal$/, ".prune");
}

/** What was begun and not ended. What cannot be understood speaks for nothing. @throws ZferryError `config-invalid` when it cannot be read */
export async function readBegun(where: Where): Promise<readonly Removal[]> {
  const path = pathOf(where);
  const bytes = await inStateFolder(`read "${path}"`, () => readIfAny(path));
  try {
    return bytes === null ? [] : fileSchema.parse(JSON.parse(bytes.toString("utf8"))).removals;
  } catch {
    return [];
  }
}

async function write(where: Where, removals: readonly Removal[]): Promise<void> {
  const path = pathOf(where);
  await inStateFolder(`write "${path}"`, async () => {
    if (removals.length > 0) return writeWhole(path, `${JSON.stringify({ version: 1, removals })}\n`);
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  });
}

/** @throws ZferryError `config-invalid` when it cannot be written: then nothing may be removed */
export async function noteBegun(where: Where, { backup, attempt }: Removal): Promise<void> {
  await write(where, [...(await others(where, attempt)), { backup, attempt }]);
}

/** All of it is gone, or none of it goes. @throws ZferryError `config-invalid` */
export async function noteEnded(where: Where, { attempt }: Removal): Promise<void> {
  await write(where, await others(where, attempt));
}

async function others(where: Where, attempt: string): Promise<readonly Removal[]> {
  return (await readBegun(where)).filter((removal) => removal.attempt !== attempt);
}
