/**
 * How far a run is: on a terminal one line that changes, otherwise a line a minute.
 *
 * Driven by the bytes that pass and not by a timer, which a busy engine would starve.
 */
import { formatRate, formatSize } from "../bytes.ts";
import type { Report } from "./report.ts";

const liveEveryMs = 250;
const lineEveryMs = 60_000;

export class Progress {
  readonly #report: Report;
  readonly #verb: string;
  readonly #startedAt = performance.now();
  #saidAt = performance.now();
  #bytes = 0;
  #totalBytes: number | null = null;

  /** @param verb - what is being done, as in `sent` */
  constructor(report: Report, verb: string) {
    this.#report = report;
    this.#verb = verb;
  }

  /** A guess of the whole; null when there is none. It can be half of the truth. */
  expect(bytes: number | null): void {
    this.#totalBytes = bytes;
  }

  readonly count = (bytes: number): void => {
    this.#bytes += bytes;
    const now = performance.now();
    const everyMs = this.#report.isLive ? liveEveryMs : lineEveryMs;
    if (now - this.#saidAt < everyMs) return;
    this.#saidAt = now;
    if (this.#report.isLive) this.#report.live(this.#line());
    else this.#report.info(this.#line());
  };

  get bytes(): number {
    return this.#bytes;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** Removes the live line, so that what follows starts on a clean one. */
  end(): void {
    if (this.#report.isLive) this.#report.live("");
  }

  #line(): string {
    const rate = formatRate(this.#bytes, this.seconds);
    const total = this.#totalBytes;
    if (total === null || total < this.#bytes || this.#bytes === 0) return `${this.#verb} ${formatSize(this.#bytes)} at ${rate}`;
    const leftSeconds = ((total - this.#bytes) / this.#bytes) * this.seconds;
    return `${this.#verb} ${formatSize(this.#bytes)} of about ${formatSize(total)} at ${rate}, ${clock(leftSeconds)} left`;
  }
}

/** `3:05` or `1:02:03`. */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${String(m).padStart(h > 0 ? 2 : 1, "0")}:${String(s).padStart(2, "0")}`;
  return h > 0 ? `${h}:${tail}` : tail;
}
