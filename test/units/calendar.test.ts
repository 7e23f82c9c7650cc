import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { dayMs } from "../../src/config/values.ts";
import { delaySeconds, timesOf } from "../../src/units/calendar.ts";
import { need } from "../systems.ts";

const [minuteMs, hourMs] = [60_000, 3_600_000];
const onCalendar = [
  [5 * minuteMs, "*-*-* *:00/5:00"],
  [30 * minuteMs, "*-*-* *:00/30:00"],
  [hourMs, "*-*-* 00/1:00:00"],
  [6 * hourMs, "*-*-* 00/6:00:00"],
  [12 * hourMs, "*-*-* 00/12:00:00"],
  [dayMs, "*-*-* 04:00:00"],
  [36 * hourMs, "*-*-* 04:00:00"],
  [2 * dayMs, "*-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 04:00:00"],
  [6 * dayMs, "*-*-01,07,13,19,25,31 04:00:00"],
  [7 * dayMs, "Sun *-*-* 04:00:00"],
  [14 * dayMs, "*-*-01,15,29 04:00:00"],
  [27 * dayMs, "*-*-01,28 04:00:00"],
  [30 * dayMs, "*-*-01 04:00:00"],
  [365 * dayMs, "*-*-01 04:00:00"],
] as const;

it.for(onCalendar)("every %i ms is a point of the calendar that a machine which was off catches up with: %s", ([everyMs, calendar]) => {
  expect(timesOf(everyMs)).toEqual([["OnCalendar", calendar], ["Persistent", "true"]]);
});

it.for([[45_000, "45s"], [7 * minuteMs, "420s"], [5 * hourMs, "18000s"], [90 * minuteMs, "5400s"]] as const)(
  "every %i ms, which is no part of an hour or a day, counts from the last run: %s",
  ([everyMs, time]) => {
    expect(timesOf(everyMs)).toEqual([["OnBootSec", "15min"], ["OnUnitActiveSec", time]]);
  },
);

it.for(["2026-01-20", "2026-12-20"])("never leaves longer between two runs than was asked for, as systemd itself counts from %s on", (day, context) => {
  const analyze = need(context, "systemdAnalyze");
  for (const [everyMs, calendar] of onCalendar) {
    const words = ["calendar", "--iterations=40", `--base-time=${day} 00:00:00 UTC`, calendar];
    const { stdout, status, stderr } = spawnSync(analyze, words, { encoding: "utf8", env: { TZ: "UTC" } });
    expect(status, stderr).toBe(0);
    const times = [...stdout.matchAll(/(?:elapse|#\d+): \w+ (\S+) (\S+) UTC/g)].map(([, date = "", time = ""]) => Date.parse(`${date}T${time}Z`));
    expect(times).toHaveLength(40);
    const longestMs = Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? 0)));
    // Of what is near to a month and longer, a month is as near as a calendar comes.
    expect(longestMs, calendar).toBeLessThanOrEqual(everyMs >= 28 * dayMs ? 31 * dayMs : everyMs);
  }
});

it.for([
  ["Europe/Berlin", "2027-03-26"],
  ["Europe/Helsinki", "2027-03-26"],
  ["Europe/London", "2027-03-26"],
  ["America/New_York", "2027-03-12"],
  ["America/Havana", "2027-03-12"],
  ["America/Nuuk", "2027-03-26"],
  ["Pacific/Chatham", "2027-09-24"],
])("leaves no night out in which the clocks of %s are put forward", ([zone = "", day = ""], context) => {
  const analyze = need(context, "systemdAnalyze");
  const [[, calendar] = []] = timesOf(dayMs);
  const words = ["calendar", "--iterations=4", `--base-time=${day} 12:00:00`, String(calendar)];
  const { stdout, status, stderr } = spawnSync(analyze, words, { encoding: "utf8", env: { TZ: zone } });
  expect(status, stderr).toBe(0);
  const times = [...stdout.matchAll(/\(in UTC\): \w+ (\S+) (\S+) UTC/g)].map(([, date = "", time = ""]) => Date.parse(`${date}T${time}Z`));
  const hours = times.slice(1).map((at, index) => (at - (times[index] ?? 0)) / hourMs);
  expect(hours.filter((each) => each !== 24)).toEqual([23]);
});

it.for([[45_000, 4], [hourMs, 360], [dayMs, 3600], [7 * dayMs, 3600]] as const)("a start every %i ms is moved by %i seconds at most", ([everyMs, seconds]) => {
  expect(delaySeconds(everyMs)).toBe(seconds);
});
