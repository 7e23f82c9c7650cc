/** Each rule at its boundaries. Times are UTC; what is kept is written by its time, the newest first. */
import { describe, expect, it } from "vitest";
import type { KeepPolicy } from "../src/config/keep.ts";
import { dayMs } from "../src/config/values.ts";
import { isAhead, isoWeekOf, keptByRules } from "../src/keep-rules.ts";

const nothing: KeepPolicy = { last: 0, withinMs: null, daily: 0, weekly: 0, monthly: 0, yearly: 0, fulls: 0 };

/** What is kept of things taken at these times; a time with an F is that of a full. */
function kept(times: readonly string[], policy: Partial<KeepPolicy>, now = "2030-01-01T00:00Z"): string[] {
  const things = times.map((name) => ({ name, takenAt: new Date(name.replace("F", "")), isFull: name.endsWith("F") }));
  const names = keptByRules(things, { ...nothing, ...policy }, new Date(now));
  return times.filter((name) => names.has(name));
}

describe("last", () => {
  const three = ["2026-03-03T00:00Z", "2026-03-02T00:00Z", "2026-03-01T00:00Z"];

  it.for([[0, 0], [1, 1], [2, 2], [3, 3], [4, 3]] as const)("%i of three keeps the newest %i", ([last, count]) => {
    expect(kept(three, { last })).toEqual(three.slice(0, count));
    expect(kept([...three].reverse(), { last })).toHaveLength(count);
  });

  it("of two at one moment keeps the one with the greater name, always", () => {
    const at = new Date(0);
    const [a, b] = [{ name: "a", takenAt: at, isFull: true }, { name: "b", takenAt: at, isFull: true }];
    for (const things of [[a, b], [b, a]]) expect([...keptByRules(things, { ...nothing, last: 1 }, at).keys()]).toEqual(["b"]);
  });

  it("of none keeps none", () => {
    expect(kept([], { last: 1, withinMs: dayMs, daily: 1, weekly: 1, monthly: 1, yearly: 1, fulls: 1 })).toEqual([]);
  });
});

describe("within", () => {
  const [newest, edge, over] = ["2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z", "2026-02-28T23:59:59Z"];

  it.for([
    ["counts back from the newest when that is a while ago", "2027-01-01T00:00Z", [newest, edge]],
    ["counts back from the newest when it is just now", newest, [newest, edge]],
    ["counts back from now when the newest is ahead of it", "2026-03-01T23:59:59Z", [newest, edge, over]],
  ] as const)("%s, and the edge is within", ([, now, wanted]) => {
    expect(kept([newest, edge, over], { withinMs: dayMs }, now)).toEqual(wanted);
  });
});

