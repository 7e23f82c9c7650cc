import { describe, expect, it } from "vitest";
import { parallel } from "../../src/stream/parallel.ts";
import { Run } from "../../src/stream/run.ts";
import { aborted, failureOf, settled } from "./sources.ts";

const forever = new AbortController().signal;

interface Task {
  readonly item: number;
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
}

/** Work that goes on until it is told to end, and obeys the run's signal. */
class Workshop {
  readonly run: Run;
  /** In the order they were begun. */
  readonly begun: Task[] = [];
  runningCount = 0;
  maxRunningCount = 0;

  constructor(outer: AbortSignal = forever) {
    this.run = new Run(outer);
  }

  readonly work = async (item: number): Promise<string> => {
    this.runningCount += 1;
    this.maxRunningCount = Math.max(this.maxRunningCount, this.runningCount);
    try {
      await Promise.race([
        aborted(this.run.signal),
        new Promise<void>((finish, fail) => this.begun.push({ item, finish, fail })),
      ]);
      return `done ${item}`;
    } finally {
      await settled(1); // letting go takes a moment, and must be waited for
      this.runningCount -= 1;
    }
  };

  task(item: number): Task {
    const found = this.begun.find((task) => task.item === item);
    if (found === undefined) throw new Error(`the work on ${item} has not begun`);
    return found;
  }
}

interface Items {
  readonly source: AsyncGenerator<number>;
  pulledCount: number;
  isReleased: boolean;
}

/** The numbers from 0; after them it ends, fails, or waits for the signal. */
function items(count: number, ending: { readonly failure?: Error; readonly stuckUntil?: AbortSignal } = {}): Items {
  const watch: Items = { source: run(), pulledCount: 0, isReleased: false };
  async function* run(): AsyncGenerator<number> {
    try {
      for (let item = 0; item < count; item++) {
        watch.pulledCount += 1;
        yield await Promise.resolve(item);
      }
      if (ending.stuckUntil !== undefined) await aborted(ending.stuckUntil);
      if (ending.failure !== undefined) throw ending.failure;
    } finally {
      watch.isReleased = true;
    }
  }
  return watch;
}

async function resultsOf<T>(source: AsyncIterable<T>): Promise<T[]> {
  const results: T[] = [];
  for await (const result of source) results.push(result);
  return results;
}

describe("results", () => {
  it("come in the order of the items, whatever order the work ends in", async () => {
    const shop = new Workshop();
    const results = resultsOf(parallel(items(4).source, { limit: 4, run: shop.run }, shop.work));
    await settled();
    for (const item of [3, 1, 2, 0]) {
      shop.task(item).finish();
      await settled(2);
    }
    expect(await results).toEqual(["done 0", "done 1", "done 2", "done 3"]);
    expect(shop.run.signal.aborted).toBe(false);
  });

  it.for([1, 2, 3, 8])("come from at most %i works at a time, and as many as that", async (limit) => {
    const shop = new Workshop();
    const results = resultsOf(parallel(items(8).source, { limit, run: shop.run }, shop.work));
    for (let item = 0; item < 8; item++) {
      await settled();
      expect(shop.begun.length).toBe(Math.min(8, item + limit));
      shop.task(item).finish();
    }
    expect(await results).toHaveLength(8);
    expect(shop.maxRunningCount).toBe(limit);
  });

  it("are none when there are no items", async () => {
    const shop = new Workshop();
    expect(await resultsOf(parallel([], { limit: 2, run: shop.run }, shop.work))).toEqual([]);
  });

  it("that nobody asks for hold the source back", async () => {
    const shop = new Workshop();
    const watch = items(5);
    const results = parallel(watch.source, { limit: 2, run: shop.run }, shop.work);
    expect(watch.pulledCount).toBe(0);
    const first = results.next();
    await settled();
    shop.task(0).finish();
    shop.task(1).finish();
    expect((await first).value).toBe("done 0");
    await settled();
    expect(watch.pulledCount).toBe(2);
    await results.return(undefined);
  });
});

/** Runs to its failure; afterwards nothing may be running and the source must be let go of. */
async function failing(shop: Workshop, watch: Items, act: () => void | Promise<void>): Promise<Error> {
  const results = resultsOf(parallel(watch.source, { limit: 2, run: shop.run }, shop.work));
  const ended = failureOf(results);
  await settled();
  await act();
  const error = await ended;
  expect(shop.runningCount).toBe(0);
  expect(watch.isReleased).toBe(true);
  expect(shop.run.failure).toBe(error);
  return error;
}

