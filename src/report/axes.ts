/**
 * What an axis says: ticks in binary sizes, rates and durations, and one span of time for all plots of a dataset. Pure.
 */
import { formatSize } from "../bytes.ts";

/** A tick's place, and what stands beside it. */
export type Ticks = readonly (readonly [value: number, text: string])[];

const dayMs = 24 * 60 * 60 * 1000;
/** As far back as plots go: whoever can write to a store can give a backup any time at all. */
const longestMs = 3660 * dayMs;
/** A shorter span would have ticks within days. */
const shortestMs = 14 * dayMs;

/** From the oldest of the times that is no older than ten years, two weeks ago at the least, to `at`. */
export function spanOf(times: readonly Date[], at: Date): readonly [Date, Date] {
  const known = times.map((time) => time.getTime()).filter((ms) => ms >= at.getTime() - longestMs && ms <= at.getTime());
  const oldest = known.reduce((least, ms) => Math.min(least, ms), at.getTime() - shortestMs);
  return [new Date(oldest), at];
}

export function isIn([from, to]: readonly [Date, Date], time: Date): boolean {
  return time >= from && time <= to;
}

const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500] as const;

/** From zero, five at most beside it. */
export function sizeTicks(maxBytes: number): Ticks {
  const unit = 1024 ** Math.max(0, Math.floor(Math.log2(Math.max(1, maxBytes)) / 10));
  const step = unit * (steps.find((one) => maxBytes / unit / one <= 5) ?? 500);
  return ticksBy(step, maxBytes, (bytes) => (bytes === 0 ? "0" : short(bytes)));
}

/** Powers of two that are a few apart, over what a logarithmic axis shows. */
export function logSizeTicks(minBytes: number, maxBytes: number): Ticks {
  const [low, high] = [Math.floor(Math.log2(Math.max(1, minBytes))), Math.ceil(Math.log2(Math.max(2, maxBytes)))];
  const step = Math.max(1, Math.ceil((high - low) / 4));
  return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, index) => 2 ** (low + index * step)).map((bytes) => [bytes, short(bytes)] as const);
}

/** `2 GiB` for `2.00 GiB`. */
function short(bytes: number): string {
  return formatSize(bytes).replace(/\.0+ /, " ").replace(/(\.\d)0 /, "$1 ");
}

const durations = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 43_200, 86_400] as const;

export function secondTicks(maxSeconds: number): Ticks {
  if (maxSeconds < 4) return ticksBy(1, Math.max(1, maxSeconds), secondsText);
  const step = durations.find((one) => maxSeconds / one <= 4) ?? 86_400 * Math.ceil(maxSeconds / 86_400 / 4);
  return ticksBy(step, maxSeconds, secondsText);
}

/** `45 s`, `12 min`, `1.5 h`: no more than three digits. */
export function secondsText(seconds: number): string {
  const [unit, size] = seconds >= 5400 ? ["h", 3600] : seconds >= 120 ? ["min", 60] : ["s", 1];
  const value = seconds / size;
  return `${Number(value.toFixed(value >= 10 ? 0 : 1))} ${unit}`;
}

function ticksBy(step: number, max: number, text: (value: number) => string): Ticks {
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, index) => index * step).map((value) => [value, text(value)] as const);
}
