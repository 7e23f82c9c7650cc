/**
 * From "how often" to systemd.time(7): a point of the day or the week where the time fits into one, so that a machine that
 * was off catches up (Persistent=), else the time itself.
 */
import { dayMs } from "../config/values.ts";
import type { Setting } from "./unit-text.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/**
 * Runs less often than daily, or daily, begin here, and are then moved by the random delay. No clock is put forward over it:
 * systemd leaves out a night without the time that was asked for, and all that are on Sundays are such nights, once a year.
 */
const nightly = "04:00:00";
/** How long after boot a run whose interval is no part of a day begins. */
const afterBoot = "15min";

/**
 * The lines of a timer for a run every `everyMs`. Never less often, but that from 28 days on it is a
 * month, which may have 31; more often where a month ends in the middle.
 */
export function timesOf(everyMs: number): readonly Setting[] {
  const calendar = calendarOf(everyMs);
  if (calendar !== null) return [["OnCalendar", calendar], ["Persistent", "true"]];
  return [["OnBootSec", afterBoot], ["OnUnitActiveSec", `${Math.floor(everyMs / 1000)}s`]];
}

/** Null for what no calendar can say: less than a minute, or no divisor of an hour or a day. */
function calendarOf(everyMs: number): string | null {
  if (everyMs >= 28 * dayMs) return `*-*-01 ${nightly}`;
  if (everyMs >= 7 * dayMs && everyMs < 14 * dayMs) return `Sun *-*-* ${nightly}`;
  if (everyMs >= 2 * dayMs) return `*-*-${daysOfMonth(Math.floor(everyMs / dayMs))} ${nightly}`;
  if (everyMs >= dayMs) return `*-*-* ${nightly}`;
  if (divides(everyMs, dayMs, hourMs)) return `*-*-* 00/${everyMs / hourMs}:00:00`;
  return divides(everyMs, hourMs, minuteMs) ? `*-*-* *:00/${everyMs / minuteMs}:00` : null;
}

/** Spelt out: with `01/14` systemd 252 leaves out the first of January. */
function daysOfMonth(step: number): string {
  const days = Array.from({ length: Math.ceil(31 / step) }, (_, count) => String(1 + count * step).padStart(2, "0"));
  return days.join(",");
}

function divides(ms: number, whole: number, unit: number): boolean {
  return ms % unit === 0 && whole % ms === 0;
}

/** By how much a start may be moved: a tenth of the time between two, an hour at most; in whole seconds. */
export function delaySeconds(everyMs: number): number {
  return Math.floor(Math.min(everyMs / 10, hourMs) / 1000);
}