describe("the first failure", () => {
  it.for([0, 1])("is thrown when it is the work on item %i, and the other work is stopped", async (item) => {
    const shop = new Workshop();
    const failure = new Error(`the work on ${item} failed`);
    expect(await failing(shop, items(5), () => { shop.task(item).fail(failure); })).toBe(failure);
    expect(shop.begun).toHaveLength(2);
  });

  it("is thrown although the others fail too", async () => {
    const shop = new Workshop();
    const [first, second] = [new Error("first"), new Error("second")];
    const error = await failing(shop, items(5), async () => {
      shop.task(1).fail(first);
      await settled(3);
      shop.begun[0]?.fail(second);
    });
    expect(error).toBe(first);
  });

  it("of a work ends the wait for a source that is stuck", async () => {
    const shop = new Workshop();
    const failure = new Error("failed");
    const watch = items(1, { stuckUntil: shop.run.signal });
    expect(await failing(shop, watch, () => { shop.task(0).fail(failure); })).toBe(failure);
  });

  it("of a work is thrown although the source, freed by it, complains of something else", async () => {
    const shop = new Workshop();
    const failure = new Error("failed");
    async function* source(): AsyncGenerator<number> {
      yield 0;
      await aborted(shop.run.signal).catch(() => undefined);
      throw new Error("the stream was cut off");
    }
    const ended = failureOf(resultsOf(parallel(source(), { limit: 2, run: shop.run }, shop.work)));
    await settled();
    shop.task(0).fail(failure);
    expect(await ended).toBe(failure);
  });

  it("may be the source's, and stops the work", async () => {
    const shop = new Workshop();
    const failure = new Error("the source failed");
    expect(await failing(shop, items(1, { failure }), () => undefined)).toBe(failure);
    expect(shop.begun).toHaveLength(1);
  });

  it("may be a work that throws before it is a promise", async () => {
    const failure = new Error("at once");
    const watch = items(3);
    const broken = (): Promise<string> => {
      throw failure;
    };
    expect(await failureOf(resultsOf(parallel(watch.source, { limit: 2, run: new Run(forever) }, broken)))).toBe(failure);
    expect(watch.isReleased).toBe(true);
  });

  it("may come from elsewhere in the run", async () => {
    const shop = new Workshop();
    const failure = new Error("elsewhere");
    expect(await failing(shop, items(5), () => { shop.run.fail(failure); })).toBe(failure);
  });

  it("may be an abort from outside", async () => {
    const outside = new AbortController();
    const shop = new Workshop(outside.signal);
    const reason = new Error("stopped by SIGINT");
    expect(await failing(shop, items(5), () => { outside.abort(reason); })).toBe(reason);
  });

  it("may have been there before the start: no work is begun then", async () => {
    const shop = new Workshop();
    const failure = new Error("before");
    shop.run.fail(failure);
    expect(await failing(shop, items(5), () => undefined)).toBe(failure);
    expect(shop.begun).toHaveLength(0);
  });
});

describe("a consumer that has had enough", () => {
  it("stops the work, waits for it and returns the source", async () => {
    const shop = new Workshop();
    const watch = items(5);
    const results = parallel(watch.source, { limit: 2, run: shop.run }, shop.work);
    const first = results.next();
    await settled();
    shop.task(0).finish();
    expect((await first).value).toBe("done 0");
    await results.return(undefined);
    expect(shop.runningCount).toBe(0);
    expect(watch.isReleased).toBe(true);
    expect(shop.run.signal.aborted).toBe(true);
  });

  it("does not wait for a source whose return waits for what only the signal can end", async () => {
    const shop = new Workshop();
    const source: AsyncIterableIterator<number> = {
      [Symbol.asyncIterator]: () => source,
      next: () => Promise.resolve({ done: false, value: 0 }),
      return: () => aborted(shop.run.signal),
    };
    const results = parallel(source, { limit: 1, run: shop.run }, shop.work);
    const first = results.next();
    await settled();
    shop.task(0).finish();
    await first;
    const end = results.return(undefined).then(() => "ended", () => "ended");
    expect(await Promise.race([end, settled(50).then(() => "stuck")])).toBe("ended");
  });
});

describe("a run", () => {
  it("keeps its first failure", () => {
    const run = new Run(forever);
    expect(run.failure).toBeUndefined();
    const [first, second] = [new Error("first"), new Error("second")];
    run.fail(first);
    run.fail(second);
    expect(run.failure).toBe(first);
    expect(run.signal.reason).toBe(first);
  });

  it("that fails leaves the outer signal alone", () => {
    const outer = new AbortController();
    new Run(outer.signal).fail(new Error("inner"));
    expect(outer.signal.aborted).toBe(false);
  });

  it("is failed from the start when the outer signal is aborted", () => {
    const reason = new Error("too late");
    expect(new Run(AbortSignal.abort(reason)).failure).toBe(reason);
  });
});
