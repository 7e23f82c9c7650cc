/**
 * What a run does when all of its backups are made, or have failed: for each dataset of jobs that have copies, the copies, and then pruning.
 *
 * It comes last so that a slow line to a far store makes no backup late, and copies come before pruning, so that nothing
 * goes before it was copied.
 */
import type { JobSettings } from "../config/jobs.ts";
import { exitStatus } from "../errors.ts";
import { type CopyEnd, copyFailure, CopyPlaces, runCopy } from "./copies.ts";
import { pruneAfter, pruneCopyAfter } from "./pruning.ts";
import type { Place, TaskEnd, World } from "./task.ts";
import { tellFailure } from "./told.ts";

/** Another run, the stream, the pool, a hook: of what fails with these a copy of earlier backups knows nothing. */
const pastCopies: readonly number[] = [11, 13, 14, 16];

/**
 * Whether its copies and its pruning are left until all backups are made. Where tonight's backup failed, earlier ones that a copy
 * lacks are copied all the same; not where it was the store or the configuration that failed, as it would once more.
 */
export function isLeftForLater({ task: { job, isAdHoc }, result }: TaskEnd): boolean {
  if (job.copies.length === 0 || job.files !== null || isAdHoc) return false;
  return result.kind === "backed-up" || (result.kind === "failed" && pastCopies.includes(exitStatus(result.error)));
}

/**
 * @returns every failure, in the order in which they happened
 * @throws the signal's reason: what is left undone the next run does
 */
export async function copyAndPrune(ends: readonly TaskEnd[], world: World): Promise<readonly { readonly job: JobSettings; readonly error: unknown }[]> {
  const failures: { readonly job: JobSettings; readonly error: unknown }[] = [];
  const fail = (job: JobSettings, error: unknown): void => {
    failures.push({ job, error });
    world.failed(error);
  };
  const copies = new CopyPlaces(world);
  const places = new Map<JobSettings, Place | null>();
  try {
    for (const end of ends) {
      const { job } = end.task;
      const place = await openOnce(job, places, world, (error) => {
        fail(job, error);
      });
      if (place === null) continue;
      const made = await copyAll(end, place, copies, world);
      for (const one of made.filter((each) => each.error !== null && !each.isBusy)) fail(job, copyFailure(one));
      await pruneAfter(end, place, world);
      for (const one of made.filter(({ error }) => error === null)) await pruneCopyAfter(end, one, await copies.of(one.task.copy), world);
    }
  } finally {
    await copies.close();
    for (const place of places.values()) await place?.close();
  }
  return failures;
}

async function copyAll({ task: { job, dataset } }: TaskEnd, { store }: Place, copies: CopyPlaces, world: World): Promise<readonly CopyEnd[]> {
  const made: CopyEnd[] = [];
  for (const copy of job.copies) made.push(await runCopy({ job, dataset, copy, from: store }, copies, world));
  return made;
}

/** Null for a store that a backup has just reached and that is not to be reached now; told once. */
async function openOnce(job: JobSettings, places: Map<JobSettings, Place | null>, world: World, failed: (error: unknown) => void): Promise<Place | null> {
  const known = places.get(job);
  if (known !== undefined) return known;
  try {
    const place = await world.openPlace(job);
    places.set(job, place);
    return place;
  } catch (error) {
    world.signal.throwIfAborted();
    places.set(job, null);
    failed(error);
    await tellFailure(job, error, world);
    return null;
  }
}
