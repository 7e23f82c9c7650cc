import { describe, expect, it } from "vitest";
import { flawOfPattern, isSettled, selectDatasets } from "../../src/config/globs.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";

const listed = ["tank", "tank/a", "tank/a.b", "tank/a/cache", "tank/a/cache/x", "tank/b", "tank/b/cache", "tank/my data", "vault", "vault/a"].map(parseDatasetName);

function chosen(datasets: readonly string[], more: { readonly exclude?: readonly string[]; readonly isRecursive?: boolean } = {}): readonly string[] {
  return selectDatasets({ datasets, exclude: [], isRecursive: false, ...more }, listed).datasets;
}

describe("a pattern", () => {
  it.for([
    ["tank/a", ["tank/a"]],
    ["tank/*", ["tank/a", "tank/a.b", "tank/b", "tank/my data"]],
    ["tank/?", ["tank/a", "tank/b"]],
    ["tank/a?b", ["tank/a.b"]],
    ["tank/m* d*a", ["tank/my data"]],
    ["*", ["tank", "vault"]],
    ["*/a", ["tank/a", "vault/a"]],
    ["**", listed],
    ["tank/**", listed.filter((name) => name.startsWith("tank/"))],
    ["**/cache", ["tank/a/cache", "tank/b/cache"]],
    ["tank/**/cache", ["tank/a/cache", "tank/b/cache"]],
    ["tank/**/**/cache", ["tank/a/cache", "tank/b/cache"]],
    ["**/a", ["tank/a", "vault/a"]],
    ["tank/*/*", ["tank/a/cache", "tank/b/cache"]],
    ["TANK/*", []],
    ["an*", []],
  ] as const)('"%s" matches whole names only', ([pattern, expected]) => {
    expect(chosen([pattern])).toEqual(expected);
  });

  it.for([
    ["tank/a", null],
    ["*/?/**", null],
    ["", 'a pool\'s name starts with a letter'],
    ["tank//*", '"tank//*" matches no dataset name there can be'],
    ["tank/a**", "the ** is not a component by itself"],
    ["tank/*@x", '"tank/*@x" matches no dataset name there can be'],
    ["/tank/*", '"/tank/*" matches no dataset name there can be'],
  ] as const)('"%s" has the flaw %s', ([pattern, flaw]) => {
    const found = flawOfPattern(pattern);
    if (flaw === null) expect(found).toBeNull();
    else expect(found).toContain(flaw);
  });
});

describe("the datasets of a job", () => {
  it("come once each, in the order of the pool", () => {
    expect(chosen(["tank/b", "tank/?", "tank/a"])).toEqual(["tank/a", "tank/b"]);
  });

  it("take in all below them when it is recursive", () => {
    expect(chosen(["tank/a", "vault"], { isRecursive: true })).toEqual(["tank/a", "tank/a/cache", "tank/a/cache/x", "vault", "vault/a"]);
  });

  it("leave out what is excluded and all below it", () => {
    expect(chosen(["tank"], { isRecursive: true, exclude: ["tank/*/cache", "tank/b"] })).toEqual(["tank", "tank/a", "tank/a.b", "tank/my data"]);
    expect(chosen(["tank/**"], { exclude: ["tank/a"] })).toEqual(["tank/a.b", "tank/b", "tank/b/cache", "tank/my data"]);
  });

  it("hold a name that is not there, so that its backup fails instead of being forgotten", () => {
    const selected = selectDatasets({ datasets: ["tank/gone", "tank/b", "tank/x*"], exclude: ["tank/none"], isRecursive: false }, listed);
    expect(selected).toEqual({ datasets: ["tank/b", "tank/gone"], idle: ["tank/gone", "tank/x*", "tank/none"] });
  });

  it.for([
    [{ datasets: ["tank/a", "tank/b"], isRecursive: false }, true],
    [{ datasets: ["tank/a"], isRecursive: true }, false],
    [{ datasets: ["tank/a", "tank/*"], isRecursive: false }, false],
  ] as const)("need no look at the pool when they are names: %j is %s", ([selection, expected]) => {
    expect(isSettled({ exclude: [], ...selection })).toBe(expected);
  });
});
