import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import { type Line, painted, rendered, type Span } from "../../src/cli/paint.ts";
import { table, wrapped } from "../../src/cli/table.ts";

const folding = ["packet", "size"];
const rows: Span[][] = [
  ["taken", "size", "packet", "backup"],
  ["2026-11-21", "462 KiB", "ocb", "tank/home@zferry-20261121T020000Z (since tank/home@zferry-20261101T020000Z)"],
  ["2026-11-22", "1.46 GiB", "-", painted("tank/src@s1", "bad")],
];

function plain(lines: readonly Line[]): string[] {
  return lines.map((line) => rendered(line, false));
}

describe("a table in a pipe", () => {
  it("has columns as wide as their widest cell, the last one as it is", () => {
    expect(plain(table([["name", "size", "note"], ["a", "1.00 KiB", ""], ["longer", "1 B", "x"]], { width: null }))).toEqual([
      "name    size      note",
      "a       1.00 KiB  ",
      "longer  1 B       x",
    ]);
  });

  it("is as wide as it gets, whatever could leave", () => {
    expect(plain(table(rows, { width: null, folding }))[1]).toBe("2026-11-21  462 KiB   ocb     tank/home@zferry-20261121T020000Z (since tank/home@zferry-20261101T020000Z)");
  });

  it("of nothing is nothing", () => {
    expect(table([], { width: null })).toEqual([]);
    expect(table([], { width: 80 })).toEqual([]);
  });
});

describe("a table on a terminal", () => {
  it("that is wide enough is the same", () => {
    expect(plain(table(rows, { width: 200, folding }))).toEqual(plain(table(rows, { width: null })));
  });

  it("wraps the last column under itself, where that gives it room enough", () => {
    expect(plain(table(rows, { width: 72, folding }))).toEqual([
      "taken       size      packet  backup",
      "2026-11-21  462 KiB   ocb     tank/home@zferry-20261121T020000Z (since",
      "                              tank/home@zferry-20261101T020000Z)",
      "2026-11-22  1.46 GiB  -       tank/src@s1",
    ]);
  });

  it("shows below the row what has no room in it, those first that are missed least, and only what says something", () => {
    expect(plain(table(rows, { width: 52, folding }))).toEqual([
      "taken       backup",
      "2026-11-21  tank/home@zferry-20261121T020000Z (since",
      "            tank/home@zferry-20261101T020000Z)",
      "    size 462 KiB; packet ocb",
      "2026-11-22  tank/src@s1",
      "    size 1.46 GiB",
    ]);
  });

  it.for([20, 24, 30, 40, 52, 60, 71, 72, 80, 100, 120])("is never wider than its %d columns, and loses nothing", (width) => {
    const lines = plain(table(rows, { width, folding: ["taken", ...folding] }));
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(width);
    const text = lines.join("").replaceAll(/\s/g, "");
    for (const part of ["2026-11-21", "462KiB", "ocb", "tank/home@zferry-20261121T020000Z(since", "tank/src@s1"]) expect(text).toContain(part);
  });

  it("that fits no row at all is a block for each, with its headings", () => {
    expect(plain(table([["job", "dataset", "state"], ["home", "tank/a/very/long/name/of/a/dataset", "ok"]], { width: 40 }))).toEqual([
      "home",
      "    dataset",
      "    tank/a/very/long/name/of/a/dataset;",
      "    state ok",
    ]);
  });

  it("counts columns and not characters, and shows what a terminal would obey as escapes", () => {
    expect(plain(table([["name", "n"], ["日本", "1"], ["a\u001b[2Jb\u200b", "2"]], { width: null }))).toEqual(["name               n", "日本               1", "a\\u001b[2Jb\\u200b  2"]);
  });

  it("has a heading that stands out, and tones where they were given", () => {
    const lines = table(rows, { width: 200 }).map((line) => rendered(line, true));
    expect(lines[0]).toContain("\u001b[1mtaken\u001b[22m");
    expect(lines[2]).toContain("\u001b[31mtank/src@s1\u001b[39m");
  });
});

it.for([
  ["", 5, [""]],
  ["a b c", 5, ["a b c"]],
  ["a b c", 3, ["a b", "c"]],
  ["abcdefg h", 3, ["abc", "def", "g h"]],
  ["日本語", 4, ["日本", "語"]],
  ["ab", 0, ["a", "b"]],
] as const)("%j in %d columns is %j", ([text, width, expected]) => {
  expect(wrapped(text, width)).toEqual(expected);
});
