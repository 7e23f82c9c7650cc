import { describe, expect, it } from "vitest";
import { lastVerified, verifiedAt, type VerifyLevel, type VerifyResults, withResult } from "../src/verified.ts";

const day = (number: number): Date => new Date(Date.UTC(2026, 10, number));

/** Results one after the other, as `level`, `day` and how much was found. */
function after(...steps: readonly (readonly [VerifyLevel, number, number])[]): VerifyResults | undefined {
  let results: VerifyResults | undefined;
  for (const [level, at, count] of steps) {
    const findings = Array.from({ length: count }, (_, index) => `finding ${index}`);
    results = withResult(results, level, { etag: "e", at: day(at), findings });
  }
  return results;
}

describe("the result that is shown", () => {
  it.for([
    ["nothing before the first", [], null],
    ["the only one", [["digest", 1, 0]], ["digest", 1, true]],
    ["the higher level, although it is older", [["stream", 1, 0], ["exists", 2, 0]], ["stream", 1, true]],
    ["the newer of one level", [["digest", 1, 0], ["digest", 2, 0]], ["digest", 2, true]],
    ["what a lower level found since", [["stream", 1, 0], ["exists", 2, 3]], ["exists", 2, false]],
    ["what a higher level found, although a lower one was content since", [["stream", 1, 2], ["exists", 2, 0]], ["stream", 1, false]],
    ["the higher level again, once the lower one is content", [["stream", 1, 0], ["exists", 2, 1], ["exists", 3, 0]], ["stream", 1, true]],
    ["the higher level that was content after a lower one was not", [["digest", 1, 4], ["receive", 2, 0]], ["receive", 2, true]],
    ["the newest of two that found something", [["receive", 1, 1], ["digest", 2, 1], ["exists", 2, 0]], ["digest", 2, false]],
  ] as const)("is %s", ([, steps, expected]) => {
    const last = lastVerified(after(...steps), "e");
    expect(last === null ? null : [last.level, last.at.getUTCDate(), last.ok]).toEqual(expected);
  });

  it("is none of another version's", () => {
    expect(lastVerified(after(["stream", 1, 0]), "other")).toBeNull();
    expect(lastVerified(after(["stream", 1, 0]), null)).toBeNull();
  });

  it("keeps a few findings, and counts all", () => {
    const last = lastVerified(after(["exists", 1, 5000]), "e");
    expect(last?.findingCount).toBe(5000);
    expect(last?.findings).toHaveLength(10);
  });
});

it.for([
  ["exists", 3],
  ["digest", 2],
  ["stream", 2],
  ["receive", null],
] as const)("counts as verified at level %s what was done at it or above", ([level, expected]) => {
  const results = after(["stream", 2, 0], ["exists", 3, 0]);
  expect(verifiedAt(results, "e", level)?.getUTCDate() ?? null).toBe(expected);
});
