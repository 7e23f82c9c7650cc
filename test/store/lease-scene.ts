/** Hosts that want one lease, and a time that passes only when a test says so. */
import { setMaxListeners } from "node:events";
import type { LeaseClock } from "../../src/store/lease-clock.ts";
import type { LeaseRecord } from "../../src/store/lease-object.ts";
import type { LeaseOptions } from "../../src/store/lease.ts";
import { leaseKey, type LeaseTiming } from "../../src/store/lease-object.ts";
import type { Store } from "../../src/store/store.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { read, signal } from "../store.bodies.ts";

export const dataset = parseDatasetName("tank/home");
export const key = leaseKey(dataset);
export const timing: LeaseTiming = { ttlMs: 120_000, heartbeatMs: 30_000, skewMs: 10_000 };

setMaxListeners(0, signal); // one per lease, and here all share it

interface Sleeper {
  readonly untilMs: number;
  readonly wake: () => void;
}

/** Starts at the real time, because that is what a memory store stamps its objects with. */
export class TestClock implements LeaseClock {
  /** What this host's clocks are set wrong by. */
  offset: { wallMs: number; bootMs: number } = { wallMs: 0, bootMs: 0 };
  #nowMs = Date.now();
  #sleepers: Sleeper[] = [];

  wallMs(): number {
    return this.#nowMs + this.offset.wallMs;
  }

  bootMs(): number {
    return this.#nowMs + this.offset.bootMs;
  }

  async sleep(ms: number, { signal: until }: { readonly signal: AbortSignal }): Promise<void> {
    until.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        reject(until.reason as Error);
      };
      until.addEventListener("abort", onAbort);
      const wake = (): void => {
        until.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#sleepers.push({ untilMs: this.#nowMs + ms, wake });
    });
  }

  /** Lets time pass, waking every sleeper at its moment. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await settle();
      const next = this.#sleepers.toSorted((a, b) => a.untilMs - b.untilMs)[0];
      if (next === undefined || next.untilMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.untilMs);
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      next.wake();
    }
    this.#nowMs = endMs;
    await settle();
  }

  /** Lets time pass while nobody runs: the process was stopped. */
  skip(ms: number): void {
    this.#nowMs += ms;
  }
}

/** Until everything that waits for nothing but its turn has had it. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** What one host takes a lease with. */
export function host(name: string, clock: LeaseClock, overrides: Partial<LeaseOptions> = {}): LeaseOptions {
  return { ...timing, holder: { id: `id-${name}`, host: name }, signal, warn: neverWarned, clock, ...overrides };
}

function neverWarned(message: string): void {
  throw new Error(`an unexpected warning: ${message}`);
}

/** The lease as it lies in the store. */
export async function stored(store: Store): Promise<LeaseRecord> {
  return JSON.parse((await read(store, key)).toString()) as LeaseRecord;
}

/** Runs `advance` until `work` has ended, and says how it did. */
export async function during<T>(work: Promise<T>, clock: TestClock, ms: number): Promise<PromiseSettledResult<T>> {
  const [[outcome]] = await Promise.all([Promise.allSettled([work]), clock.advance(ms)]);
  return outcome;
}

export function failures(outcomes: readonly PromiseSettledResult<unknown>[]): unknown[] {
  return outcomes.filter((outcome) => outcome.status === "rejected").map(({ reason }): unknown => reason);
}

export function successes<T>(outcomes: readonly PromiseSettledResult<T>[]): T[] {
  return outcomes.filter((outcome) => outcome.status === "fulfilled").map(({ value }) => value);
}
