/** Rules of the bucket against what policies promise. */
import { describe, expect, it } from "vitest";
import { parseConfig } from "../src/config/config.ts";
import { dayMs } from "../src/config/values.ts";
import { chunkSizesIn, judgeRules, type Kept, keptIn, reachInDays } from "../src/doctor-rules.ts";
import type { BucketRules, Expiry } from "../src/store/rules.ts";
import { noRules } from "./retaining.ts";

const nightly: Kept = { job: "home", policy: { ...noRules, daily: 30 }, everyMs: dayMs, fullEveryMs: 30 * dayMs };
const rule: Expiry = { id: "tidy", prefix: "streams/", afterDays: 60, on: null };

function judged(rules: Partial<BucketRules>, kept: readonly Kept[] = [nightly]): string[] {
  const none: BucketRules = { expiries: { kind: "seen", value: [] }, locks: { kind: "seen", value: { isEnabled: false, byDefault: null } } };
  return judgeRules({ ...none, ...rules }, kept).map(({ outcome, detail, consequence }) => [outcome, detail, ...(consequence === null ? [] : [consequence])].join(": "));
}

it.for([
  [{ last: 7 }, 7], [{ withinMs: 10 * dayMs }, 10], [{ daily: 14 }, 14], [{ weekly: 4 }, 28], [{ monthly: 2 }, 62], [{ yearly: 1 }, 366], [{ fulls: 3 }, 90],
  [{ last: 7, daily: 14, weekly: 1 }, 14],
] as const)("a policy of %o reaches %i days back, and to the full before that", ([policy, days]) => {
  expect(reachInDays({ ...nightly, policy: { ...noRules, ...policy } })).toBe(days + 30);
});

it.for([
  [{ daily: 7 }, 49], [{ weekly: 4 }, 28], [{ monthly: 2 }, 62], [{ last: 3, daily: 2 }, 21],
] as const)("of backups a week apart %o reaches %i days back, since a day, week or month without one does not count", ([policy, days]) => {
  expect(reachInDays({ ...nightly, everyMs: 7 * dayMs, policy: { ...noRules, ...policy } })).toBe(days + 30);
});

it("without a policy, or without new fulls, it reaches back for ever", () => {
  expect(reachInDays({ ...nightly, policy: null })).toBe(Infinity);
  expect(reachInDays({ ...nightly, fullEveryMs: null })).toBe(Infinity);
});

describe("a lifecycle rule", () => {
  it.for([
    [59, "finding"], [60, "ok"], [61, "ok"],
  ] as const)("after %i days, where objects are needed for 60, is a %s", ([afterDays, outcome]) => {
    expect(judged({ expiries: { kind: "seen", value: [{ ...rule, afterDays }] } })[0]).toMatch(new RegExp(`^${outcome}: `));
  });

  it("is told with its name, and what follows from it", () => {
    expect(judged({ expiries: { kind: "seen", value: [{ ...rule, afterDays: 30 }] } })[0]).toBe(
      'finding: rule "tidy" deletes what is under streams/ after 30 days: job "home" needs objects for 60 days: backups will be damaged; let zferry prune, and take the rule off',
    );
  });

  it.for([
    ["on a day", [nightly], { ...rule, afterDays: null, on: new Date("2027-01-01T00:00Z") }, "on 2027-01-01"],
    ["and no job", [], rule, "no policy says how long"],
    ["and a job that keeps everything", [nightly, { ...nightly, job: "ever", policy: null }], rule, 'job "ever" keeps backups for ever'],
  ] as const)("%s is a finding", ([, kept, expiry, text]) => {
    const [told] = judged({ expiries: { kind: "seen", value: [expiry] } }, kept);
    expect(told).toMatch(/^finding: /);
    expect(told).toContain(text);
  });
});

describe("a lock by default", () => {
  it.for([[60, "ok"], [61, "finding"]] as const)("of %i days, where nothing is kept for longer than 60, is %s", ([days, outcome]) => {
    const locks = { kind: "seen" as const, value: { isEnabled: true, byDefault: { mode: "COMPLIANCE", days } } };
    expect(judged({ locks })[1]).toMatch(new RegExp(`^${outcome}: each object is locked for ${days} days \\(compliance\\)`));
    expect(judged({ locks }, [])[1]).toMatch(/^ok: /);
  });

  it("that is not there is no finding, whether objects could be locked or not", () => {
    expect(judged({})).toEqual(["ok: no rule of the bucket deletes backups", "ok: the bucket locks no objects"]);
    expect(judged({ locks: { kind: "seen", value: { isEnabled: true, byDefault: null } } })[1]).toBe("ok: objects can be locked, and are not by default");
  });
});

it("what could not be read is told, and is no finding", () => {
  const unknown = { kind: "unknown" as const, why: "AccessDenied (403)" };
  for (const line of judged({ expiries: unknown, locks: unknown })) expect(line).toMatch(/^skipped: AccessDenied \(403\): whether the bucket /);
});

it.for([
  ["main", [["home", 3], ["all", null]]],
  ["offsite", [["home", 9]]],
  ["attic", [["home", null]]],
  ["elsewhere", []],
] as const)("of what is promised in %s, that of a copy is the copy's own", ([store, promised]) => {
  const { jobs } = parseConfig(
    `stores: { main: { url: /a }, offsite: { url: /b }, attic: { url: /c } }
jobs:
  home: { dataset: tank/home, store: main, keep: { store: { daily: 3 } }, copies: [{ store: offsite, keep: { daily: 9 } }, { store: attic }] }
  all: { dataset: tank/all, store: main }`,
    "zferry.yaml",
  );
  const kept = keptIn(store, [...jobs.values()], (job) => [job.store, ...job.copies.map((copy) => copy.store)]);
  expect(kept.map(({ job, policy }) => [job, policy?.daily ?? null])).toEqual(promised);
});

it("of chunks, those are judged for a store that jobs store in the store itself, each size once", () => {
  const { jobs } = parseConfig(
    `stores: { main: { url: /a }, offsite: { url: /b } }
jobs:
  a: { dataset: tank/a, store: main, copies: [{ store: offsite }] }
  b: { dataset: tank/b, store: main, chunk_size: 256MiB }
  c: { dataset: tank/c, store: main, chunk_size: 256MiB }`,
    "zferry.yaml",
  );
  const sizesIn = (store: string): readonly number[] => chunkSizesIn(store, [...jobs.values()], (job) => [job.store, ...job.copies.map((copy) => copy.store)]);
  expect(sizesIn("main")).toEqual([2 ** 30, 2 ** 28]);
  expect(sizesIn("offsite")).toEqual([]);
});
