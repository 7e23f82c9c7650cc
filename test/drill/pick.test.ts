import { describe, expect, it } from "vitest";
import { candidatesIn, pick } from "../../src/drill/pick.ts";
import { manifestKey } from "../../src/format/layout.ts";
import { parseSnapshotName } from "../../src/zfs/names.ts";

const names = ["tank/a@1", "tank/a@2", "tank/b@1"].map(parseSnapshotName);
const [one, two, other] = names as [(typeof names)[0], (typeof names)[0], (typeof names)[0]];

describe("the lot", () => {
  it("falls on the same backup for the same seed, in whatever order they come", () => {
    for (const seed of ["", "7", "a longer one"]) expect(pick(names, seed)).toBe(pick([...names].reverse(), seed));
  });

  it("falls on each of them, about as often", () => {
    const count = new Map<string | null, number>();
    for (let seed = 0; seed < 3000; seed += 1) count.set(pick(names, String(seed)), (count.get(pick(names, String(seed))) ?? 0) + 1);
    expect(count.size).toBe(3);
    for (const times of count.values()) expect(Math.abs(times - 1000)).toBeLessThan(150);
  });

  it("falls on nothing where there is nothing", () => {
    expect(pick([], "7")).toBeNull();
  });

  it("has what is there, what is damaged and what is lost, each once, of the datasets in question", () => {
    const catalog = { backups: [{ backup: one }, { backup: other }], damaged: [{ key: manifestKey(two) }, { key: "manifests/what is this" }] };
    const lost = { [manifestKey(one)]: { entry: { backup: one } }, [manifestKey(two)]: { entry: { backup: two } } };
    const candidates = candidatesIn(catalog as never, { lost } as never, (datasets) => datasets.filter((name) => name === "tank/a"));
    expect(candidates).toEqual([one, two]);
  });
});
