import { describe, expect, it } from "vitest";
import { lanesOf, rowsOf } from "../../src/report/lanes.ts";
import { evidence } from "./made-up.ts";

/** @param lanes - how many incrementals each has */
function rows(...lanes: readonly number[]): readonly number[] {
  return rowsOf(lanes.map((count) => ({ full: null, incrementals: Array.from({ length: count }) })) as unknown as Parameters<typeof rowsOf>[0], 3);
}

describe("lanes", () => {
  it("have a full, and the incrementals that are received after it", async () => {
    const { chapters: [chapter] } = await evidence([{ dataset: "tank/home", nightCount: 62 }]);
    const lanes = lanesOf(chapter?.backups ?? []);
    expect(lanes.map(({ full, incrementals }) => [full?.entry.kind, incrementals.length])).toEqual([["full", 29], ["full", 29], ["full", 1]]);
  });

  it("stay together where their full is gone", async () => {
    const { chapters: [chapter] } = await evidence([{ dataset: "tank/home", nightCount: 5 }]);
    const orphans = (chapter?.backups ?? []).slice(1).map((backup) => ({ ...backup, chain: [], trouble: "its base is not in the store" }));
    expect(lanesOf(orphans).map(({ full, incrementals }) => [full, incrementals.length])).toEqual([[null, 4]]);
  });

  it.for([
    ["fulls alone", [0, 0, 0, 0], [0, 0, 0, 0]],
    ["fulls with incrementals", [2, 1, 0, 1], [0, 1, 2, 2]],
    ["old fulls whose incrementals are pruned, and newer ones", [0, 0, 3, 3], [0, 0, 0, 1]],
    ["more than there are rows", [1, 1, 1, 1], [0, 1, 2, 0]],
    ["none", [], []],
  ] as const)("are drawn in rows: %s", ([, lanes, expected]) => {
    expect(rows(...lanes)).toEqual(expected);
  });
});
