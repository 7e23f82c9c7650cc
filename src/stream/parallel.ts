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
  let isDone = false;
  try {
    for await (const item of source) {
      run.signal.throwIfAborted();
      const result = work(item);
      result.catch((error: unknown) => {
        run.fail(error);
      });
      running.push(result);
      if (running.length >= limit) yield await oldest(running);
    }
    while (running.length > 0) yield await oldest(running);
    isDone = true;
  } catch (error) {
    run.fail(error);
    throw run.failure;
  } finally {
    if (!isDone) run.fail(new Error("the results are no longer wanted"));
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
