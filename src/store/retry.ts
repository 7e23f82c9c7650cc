/**
 * Trying again, in the one place that does it. Waits grow exponentially with full jitter (AWS Architecture Blog,
 * "Exponential Backoff And Jitter"), so that many clients of a store coming back do not come back together. The budget
 * is time, not tries, and runs from the first failure: an outage pauses `zfs send`, it does not fail the night.
 */
import { setTimeout as sleepFor } from "node:timers/promises";
import { reasonOf } from "./abort.ts";
import type { Fault } from "./transient.ts";
import { faultOf, givenUp, retryAfterMs, triesAfter } from "./transient.ts";

/** What the user is told before each wait. */
export interface RetryNotice {
  /** The operation, as in `part 3 of "streams/…"`. */
  readonly what: string;
  /** How many tries have failed so far, from 1. */
  readonly attempt: number;
  /** How long until the next try. */
  readonly delayMs: number;
  readonly error: unknown;
}

/** Time, and the dice; replaced in tests. */
export interface RetryClock {
  /** Milliseconds that never run backwards. */
  now(): number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Uniform in [0, 1). */
  random(): number;
}

/**
 * Whether a store has been waited for in vain: one operation has used up its budget, and none has succeeded since. Others
 * are tried once then, so that a run over many datasets waits for a dead store once and not for each of them.
 */
export interface Outage {
  isOn: boolean;
}

export interface RetryPolicy {
  /** From the first failure of an operation until no further try is begun. 0 never tries again. */
  readonly budgetMs: number;
  /** The first wait is at most this long, each further one at most twice the one before. */
  readonly firstDelayMs: number;
  /** No wait is longer, `Retry-After` included. */
  readonly maxDelayMs: number;
  /** Shared by all that is asked of one store; without it each operation has all of the budget. */
  readonly outage?: Outage;
  readonly onRetry?: (notice: RetryNotice) => void;
  readonly clock?: RetryClock;
}

/** An hour of patience: half a second to a minute between tries. */
export const defaultRetryPolicy: RetryPolicy = { budgetMs: 3_600_000, firstDelayMs: 500, maxDelayMs: 60_000 };

const systemClock: RetryClock = {
  now: () => performance.now(),
  sleep: (ms, signal) =>
    sleepFor(ms, undefined, { signal }).catch(() => {
      throw reasonOf(signal);
    }),
  random: Math.random,
};

export interface RetryOptions {
  /** Names the operation in notices. */
  readonly what: string;
  readonly policy: RetryPolicy;
  /** Ends waits and forbids further tries. The operation has to watch it by itself. */
  readonly signal: AbortSignal;
  /** Which failures are worth another try: the table of `transient.ts` when left out. */
  readonly faultOf?: (error: unknown) => Fault;
}

/**
 * Runs `operation` until it succeeds, fails for good, or the budget is gone ({@link Outage}). Then it throws the last failure as a
 * `store-failed` that no outer retry will try again. Throws the signal's reason once it is aborted.
 *
 * @param operation - given the number of the try, from 1
 */
export async function retry<T>(operation: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { policy, signal } = options;
  const { clock = systemClock, outage = { isOn: false } } = policy;
  const failures = new Map<Fault, number>();
  let firstFailureAt: number | null = null;
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      const result = await operation(attempt);
      outage.isOn = false;
      return result;
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal);
      const fault = (options.faultOf ?? faultOf)(error);
      if (fault === "permanent") throw error;
      const count = (failures.get(fault) ?? 0) + 1;
      failures.set(fault, count);
      firstFailureAt ??= clock.now();
      const elapsedMs = clock.now() - firstFailureAt;
      const delayMs = waitBefore(attempt + 1, error, policy, clock);
      const isSpent = outage.isOn || elapsedMs + delayMs > policy.budgetMs;
      if (isSpent || count > triesAfter[fault]) {
        const isKnown = outage.isOn;
        if (fault === "transient" && isSpent) outage.isOn = true;
        throw givenUp(error, { count: attempt, elapsedMs, isKnown });
      }
      policy.onRetry?.({ what: options.what, attempt, delayMs, error });
      await clock.sleep(delayMs, signal);
    }
  }
}

/** How long to wait before try number `attempt` (from 2). */
function waitBefore(attempt: number, error: unknown, policy: RetryPolicy, clock: RetryClock): number {
  const ceilingMs = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** Math.min(attempt - 2, 30));
  return Math.min(policy.maxDelayMs, Math.max(clock.random() * ceilingMs, retryAfterMs(error)));
}
