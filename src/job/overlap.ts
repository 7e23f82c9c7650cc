/**
 * What happens when another run is at work on a dataset (`when_running`): `queue` waits for it, no longer than until the
 * job's next run is due, and `skip` leaves the dataset for next time. What was asked for without a job fails at once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isZferryError } from "../errors.ts";
import { type LocalLock, takeLocalLock } from "../lock.ts";
import type { Task, World } from "./task.ts";

/** Between two looks whether the other run has ended. */
const pollMs = 1000;

type Surroundings = Pick<World, "stateDir" | "info" | "signal">;

/**
 * Takes the dataset's lock on this host. The caller releases it.
 *
 * @throws ZferryError `locked` when another run is at work and is not to be waited for, or does not end
 */
export function lockFor(task: Task, world: Surroundings): Promise<LocalLock> {
  return inTurn(task, world, () => takeLocalLock(world.stateDir, task.dataset, { signal: world.signal }), () => true);
}

/**
 * Runs `work`, and runs it again while it fails because another run is at work.
 *
 * @param mayRetry - asked after such a failure
 */
export async function inTurn<T>({ job, isAdHoc }: Task, { info, signal }: Surroundings, work: () => Promise<T>, mayRetry: () => boolean): Promise<T> {
  const startedAt = performance.now();
  for (let tries = 0; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isZferryError(error, "locked") || signal.aborted || isAdHoc || job.whenRunning === "skip" || !mayRetry()) throw error;
      if (performance.now() - startedAt > job.everyMs) throw error;
      if (tries === 0) info(`${job.name}: waits for its turn, because ${error.message}`);
    }
    await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}
