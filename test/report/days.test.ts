import { describe, expect, it } from "vitest";
import { logSizeTicks, secondsText, secondTicks, sizeTicks, spanOf } from "../../src/report/axes.ts";
import { daysOf, stretchesOf } from "../../src/report/days.ts";
import { evidence, now } from "./made-up.ts";

type Days = ReturnType<typeof daysOf>;

/** @param times - with `!` before those that cannot be restored */
function backupsAt(...times: readonly string[]): Parameters<typeof daysOf>[0] {
  return times.map((text) => ({ entry: { createdAt: new Date(text.replace("!", "")) }, trouble: text.startsWith("!") ? "gone" : null })) as unknown as Parameters<typeof daysOf>[0];
}

function short(days: Days): string {
  return days.map(({ date, goodCount, badCount }) => `${date.slice(5)}:${goodCount}/${badCount}`).join(" ");
}

describe("what can be restored for each day", () => {
  it.for([
    ["no backup", [], ""],
    ["one of today", ["2026-11-21T00:00:00Z"], "11-21:1/0"],
    ["the last second of a day and the first of the next", ["2026-11-19T23:59:59.999Z", "2026-11-20T00:00:00Z"], "11-19:1/0 11-20:1/0 11-21:0/0"],
    ["two of a day, one of which is damaged", ["2026-11-20T01:00:00Z", "!2026-11-20T02:00:00Z"], "11-20:1/1 11-21:0/0"],
    ["only what is damaged", ["!2026-11-20T02:00:00Z"], "11-20:0/1 11-21:0/0"],
    ["one of a day to come", ["2027-01-01T00:00:00Z"], ""],
  ] as const)("%s", ([, times, expected]) => {
    expect(short(daysOf(backupsAt(...times), now))).toBe(expected);
  });

  it.for(["1970-01-01T00:00:00Z", "-271821-04-20T00:00:00Z", "+275760-09-13T00:00:00Z"])("goes back ten years at most, whatever a manifest says: %s", (time) => {
    const days = daysOf(backupsAt(...[time, "2026-11-20T02:00:00Z"].sort((a, b) => Date.parse(a) - Date.parse(b))), now);
    expect(days.length).toBeLessThanOrEqual(3661);
    expect(days.at(-1)?.date).toBe("2026-11-21");
  });

  it("says of a row of days what they have in common, and which day stands for those without", () => {
    const days = daysOf(backupsAt("2026-11-10T02:00:00Z", "2026-11-11T02:00:00Z", "2026-11-11T14:00:00Z", "!2026-11-15T02:00:00Z", "2026-11-16T02:00:00Z"), now);
    expect(stretchesOf(days).map(({ from, to, dayCount, goodCount, badCount, fallback }) => [from.slice(5), to.slice(5), dayCount, goodCount, badCount, fallback])).toEqual([
      ["11-10", "11-11", 2, 3, 0, null],
      ["11-12", "11-14", 3, 0, 0, "2026-11-11"],
      ["11-15", "11-15", 1, 0, 1, "2026-11-11"],
      ["11-16", "11-16", 1, 1, 0, null],
      ["11-17", "11-21", 5, 0, 0, "2026-11-16"],
    ]);
  });
});

describe("axes", () => {
  it.for([
    ["of bytes a second", sizeTicks(95 * 2 ** 20), ["0", "20 MiB", "40 MiB", "60 MiB", "80 MiB"]],
    ["of one byte", sizeTicks(1), ["0", "1 B"]],
    ["of what fills a unit", sizeTicks(1024 ** 3), ["0", "1 GiB"]],
    ["of nearly the next unit", sizeTicks(1000 * 2 ** 20), ["0", "200 MiB", "400 MiB", "600 MiB", "800 MiB", "1000 MiB"]],
    ["of sizes a thousand times apart", logSizeTicks(2 ** 20, 2 ** 30), ["1 MiB", "8 MiB", "64 MiB", "512 MiB"]],
    ["of a size alone", logSizeTicks(1000, 1000), ["512 B", "1 KiB"]],
    ["of seconds", secondTicks(4.8), ["0 s", "2 s", "4 s"]],
    ["of less than a second", secondTicks(0.2), ["0 s", "1 s"]],
    ["of hours", secondTicks(8 * 3600), ["0 s", "2 h", "4 h", "6 h", "8 h"]],
  ] as const)("%s", ([, ticks, texts]) => {
    expect(ticks.map(([, text]) => text)).toEqual(texts);
  });

  it.for([[0, "0 s"], [0.04, "0 s"], [1.25, "1.3 s"], [119, "119 s"], [120, "2 min"], [5400, "1.5 h"], [360_000, "100 h"]] as const)("%f seconds are %s", ([seconds, text]) => {
    expect(secondsText(seconds)).toBe(text);
  });

  it("span two weeks at least and ten years at most, and no time to come", () => {
    const from = (...times: string[]): string => spanOf(times.map((time) => new Date(time)), now)[0].toISOString().slice(0, 10);
    expect([from(), from("2026-11-20T00:00:00Z"), from("2025-01-01T00:00:00Z"), from("1970-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), from("2999-01-01T00:00:00Z")]).toEqual(["2026-11-07", "2026-11-07", "2025-01-01", "2026-01-02", "2026-11-07"]);
  });
});

describe("a backup in a report", () => {
  it("cannot be restored when verify has found something in the full it needs", async () => {
    const { chapters: [chapter] } = await evidence([{ dataset: "tank/home", nightCount: 32, damaged: [31] }]);
    const troubles = (chapter?.backups ?? []).map(({ trouble }) => trouble?.replace(/@.*/, "") ?? null);
    expect(troubles).toEqual([...Array.from({ length: 30 }, () => "verify has found something in tank/home"), null, null]);
  });

  it("cannot be restored when the full it needs is not there", async () => {
    const { chapters: [chapter] } = await evidence([{ dataset: "tank/home", nightCount: 3, failed: [2] }]);
    expect(chapter?.backups.map(({ trouble }) => trouble)).toEqual([null, null]); // incrementals without a base: fulls, as it were
  });
});
