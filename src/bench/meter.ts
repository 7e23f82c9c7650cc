/**
 * What a stretch of work cost: time, processor time of the whole process (its threads included), how busy the main
 * thread was, and the memory it took.
 */
import { performance } from "node:perf_hooks";
import { GiB, MiB } from "../bytes.ts";

/** What a process has used since it began. */
export interface ProcessUsage {
  /** Of all its threads, in user and kernel mode; not of its children. */
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  /** The highest there ever was. */
  readonly peakRssBytes: number;
}

/** Figures of one stretch. */
export interface Measured {
  readonly bytes: number;
  readonly seconds: number;
  readonly mibPerSecond: number;
  readonly cpuSecondsPerGib: number;
  /** Processors kept busy, on average. */
  readonly busyCores: number;
  /** Part of the time the main thread was not waiting, 0 to 1. */
  readonly mainThreadShare: number;
  /** The highest of samples taken every 25 ms. */
  readonly peakRssBytes: number;
}

const sampleEveryMs = 25;

export class Meter {
  readonly #usage: () => ProcessUsage;
  readonly #startedAt = performance.now();
  readonly #cpuSecondsBefore: number;
  readonly #loopBefore = performance.eventLoopUtilization();
  readonly #timer: NodeJS.Timeout;
  #peakRssBytes = 0;

  /** Starts measuring. */
  constructor(usage: () => ProcessUsage) {
    this.#usage = usage;
    this.#cpuSecondsBefore = this.#sample();
    this.#timer = setInterval(() => this.#sample(), sampleEveryMs);
  }

  /** Ends it. Must be called, also after a failure. */
  stop(bytes: number): Measured {
    clearInterval(this.#timer);
    const seconds = Math.max((performance.now() - this.#startedAt) / 1000, 1e-6);
    const { utilization } = performance.eventLoopUtilization(this.#loopBefore);
    const cpuSeconds = this.#sample() - this.#cpuSecondsBefore;
    return {
      bytes,
      seconds,
      mibPerSecond: bytes / MiB / seconds,
      cpuSecondsPerGib: bytes === 0 ? 0 : (cpuSeconds * GiB) / bytes,
      busyCores: cpuSeconds / seconds,
      mainThreadShare: utilization,
      peakRssBytes: this.#peakRssBytes,
    };
  }

  #sample(): number {
    const { cpuSeconds, rssBytes } = this.#usage();
    this.#peakRssBytes = Math.max(this.#peakRssBytes, rssBytes);
    return cpuSeconds;
  }
}