describe("of each day, week, month and year the newest is kept", () => {
  it.for([
    ["daily", "a day begins at midnight, UTC", ["2026-03-02T00:00:00Z", "2026-03-01T23:59:59Z", "2026-03-01T00:00:00Z", "2026-02-28T23:59:59Z"], 2, ["2026-03-02T00:00:00Z", "2026-03-01T23:59:59Z"]],
    ["daily", "a leap day is a day", ["2028-03-01T01:00Z", "2028-02-29T01:00Z", "2028-02-28T01:00Z", "2028-02-27T01:00Z"], 3, ["2028-03-01T01:00Z", "2028-02-29T01:00Z", "2028-02-28T01:00Z"]],
    ["daily", "days without a backup do not count", ["2026-03-09T01:00Z", "2026-03-01T01:00Z", "2025-12-24T01:00Z"], 2, ["2026-03-09T01:00Z", "2026-03-01T01:00Z"]],
    ["weekly", "a week begins on Monday", ["2026-11-23T00:00Z", "2026-11-22T23:59Z", "2026-11-16T00:00Z", "2026-11-15T23:59Z", "2026-11-09T00:00Z"], 2, ["2026-11-23T00:00Z", "2026-11-22T23:59Z"]],
    ["weekly", "week 53 goes over the end of the year", ["2027-01-04T01:00Z", "2027-01-03T01:00Z", "2026-12-28T01:00Z", "2026-12-27T01:00Z", "2026-12-20T01:00Z"], 3, ["2027-01-04T01:00Z", "2027-01-03T01:00Z", "2026-12-27T01:00Z"]],
    ["monthly", "a month ends with its last day, be that the 28th, 29th, 30th or 31st", ["2028-03-01T00:00Z", "2028-02-29T23:59Z", "2028-02-28T23:59Z", "2028-01-31T23:59Z", "2028-01-30T00:00Z", "2027-12-31T23:59Z", "2027-11-30T00:00Z"], 4, ["2028-03-01T00:00Z", "2028-02-29T23:59Z", "2028-01-31T23:59Z", "2027-12-31T23:59Z"]],
    ["yearly", "a year ends with December", ["2027-01-01T00:00Z", "2026-12-31T23:59Z", "2026-01-01T00:00Z", "2025-12-31T23:59Z", "2024-02-29T00:00Z"], 3, ["2027-01-01T00:00Z", "2026-12-31T23:59Z", "2025-12-31T23:59Z"]],
  ] as const)("%s: %s", ([rule, , times, count, wanted]) => {
    expect(kept(times, { [rule]: count })).toEqual(wanted);
  });

  it.for(["daily", "weekly", "monthly", "yearly"] as const)("%s: while there are fewer than it may keep, the oldest stays too", (rule) => {
    const times = ["2026-11-20T03:00Z", "2026-11-20T02:00Z", "2026-11-20T01:00Z"];
    expect(kept(times, { [rule]: 1 })).toEqual(times.slice(0, 1));
    expect(kept(times, { [rule]: 2 })).toEqual([times[0], times[2]]);
    expect(kept(times, { [rule]: 9 })).toEqual([times[0], times[2]]);
  });

  it("before the year 1 and after 9999 too", () => {
    const at = ["+010000-01-01T00:00:00.000Z", "-000001-12-31T00:00:00.000Z"];
    const things = at.map((name) => ({ name, takenAt: new Date(name), isFull: false }));
    const reasons = keptByRules(things, { ...nothing, yearly: 2, monthly: 1 }, new Date());
    expect([...reasons.values()].flat().map(({ text }) => text)).toEqual(["monthly +010000-01", "yearly +010000", "yearly -000001"]);
  });
});

it.for([
  ["2026-01-01", "2026-W01"], ["2025-12-29", "2026-W01"], ["2025-12-28", "2025-W52"],
  ["2021-01-03", "2020-W53"], ["2021-01-04", "2021-W01"], ["2020-12-31", "2020-W53"],
  ["2027-01-01", "2026-W53"], ["2016-01-01", "2015-W53"], ["2012-01-01", "2011-W52"],
  ["2024-12-30", "2025-W01"], ["1970-01-01", "1970-W01"], ["1969-12-28", "1969-W52"], ["2028-02-29", "2028-W09"],
] as const)("%s is in %s", ([day, week]) => {
  for (const time of ["00:00:00.000", "23:59:59.999"]) expect(isoWeekOf(new Date(`${day}T${time}Z`))).toBe(week);
});

it("fulls keeps the newest fulls and nothing else", () => {
  const times = ["2026-03-05T00:00Z", "2026-03-04T00:00ZF", "2026-03-03T00:00Z", "2026-03-02T00:00ZF", "2026-03-01T00:00ZF"];
  expect(kept(times, { fulls: 2 })).toEqual([times[1], times[3]]);
  expect(kept(times, { fulls: 9 })).toEqual([times[1], times[3], times[4]]);
});

it("what several rules keep has each of them as a reason", () => {
  const things = [{ name: "x", takenAt: new Date("2026-11-20T01:00Z"), isFull: true }];
  const policy = { last: 1, withinMs: 90 * 60_000, daily: 1, weekly: 1, monthly: 1, yearly: 1, fulls: 1 };
  expect(keptByRules(things, policy, new Date("2026-11-21T00:00Z")).get("x")).toEqual([
    { kind: "last", text: "last" },
    { kind: "within", text: "within 90m" },
    { kind: "daily", text: "daily 2026-11-20" },
    { kind: "weekly", text: "weekly 2026-W47" },
    { kind: "monthly", text: "monthly 2026-11" },
    { kind: "yearly", text: "yearly 2026" },
    { kind: "fulls", text: "full" },
  ]);
});

it.for([[0, false], [3_600_000, false], [3_600_001, true]] as const)("%i ms later than now is ahead of the clock: %s", ([ms, ahead]) => {
  expect(isAhead(new Date(1e12 + ms), new Date(1e12))).toBe(ahead);
});
