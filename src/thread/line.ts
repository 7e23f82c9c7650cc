/**
 * A line of stations in worker threads, one behind the other: what is fed in at one end comes out at the other, in order.
 *
 * Stations are dealt out to the threads in turn, so that two that follow each other work at the same time. Never holds
 * more than three blocks a link, and what its first station may keep. Whatever goes wrong in a thread is thrown at the end of the line.
 */
import { MessageChannel, Worker } from "node:worker_threads";
import { ZferryError } from "../errors.ts";
import type { Run } from "../stream/run.ts";
import { type Block, blocksPerLink, Receiver, Sender } from "./link.ts";
import type { Station } from "./station.ts";
import type { Post } from "./worker.ts";

/**
 * A thread makes small things that die at once. V8 would let 48 MiB of them gather before it looks; this little costs no
 * time that could be measured, and 16 MiB less at the peak of `put` (ADR 0008).
 */
const resourceLimits = { maxYoungGenerationSizeMb: 2 };

export interface LinePlan {
  readonly stations: readonly Station[];
  /** Threads besides this one, 1 at least; more than there are stations make no difference. */
  readonly threads: number;
  /** Blocks the first station may keep beyond those that go round. */
  readonly keptBlocks?: number;
}

/**
 * Feeds the line and yields what comes out of it, lent: a block goes back into the line when the next one is asked for.
 * The iteration ends when `feed` has, and every byte is out. On any failure, `feed`'s own included, the run is failed,
 * `feed` waited for, and the threads are gone before it is thrown.
 *
 * @param feed - must obey the run's signal
 * @param onEnd - hears the note of the end before the iteration ends
 */
export async function* throughLine<In, Out>(
  plan: LinePlan,
  run: Run,
  feed: (input: Sender<In>) => Promise<In>,
  onEnd: (note: Out) => void,
): AsyncGenerator<Block<Out>> {
  const line = new Line<In, Out>(plan);
  const stop = (): void => {
    line.stop(run.failure instanceof Error ? run.failure : new Error("aborted"));
  };
  run.signal.addEventListener("abort", stop, { once: true });
  const feeding = feed(line.input).then(
    (note) => {
      line.input.end(note);
    },
    (error: unknown) => {
      run.fail(error);
    },
  );
  let isOver = false;
  try {
    run.signal.throwIfAborted();
    for await (const block of line.output) {
      yield block;
      line.output.giveBack(block.slice.buffer);
    }
    onEnd(line.output.endNote as Out);
    isOver = true;
  } catch (error) {
    run.fail(error);
    throw run.failure;
  } finally {
    if (!isOver) run.fail(new Error("the bytes are no longer wanted"));
    await feeding;
    run.signal.removeEventListener("abort", stop);
    await line.close();
  }
}

class Line<In, Out> {
  readonly input: Sender<In>;
  readonly output: Receiver<Out>;
  readonly #workers: readonly Worker[];
  #isClosing = false;

  constructor({ stations, threads, keptBlocks = 0 }: LinePlan) {
    const links = Array.from({ length: stations.length + 1 }, () => new MessageChannel());
    const posts = stations.map((station, index): Post => {
      const [before, after] = [links[index], links[index + 1]];
      if (before === undefined || after === undefined) throw new Error("a station without a link");
      return { station, input: before.port2, output: after.port1 };
    });
    const [first, last] = [links[0], links.at(-1)];
    if (first === undefined || last === undefined) throw new Error("a line without stations");
    this.input = new Sender(first.port1, { blocks: blocksPerLink + keptBlocks });
    this.output = new Receiver(last.port2);
    const count = Math.min(threads, stations.length);
    this.#workers = Array.from({ length: count }, (_, thread) => this.#start(posts.filter((_, index) => index % count === thread)));
  }

  /** Wakes whatever waits at either end. */
  stop(reason: Error): void {
    this.input.stop(reason);
    this.output.fail(reason);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.input.close();
    this.output.close();
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #start(posts: readonly Post[]): Worker {
    const transferList = posts.flatMap(({ input, output }) => [input, output]);
    const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData: posts, transferList, name: "zferry", resourceLimits });
    worker.on("error", (error) => {
      this.stop(new ZferryError("bug", `a worker thread failed: ${error.message}`, { cause: error }));
    });
    worker.on("exit", (status) => {
      if (!this.#isClosing) this.stop(new ZferryError("bug", `a worker thread ended with status ${status}`));
    });
    return worker;
  }
}
