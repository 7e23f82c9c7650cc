/** What goes on between this run and its stores at this moment, for the moving line of a terminal. */
import type { RetryNotice } from "../store/retry.ts";
import { clock } from "./clock.ts";

/** One for each run; stores tell it, progress asks it. */
export class Traffic {
  #partCount = 0;
  #window = 0;
  #retry: { readonly what: string; readonly attempt: number; readonly againAt: number } | null = null;

  /** @param window - parts that may be in flight at a time */
  readonly onPart = (change: 1 | -1, window: number): void => {
    this.#partCount += change;
    this.#window = window;
  };

  readonly onRetry = ({ what, attempt, delayMs }: RetryNotice): void => {
    this.#retry = { what, attempt, againAt: performance.now() + delayMs };
  };

  /** In pieces; none where there is nothing to tell. */
  get told(): string[] {
    const told = this.#partCount === 0 ? [] : [`${this.#partCount} of ${this.#window} parts in flight`];
    const waitMs = this.#retry === null ? 0 : this.#retry.againAt - performance.now();
    if (this.#retry !== null && waitMs > 0) told.push(`try ${this.#retry.attempt + 1} in ${clock(Math.ceil(waitMs / 1000))}: ${this.#retry.what}`);
    return told;
  }
}
