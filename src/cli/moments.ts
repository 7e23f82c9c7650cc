/** Moments as people read them: in UTC where they are kept, in the time of this place, with its zone, on a terminal. */

export type Precision = "second" | "minute" | "day";

/**
 * `2026-11-21T07:42:00Z`, `2026-11-21T07:42Z` or `2026-11-21`.
 *
 * @param isLocal - for somebody who sits here: `2026-11-21 08:42 +01:00`, to the minute at most, or `… UTC`
 */
export function momentText(at: Date, precision: Precision, isLocal: boolean): string {
  if (isLocal) return localText(at, precision);
  const iso = at.toISOString();
  if (precision === "day") return iso.slice(0, 10);
  return precision === "minute" ? `${iso.slice(0, 16)}Z` : iso.replace(".000Z", "Z");
}

function localText(at: Date, precision: Precision): string {
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return precision === "day" ? day : `${day} ${two(at.getHours())}:${two(at.getMinutes())} ${zoneText(-at.getTimezoneOffset())}`;
}

/** @param minutes - east of Greenwich */
function zoneText(minutes: number): string {
  if (minutes === 0) return "UTC";
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function two(count: number): string {
  return String(count).padStart(2, "0");
}
