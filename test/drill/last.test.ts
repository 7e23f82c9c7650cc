/** Which drill says how a dataset stands. */
import { expect, it } from "vitest";
import { type DrillReport, lastDrill } from "../../src/drills.ts";

function report(seed: string, job: string | null, dataset: string | null): DrillReport {
  const at = new Date(0);
  return {
    ...{ job, seed, storeUrl: "file:///s", startedAt: at, endedAt: at, outcome: "passed", candidateCount: 1, dataset, backup: null, chain: [], guid: null },
    ...{ streamBytes: null, fetchedBytes: 0, place: null, restoreSeconds: null, sample: null, findings: [], error: null, isClean: true },
  };
}

it.for([
  ["one of its backups", [report("1", "home", "tank/a"), report("2", "home", "tank/b")], "1"],
  ["one that came to no choice, which is of all", [report("1", "home", "tank/a"), report("2", "home", null)], "2"],
  ["one of its backups again, once another drill of the job came to a choice", [report("1", "home", "tank/a"), report("2", "home", null), report("3", "home", "tank/b")], "1"],
  ["none, when the only one that came to no choice is over", [report("2", "home", null), report("3", "home", "tank/b")], null],
  ["one of no job", [report("1", "home", "tank/a"), report("2", null, "tank/a")], "2"],
  ["none of another job", [report("1", "other", null), report("2", "other", "tank/a")], null],
] as const)("the last one is %s", ([, reports, seed]) => {
  expect(lastDrill(reports, "home", "tank/a")?.seed ?? null).toBe(seed);
});
