/**
 * Which end holds a pipe up. Every stage pulls, so the state of the whole is two questions: does the far end ask for more,
 * and is the near end still to answer? Time is counted for each answer; whoever looks takes what came since the last look.
 */

/** `sink`: nobody asks. `source`: somebody does, and the source has not answered. `between`: it has; the work here takes the time. */
export type Brake = "source" | "between" | "sink";

export class Pressure {
  readonly #now: () => number;
  readonly #ms: Record<Brake, number> = { source: 0, between: 0, sink: 0 };
  #reading = 0;
  #asking = 0;
  #since: number;

  /** @param now - milliseconds that never run backwards */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#since = now();
  }

  /** While `answer` is awaited the source is read. */
  reading<T>(answer: Promise<T>): Promise<T> {
    this.#account();
    this.#reading += 1;
    return answer.finally(() => {
      this.#account();
      this.#reading -= 1;
    });
  }

  /** While `answer` is awaited the far end asks for it. */
  asking<T>(answer: Promise<T>): Promise<T> {
    this.#account();
    this.#asking += 1;
    return answer.finally(() => {
      this.#account();
      this.#asking -= 1;
    });
  }

  /** What took most of the time since the last call; null where it took less than half of it. */
  take(): Brake | null {
    this.#account();
    const { source, between, sink } = this.#ms;
    const half = (source + between + sink) / 2;
    this.#ms.source = this.#ms.between = this.#ms.sink = 0;
    if (half === 0) return null;
    return source >= half ? "source" : sink >= half ? "sink" : between >= half ? "between" : null;
  }

  #account(): void {
    const now = this.#now();
    const brake: Brake = this.#asking === 0 ? "sink" : this.#reading > 0 ? "source" : "between";
    this.#ms[brake] += now - this.#since;
    this.#since = now;
  }
}

/** The items of `source`, told to `pressure` as `how`; as they are without one. */
export function watched<T>(source: AsyncIterable<T>, pressure: Pressure | undefined, how: "reading" | "asking"): AsyncIterable<T> {
  if (pressure === undefined) return source;
  return {
    [Symbol.asyncIterator]: () => {
      const items = source[Symbol.asyncIterator]();
      return { next: () => pressure[how](items.next()), return: (value?: unknown) => items.return?.(value) ?? Promise.resolve({ done: true, value }) };
    },
  };
}
