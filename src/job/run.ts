/**
 * Runs jobs: a nightly run, or whatever was asked for.
 *
 * Jobs of one group go together, groups one after the other, and copies when all of them are done. Every dataset gets its
 * turn: one that failed stops no other, and the first failure is the run's.
 */
import type { JobSettings } from "../config/jobs.ts";
import { copyAndPrune, isLeftForLater } from "./afterwards.ts";
import { planTask } from "./backing.ts";
import { planFilesTask, tidyViews } from "./files.ts";
import { noteEnd, noteNoDatasets } from "./noted.ts";
import { type RoundEnd, runRound } from "./round.ts";
import { datasetsOf, groupsOf, roundsOf } from "./selection.ts";
import type { Task, TaskEnd, World } from "./task.ts";
import { tellDowntime, tellEnd, tellFailure, tellStart, tellSuccess } from "./told.ts";

/** What there is to do: jobs, or a dataset or snapshot without a job. */
export type Wanted = readonly JobSettings[] | Task;

/** What went wrong, and in which job. */
export interface Failure {
  readonly job: JobSettings;
  readonly error: unknown;
}

/**
 * @returns every failure, in the order in which they happened; what was skipped is none
 * @throws the signal's reason when it was aborted and something is left undone, after all that was taken is given back or
 * noted; behind the last commit it comes too late, and changes nothing
 */
export async function runJobs(wanted: Wanted, world: World): Promise<readonly Failure[]> {
  const failures: Failure[] = [];
  const later: Later = { ends: [], well: [] };
  if (!world.isDryRun) await tidyViews(world);
  for (const group of "job" in wanted ? [wanted] : groupsOf(wanted)) {
    world.signal.throwIfAborted();
    failures.push(...(await (world.isDryRun ? planGroup(group, world) : runGroup(group, world, later))));
    if (failures.length > 0) world.signal.throwIfAborted();
  }
  const late = await copyAndPrune(later.ends, world);
  for (const job of later.well) if (!late.some((failure) => failure.job === job)) await tellSuccess(job, world);
  return [...failures, ...late];
}

/** What is to be copied when all groups are done, and the jobs that went well so far. */
interface Later {
  readonly ends: TaskEnd[];
  readonly well: JobSettings[];
}

/** One group of jobs, with all that is told of it. @param later - gets what is left */
async function runGroup(group: Wanted, world: World, later: Later): Promise<readonly Failure[]> {
  const jobs = "job" in group ? [group.job] : group;
  const failures: Failure[] = [];
  const skipped = new Set<JobSettings>();
  const startedAt = world.now();
  for (const job of jobs) await tellStart(job, world);
  const note = (job: JobSettings, error: unknown): void => {
    failures.push({ job, error });
    world.failed(error);
  };
  const fail = async (job: JobSettings, error: unknown): Promise<void> => {
    note(job, error);
    await tellFailure(job, error, world);
  };
  const ended = async (end: TaskEnd): Promise<void> => {
    if (end.result.kind === "failed") note(end.task.job, end.result.error);
    if (end.result.kind === "skipped") skipped.add(end.task.job);
    if (isLeftForLater(end)) later.ends.push(end);
    world.ended(end);
    await noteEnd(end, world);
    await tellEnd(end, world);
  };
  const lost = async (job: JobSettings, error: unknown): Promise<void> => {
    await noteNoDatasets(job, error, { startedAt, world });
    await fail(job, error);
  };
  for (const round of roundsOf(await tasksOf(group, world, lost))) {
    world.signal.throwIfAborted();
    const end = await runRound(round, world, ended);
    for (const job of jobs.filter((one) => round.some((task) => task.job === one))) await judgeQuiesce(job, end, world, fail);
  }
  for (const job of jobs.filter((one) => !skipped.has(one) && !failures.some((failure) => failure.job === one))) {
    if (later.ends.some(({ task }) => task.job === job)) later.well.push(job);
    else await tellSuccess(job, world);
  }
  return failures;
}

/** A service that was down for too long is told; one that did not come up again is a failure, though all is stored. */
async function judgeQuiesce(
  job: JobSettings,
  { failures, downtimeMs }: RoundEnd,
  world: World,
  fail: (job: JobSettings, error: unknown) => Promise<void>,
): Promise<void> {
  if (downtimeMs !== null && job.maxDowntimeMs !== null && downtimeMs > job.maxDowntimeMs) await tellDowntime(job, downtimeMs, world);
  for (const error of failures) await fail(job, error);
}

/** What would be done: nothing is locked, stopped, taken, noted or told. */
async function planGroup(group: Wanted, world: World): Promise<readonly Failure[]> {
  const failures: Failure[] = [];
  const fail = (job: JobSettings, error: unknown): Promise<void> => {
    failures.push({ job, error });
    world.failed(error);
    return Promise.resolve();
  };
  for (const task of await tasksOf(group, world, fail)) {
    const end = task.job.files === null ? await planTask(task, world) : planFilesTask(task, world);
    if (end.result.kind === "failed") await fail(task.job, end.result.error);
    world.ended(end);
  }
  return failures;
}

/** @param lost - is told of each job whose datasets cannot be told, or of which there are none */
async function tasksOf(group: Wanted, world: World, lost: (job: JobSettings, error: unknown) => Promise<void>): Promise<readonly Task[]> {
  if ("job" in group) return [group];
  const tasks: Task[] = [];
  for (const job of group) {
    try {
      const datasets = await datasetsOf(job, world.zfsOf(job), world);
      tasks.push(...datasets.map((dataset) => ({ job, dataset, snapshot: null, isAdHoc: false })));
    } catch (error) {
      await lost(job, error);
    }
  }
  return tasks;
}
