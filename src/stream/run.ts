/**
 * What all stages of one pipe share: a signal that stops them, and the first failure, which is the one to report.
 */
import { setMaxListeners } from "node:events";

/** Linked to an outer signal; whoever fails first says so, and everything that waits on `signal` unwinds. */
export class Run {
  readonly signal: AbortSignal;
  readonly #own = new AbortController();

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#own.signal]);
    setMaxListeners(0, this.signal); // every request in flight listens, and how many there are is bounded elsewhere
  }

  /** Stops the run. Later calls change nothing: the first failure caused the others. */
  fail(error: unknown): void {
    this.#own.abort(error);
  }

  /** The first failure, or the outer signal's reason; undefined while all is well. */
  get failure(): unknown {
    return this.signal.reason as unknown;
  }
}
