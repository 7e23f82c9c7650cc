/**
 * Time as a lease needs it: it must go on counting while this process is stopped (SIGSTOP) or the machine sleeps.
 */
import { uptime } from "node:os";
import { setTimeout as sleepFor } from "node:timers/promises";
import { reasonOf } from "./abort.ts";

export interface SleepOptions {
  readonly signal: AbortSignal;
  /** Does not keep the process alive. */
  readonly isBackground: boolean;
}

/** Replaced in tests. */
export interface LeaseClock {
  /** Milliseconds since 1970: what other hosts can compare. May be set, and then jumps. */
  wallMs(): number;
  /** Milliseconds since this machine was booted: never jumps back, and counts while it is suspended. */
  bootMs(): number;
  /** Rejects with the signal's reason when it is aborted. */
  sleep(ms: number, options: SleepOptions): Promise<void>;
}

/** `os.uptime` is /proc/uptime, which is CLOCK_BOOTTIME; `performance.now` is CLOCK_MONOTONIC, which a suspend stops. */
export const systemLeaseClock: LeaseClock = {
  wallMs: () => Date.now(),
  bootMs: () => uptime() * 1000,
  sleep: (ms, { signal, isBackground }) =>
    sleepFor(ms, undefined, { signal, ref: !isBackground }).catch(() => {
      throw reasonOf(signal);
    }),
};

export interface Moment {
  readonly wallMs: number;
  readonly bootMs: number;
}

export function momentOf(clock: LeaseClock): Moment {
  return { wallMs: clock.wallMs(), bootMs: clock.bootMs() };
}

/**
 * The longer of what both clocks say. A machine that was paused by its hypervisor has not counted the pause; its wall
 * clock is set right soon after. A wall clock set forward for another reason makes a lease end early, never late.
 */
export function msSince(moment: Moment, clock: LeaseClock): number {
  return Math.max(clock.bootMs() - moment.bootMs, clock.wallMs() - moment.wallMs);
}
