/**
 * A fixed number of things that are lent and given back: part buffers, and leave to have a request in flight. This is
 * where backpressure comes from: whoever finds the pool empty waits, in order of arrival.
 */
import { reasonOf, unlessAborted } from "./abort.ts";

export class Pool<T> {
  readonly #make: () => T;
  readonly #idle: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];
  #leftToMake: number;

  /** @param make - called when none lies idle and fewer than `count` have been made, so an unused pool costs nothing */
  constructor(count: number, make: () => T) {
    this.#leftToMake = count;
    this.#make = make;
  }

  /** Waits for one; rejects with the signal's reason, and then takes none. */
  async take(signal: AbortSignal): Promise<T> {
    if (signal.aborted) throw reasonOf(signal);
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#leftToMake > 0) {
      this.#leftToMake -= 1;
      return this.#make();
    }
    let lend: (item: T) => void = () => undefined;
    const lent = new Promise<T>((resolve) => {
      lend = resolve;
    });
    this.#waiting.push(lend);
    try {
      return await unlessAborted(lent, signal);
    } catch (error) {
      const place = this.#waiting.indexOf(lend);
      // Lent and aborted in the same breath: it goes to the next in line.
      if (place < 0) this.give(await lent);
      else this.#waiting.splice(place, 1);
      throw error;
    }
  }

  give(item: T): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(item);
    else next(item);
  }

  /** Forgets what lies idle, so that its memory can go. */
  clear(): void {
    this.#leftToMake += this.#idle.length;
    this.#idle.length = 0;
  }
}
