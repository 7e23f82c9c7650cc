/**
 * What there is to do: the datasets of jobs as they are tonight, and which of them are snapshotted together.
 */
import { isSettled, selectDatasets } from "../config/globs.ts";
import type { JobSettings } from "../config/jobs.ts";
import { ZferryError } from "../errors.ts";
import type { Cancellable, Zfs } from "../zfs/command.ts";
import { listDatasets } from "../zfs/inventory.ts";
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";
import type { Task } from "./task.ts";

/**
 * The datasets a job means now; a name that is not there is among them, so that its absence is told.
 *
 * @throws ZferryError `zfs-not-found` when there is none, `zfs-…` when it cannot be told
 */
export async function datasetsOf(
  job: Pick<JobSettings, "name" | "datasets" | "exclude" | "isRecursive">,
  zfs: Zfs,
  { warn, signal }: Cancellable & { readonly warn: (text: string) => void },
): Promise<readonly DatasetName[]> {
  if (isSettled(job) && job.exclude.length === 0) return job.datasets.map((name) => parseDatasetName(name));
  const { datasets, idle } = selectDatasets(job, await listDatasets(zfs, null, { signal }));
  for (const pattern of idle) warn(`job "${job.name}": "${pattern}" matches no dataset`);
  if (datasets.length > 0) return datasets;
  throw new ZferryError("zfs-not-found", `the job "${job.name}" matches no dataset`, {
    hint: "compare its datasets and exclude with `zfs list`",
  });
}

/** Jobs that share a quiesce and a snapshot; in the order in which the first of each group stands. */
export function groupsOf(jobs: readonly JobSettings[]): readonly (readonly JobSettings[])[] {
  const groups = new Map<unknown, JobSettings[]>();
  for (const job of jobs) {
    const key = job.group === null ? job : `group ${job.group}`;
    groups.set(key, [...(groups.get(key) ?? []), job]);
  }
  return [...groups.values()];
}

/**
 * What can be snapshotted at once: one atomic command names a dataset once only, so where two jobs of a group have the same
 * dataset, for two stores, the second has its turn in a round of its own.
 */
export function roundsOf(tasks: readonly Task[]): readonly (readonly Task[])[] {
  const rounds: Task[][] = [];
  for (const task of tasks) {
    const free = rounds.find((round) => round.every(({ dataset }) => dataset !== task.dataset));
    if (free === undefined) rounds.push([task]);
    else free.push(task);
  }
  return rounds;
}
