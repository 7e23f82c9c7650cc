/**
 * Bounded concurrency with order kept: the one place where the engine lets two things run at once.
 */
import type { Run } from "./run.ts";

/**
 * Runs `work` on the items of `source`, at most `limit` at a time, and yields the results in the items' order.
 *
 * Pulls the next item only when a place is free. At the first failure, of the source or of a work, it fails the `run`
 * (whose signal the source and the works must obey, so that none of them waits for ever), waits until nothing is
 * running, and throws that first failure. The same when the run fails elsewhere or the consumer stops early.
 */
export async function* parallel<T, R>(
  source: AsyncIterable<T> | Iterable<T>,
  { limit, run }: { limit: number; run: Run },
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  try {
    for await (const item of source) {
      run.signal.throwIfAborted();
      const result = work(item);
      result.catch((error: unknown) => {
        run.fail(error);
      });
      running.push(result);
      if (running.length >= limit) yield* handOver(await oldest(running), run);
    }
    while (running.length > 0) yield* handOver(await oldest(running), run);
  } catch (error) {
    run.fail(error);
    throw run.failure;
  } finally {
    await Promise.allSettled(running);
  }
}

async function oldest<R>(running: Promise<R>[]): Promise<R> {
  const [first] = running;
  if (first === undefined) throw new Error("nothing is running");
  const result = await first;
  void running.shift();
  return result;
}

/**
 * A consumer that leaves instead of asking for more fails the run here, before the source is returned: a source that is
 * stuck answers its return only when the signal has freed it.
 */
function* handOver<R>(result: R, run: Run): Generator<R> {
  let isAskedForMore = false;
  try {
    yield result;
    isAskedForMore = true;
  } finally {
    if (!isAskedForMore) run.fail(new Error("the results are no longer wanted"));
  }
}
