/**
 * That a view is there, or about to be: `<state folder>/views/<id>.json`, from before anything is mounted until it is gone
 * again. Whoever finds one whose run is over ends the engine that was left behind, and unmounts.
 *
 * Whoever holds the lock of its dataset may write or remove it, and nobody else.
 */
import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { inStateFolder, readIfAny, syncFolder, writeWhole } from "../files.ts";
import { lockHolderSchema } from "../lock-holder.ts";
import { parseSnapshotName } from "../zfs/names.ts";

/** Of the job's name and the dataset's in the file's: NAME_MAX is 255. The hash tells long names apart. */
const maxNameChars = 100;

const argv = z
  .array(z.string())
  .min(1)
  .transform((words) => words as [string, ...string[]]);

const recordSchema = z.object({
  format: z.literal(1),
  job: z.string(),
  snapshot: z.string().transform((text) => parseSnapshotName(text)),
  startedAt: z.iso.datetime(),
  /** `none`: nothing is to be undone; `mount`: the folder may be a mount point; `command`: `unmount` empties it. */
  undo: z.enum(["none", "mount", "command"]),
  unmount: argv.nullable(),
  /** Names of variables that `unmount` gets, as in the configuration. Their values are nowhere written. */
  passEnvironment: z.array(z.string()),
  /** The last program that worked on the view, which may still do so when its zferry was killed. */
  process: lockHolderSchema.pick({ pid: true, bootId: true, pidNamespace: true, startTime: true }).nullable(),
});

export type ViewRecord = z.output<typeof recordSchema>;

/** Where a view's record and its folder are: the same for every run of a job and dataset. */
export interface ViewPlace {
  readonly recordPath: string;
  /** Where files are mounted, or put; not there between runs. */
  readonly folder: string;
}

export function viewsFolder(stateDir: string): string {
  return join(stateDir, "views");
}

export function viewPlace(stateDir: string, job: string, dataset: string): ViewPlace {
  const name = `${job}-${dataset}`.replaceAll(/[^A-Za-z0-9_.-]/g, "-").slice(0, maxNameChars);
  const digest = createHash("sha256").update(`${job}\n${dataset}`).digest("hex").slice(0, 8);
  return placeNamed(stateDir, `${name}-${digest}`);
}

function placeNamed(stateDir: string, id: string): ViewPlace {
  const path = join(viewsFolder(stateDir), id);
  return { recordPath: `${path}.json`, folder: path };
}

/** Of all views that somebody has left, or is using. @throws ZferryError `config-invalid` */
export async function viewPlaces(stateDir: string): Promise<readonly ViewPlace[]> {
  const folder = viewsFolder(stateDir);
  const names = await inStateFolder(`list the folder "${folder}"`, () =>
    readdir(folder).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }),
  );
  return names.filter((name) => name.endsWith(".json")).sort().map((name) => placeNamed(stateDir, name.replace(/\.json$/, "")));
}

/** Null when there is none; `damaged` for one that cannot be understood. @throws ZferryError `config-invalid` */
export async function readViewRecord({ recordPath }: ViewPlace): Promise<ViewRecord | "damaged" | null> {
  const bytes = await inStateFolder(`read the record "${recordPath}"`, () => readIfAny(recordPath));
  if (bytes === null) return null;
  try {
    return recordSchema.parse(JSON.parse(bytes.toString("utf8")));
  } catch {
    return "damaged";
  }
}

/** @throws ZferryError `config-invalid` */
export async function writeViewRecord({ recordPath }: ViewPlace, record: ViewRecord): Promise<void> {
  await inStateFolder(`write the record "${recordPath}"`, () => writeWhole(recordPath, `${JSON.stringify(record, null, 1)}\n`));
}

/** @throws ZferryError `config-invalid` */
export async function removeViewRecord({ recordPath, folder }: ViewPlace): Promise<void> {
  await inStateFolder(`remove the record "${recordPath}"`, async () => {
    await rm(recordPath, { force: true });
    await syncFolder(join(folder, ".."));
  });
}
