import { expect, it } from "vitest";
import { nearest } from "../../src/config/spelling.ts";

const known = ["full_every", "snapshot_prefix", "store", "stores", "keep", "every", "zfs"];

it.for([
  ["full_evry", "full_every"],
  ["fulevery", "full_every"],
  ["fullEvery", "full_every"],
  ["Full-Every", "full_every"],
  ["ful_leveyr", "full_every"],
  ["stoer", "store"],
  ["stores", "stores"],
  ["storess", "stores"],
  ["kep", "keep"],
  ["zf", "zfs"],
  ["zsf", "zfs"],
  ["z", null],
  ["threads", null],
  ["region", null],
  ["", null],
] as const)("%s is taken for %s", ([word, meant]) => {
  expect(nearest(word, known)).toBe(meant);
});

it("the nearest of several is taken, and the first of two as near", () => {
  expect(nearest("stort", ["start", "store"])).toBe("start");
  expect(nearest("stored", ["start", "store"])).toBe("store");
});
