/**
 * How far a run is: on a terminal a line that changes, or two where one is too narrow; otherwise a line a minute.
 *
 * Driven by the bytes that pass, and on a terminal also by the second, so that a store that does not answer is seen.
 */
import { formatRate, formatSize } from "../bytes.ts";
import { type Brake, Pressure } from "../stream/pressure.ts";
import { clock } from "./clock.ts";
import { fitted } from "./live.ts";
import { type Report, rounded } from "./report.ts";

const liveEveryMs = 250;
const lineEveryMs = 60_000;
/** What a rate on a terminal looks back at: long enough to be steady, short enough to see a line break down. */
const windowMs = 15_000;
/** What slows a run down is judged over at least this long, or it would flicker. */
const judgedMs = 2_000;

/** What the ends of the pipe are, for people. */
export interface Ends {
  /** Where the bytes come from. */
  readonly source: string;
  readonly sink: string;
}

export class Progress {
  readonly #report: Report;
  readonly #verb: string;
  readonly #ends: Ends | null;
  readonly #startedAt = performance.now();
  /** Watched only where somebody looks: it takes time for every slice. */
  readonly pressure: Pressure | null;
  #saidAt = performance.now();
  #samples: { readonly at: number; readonly bytes: number }[] = [{ at: performance.now(), bytes: 0 }];
  #brake: { readonly at: number; readonly is: Brake | null } = { at: performance.now(), is: null };
  #bytes = 0;
  #totalBytes: number | null = null;
  #isExact = false;
  #timer: NodeJS.Timeout | null = null;

  /**
   * @param verb - what is being done, as in `sent`
   * @param ends - null where nothing tells which of them is slow
   */
  constructor(report: Report, verb: string, ends: Ends | null = null) {
    this.#report = report;
    this.#verb = verb;
    this.#ends = ends;
    this.pressure = report.isLive && ends !== null ? new Pressure() : null;
  }

  /** A guess of the whole, which can be half of the truth; null when there is none. */
  expect(bytes: number | null): void {
    this.#totalBytes = bytes;
    this.#isExact = false;
  }

  /** The whole, known. */
  readonly total = (bytes: number): void => {
    this.#totalBytes = bytes;
    this.#isExact = true;
  };

  readonly count = (bytes: number): void => {
    this.#bytes += bytes;
    const now = performance.now();
    if (this.#report.isLive) this.#keepShowing();
    const everyMs = this.#report.isLive ? liveEveryMs : lineEveryMs;
    if (now - this.#saidAt >= everyMs) this.#show();
  };

  get bytes(): number {
    return this.#bytes;
  }

  get seconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** As options have it: a member that is there only where somebody looks. */
  get watching(): { readonly pressure?: Pressure } {
    return this.pressure === null ? {} : { pressure: this.pressure };
  }

  /** Removes the live line, so that what follows starts on a clean one. More may come after. */
  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    if (this.#report.isLive) this.#report.live("");
  }

  #keepShowing(): void {
    this.#timer ??= setInterval(() => {
      if (performance.now() - this.#saidAt >= liveEveryMs) this.#show();
    }, 1000).unref();
  }

  #show(): void {
    const now = performance.now();
    this.#saidAt = now;
    if (!this.#report.isLive) {
      const text = this.#sentence(formatRate(this.#bytes, this.seconds), this.#bytes / this.seconds, false).join(", ");
      this.#report.event({ event: "progress", what: this.#verb, bytes: this.#bytes, totalBytes: this.#totalBytes, seconds: rounded(this.seconds) }, { text });
      return;
    }
    const rate = this.#recentRate(now);
    const pieces = [...this.#sentence(formatRate(rate, 1), rate, true), ...this.#braked(now), ...(this.#report.traffic?.told ?? [])];
    this.#report.live(fitted(pieces, this.#report.liveColumns ?? Infinity));
  }

  /** Bytes a second, over the window. */
  #recentRate(now: number): number {
    this.#samples.push({ at: now, bytes: this.#bytes });
    while (this.#samples.length > 2 && (this.#samples[1]?.at ?? now) <= now - windowMs) this.#samples.shift();
    const [first = { at: now, bytes: 0 }] = this.#samples;
    return ((this.#bytes - first.bytes) / Math.max(1, now - first.at)) * 1000;
  }

  #braked(now: number): string[] {
    if (this.pressure === null || this.#ends === null) return [];
    if (now - this.#brake.at >= judgedMs) this.#brake = { at: now, is: this.pressure.take() };
    const { is } = this.#brake;
    return is === null ? [] : [`limit: ${is === "between" ? "this machine" : this.#ends[is]}`];
  }

  #sentence(rateText: string, rate: number, isLive: boolean): string[] {
    const total = this.#totalBytes;
    if (total === null || total < this.#bytes || this.#bytes === 0) return [`${this.#verb} ${formatSize(this.#bytes)} at ${rateText}`];
    const share = isLive ? ` (${Math.floor((this.#bytes / total) * 100)} %)` : "";
    const left = rate > 0 ? [`${clock((total - this.#bytes) / rate)} left`] : [];
    return [`${this.#verb} ${formatSize(this.#bytes)} of ${this.#isExact ? "" : "about "}${formatSize(total)}${share} at ${rateText}`, ...left];
  }
}
