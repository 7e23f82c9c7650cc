import { describe, expect, it } from "vitest";
import { copyingOf } from "../../src/status/copying.ts";
import type { CopyRecord } from "../../src/copy-history.ts";
import type { RunRecord } from "../../src/history.ts";
import { type Held, type KnownStore, knownStore } from "../../src/status/held.ts";
import { ageText, credible, type Evidence, type Standing, standingOf } from "../../src/status/standing.ts";
import { emptyTally, tallied } from "../../src/status/tally.ts";
import { parseSnapshotName } from "../../src/zfs/names.ts";
import { sketched } from "../retaining.ts";
import { ago, dayMs, home, hourMs, jobOf, now, runOf } from "./standings.ts";

function standing(some: Partial<Evidence> = {}): Standing {
  const runs = some.runs ?? [runOf(10 * hourMs)];
  return standingOf({
    job: jobOf(),
    dataset: home,
    jobRunAt: runs.at(-1)?.startedAt ?? null,
    isNamed: true,
    held: null,
    copies: [],
    drill: null,
    copying: [],
    failureCount: 0,
    seenAt: ago(100 * dayMs),
    disabledSince: null,
    owedHooks: [],
    now,
    ...some,
    runs,
  });
}

const held: Held = {
  store: "main",
  storeUrl: "file:///nowhere",
  backupCount: 1,
  storedBytes: 1000,
  oldestRestorableAt: null,
  newestRestorableAt: null,
  newest: null,
  verified: null,
  restoreVerifiedAt: null,
  damaged: [],
  lostCount: 0,
};

const copied = { store: "away", lastRun: null, lastSuccessAt: null, waitingSince: null };

function copyRun(outcome: "copied" | "nothing" | "failed"): CopyRecord {
  const error = outcome === "failed" ? { code: "store-failed", message: "no line", hint: null } : null;
  return { job: "home", dataset: home, storeUrl: "file:///away", startedAt: ago(2 * hourMs), endedAt: ago(hourMs), outcome, copiedCount: 0, sentBytes: 0, error };
}

describe("a copy", () => {
  const at = (...ages: number[]): KnownStore => {
    const entries = ages.map((age) => sketched({ name: `n${age}`, at: ago(age * dayMs) }));
    return knownStore({ url: "x", anchors: {}, manifests: Object.fromEntries(entries.map((entry) => [entry.backup, { etag: "e", sizeBytes: 1, entry }])) }, "x");
  };
  const waitingSince = (source: KnownStore | null, target: KnownStore | null, runs: readonly RunRecord[] = []): Date | null =>
    copyingOf({ dataset: home, store: "away", records: [], runs, source, target }).waitingSince;

  it.for([
    ["has the newest", [5, 1], [1], [], null],
    ["has less, but the newest", [5, 3, 1], [1], [], null],
    ["lacks the newest", [5, 1], [5], [], 1],
    ["lacks several", [5, 3, 1], [5], [], 3],
    ["is empty", [5, 3], [], [], 5],
    ["lacks what was pruned from the source since, as the history knows", [1], [5], [1, 2, 4], 4],
    ["is of a source that has nothing", [], [], [3], null],
  ] as const)("that %s", ([, source, target, runs, since]) => {
    const told = waitingSince(at(...source), target.length === 0 ? null : at(...target), [...runs].reverse().map((age) => runOf(age * dayMs, { tookMs: 0 })));
    expect(told).toEqual(since === null ? null : ago(since * dayMs));
  });

  it("was last made well before one that failed", () => {
    const records = [copyRun("copied"), { ...copyRun("failed"), endedAt: now }];
    expect(copyingOf({ dataset: home, store: "away", records, runs: [], source: null, target: null })).toMatchObject({ lastSuccessAt: ago(hourMs), lastRun: { outcome: "failed" } });
  });
});

describe("the state of a dataset", () => {
  it.for([
    ["one that was stored last night", {}, "ok", null],
    ["one that had nothing to send", { runs: [runOf(hourMs, { outcome: "nothing" })] }, "ok", null],
    ["one that failed last night", { runs: [runOf(30 * hourMs), runOf(6 * hourMs, { outcome: "failed" })] }, "failed", "the run of 2026-11-21T06:00:00.000Z failed: no space (make room)"],
    ["one whose services were not started again, though it is stored", { owedHooks: ["db", "web"] }, "stopped", "what its hooks db, web stopped was not started again: run zferry recover"],
    ["one that is disabled, with services stopped", { job: jobOf("dataset: tank/home", "enabled: false"), disabledSince: ago(dayMs), owedHooks: ["db"] }, "stopped", "what its hooks db stopped was not started again: run zferry recover"],
    ["one that failed, and then was stored", { runs: [runOf(6 * hourMs, { outcome: "failed" }), runOf(hourMs)] }, "ok", null],
    ["one that failed, and then was skipped", { runs: [runOf(6 * hourMs, { outcome: "failed" }), runOf(hourMs, { outcome: "skipped" })] }, "failed", "the run of 2026-11-21T06:00:00.000Z failed: no space (make room)"],
    ["one that is only ever skipped", { runs: [runOf(40 * hourMs), runOf(hourMs, { outcome: "skipped" })] }, "overdue", "the last success was 1d ago, one is expected every 1d: see that its timer runs"],
    ["one at the limit of overdue_after", { runs: [runOf(36 * hourMs)] }, "ok", null],
    ["one beyond it", { runs: [runOf(36 * hourMs + 1)] }, "overdue", "the last success was 1d ago, one is expected every 1d: see that its timer runs"],
    ["one with a limit of its own", { job: jobOf("dataset: tank/home", "every: 1h", "overdue_after: 5h"), runs: [runOf(5 * hourMs)] }, "ok", null],
    ["one that never ran, new here", { runs: [], seenAt: ago(hourMs) }, "waiting", "it has not run yet"],
    ["one that never ran, long known here", { runs: [] }, "overdue", "it has never been backed up here, one is expected every 1d: see that its timer runs"],
    ["one whose only success has a time to come", { runs: credible([runOf(-2 * dayMs)], now) }, "overdue", "it has never been backed up here, one is expected every 1d: see that its timer runs"],
    ["one in which verify found something", { held: { ...held, damaged: [parseSnapshotName("tank/home@a")] } }, "damaged", "verify has found something in tank/home@a: make a new full while you can"],
    ["one of which backups are gone", { held: { ...held, lostCount: 2 } }, "damaged", "2 of its backups are gone from the store, or are others now: see zferry verify"],
    ["one that was disabled yesterday", { job: jobOf("dataset: tank/home", "enabled: false"), runs: [runOf(40 * dayMs)], disabledSince: ago(dayMs) }, "disabled", "enabled: false"],
    ["one that has been for eight days", { job: jobOf("dataset: tank/home", "enabled: false"), disabledSince: ago(8 * dayMs) }, "disabled-too-long", "it has been disabled for 8d: enable it, or remove the job"],
    ["one a glob matches no more", { isNamed: false, runs: [runOf(3 * dayMs)], jobRunAt: ago(hourMs) }, "gone", "it is no longer among the datasets of the job"],
    ["one a glob matches, that is only ever skipped while others of the job are stored", { isNamed: false, runs: [runOf(40 * hourMs), runOf(hourMs, { outcome: "skipped" })], jobRunAt: ago(hourMs) }, "overdue", "the last success was 1d ago, one is expected every 1d: see that its timer runs"],
    ["one a glob matches no more, and whose backups are gone too", { isNamed: false, runs: [runOf(3 * dayMs)], jobRunAt: ago(hourMs), held: { ...held, lostCount: 2 } }, "damaged", "2 of its backups are gone from the store, or are others now: see zferry verify"],
    ["one that is disabled, in which verify found something", { job: jobOf("dataset: tank/home", "enabled: false"), disabledSince: ago(dayMs), held: { ...held, damaged: [parseSnapshotName("tank/home@a")] } }, "damaged", "verify has found something in tank/home@a: see zferry list"],
    ["one whose copy failed", { copying: [{ ...copied, lastRun: copyRun("failed") }] }, "copy-failed", 'the copy in "away": the run of 2026-11-21T11:00:00.000Z failed: no line'],
    ["one whose copy had nothing to do", { copying: [{ ...copied, lastRun: copyRun("nothing") }] }, "ok", null],
    ["one whose copy lacks the last night's", { copying: [{ ...copied, waitingSince: ago(36 * hourMs) }] }, "ok", null],
    ["one whose copy lacks more", { copying: [copied, { ...copied, waitingSince: ago(50 * hourMs) }] }, "copy-behind", 'the copy in "away" lacks what was made 2d ago and since: run zferry copy home'],
    ["one of which the same is true, with a name of several words", { job: { ...jobOf(), name: "my papers" }, copying: [{ ...copied, waitingSince: ago(50 * hourMs) }] }, "copy-behind", "the copy in \"away\" lacks what was made 2d ago and since: run zferry copy 'my papers'"],
    ["one that failed, whose copy did too", { runs: [runOf(6 * hourMs, { outcome: "failed" })], copying: [{ ...copied, lastRun: copyRun("failed") }] }, "failed", "the run of 2026-11-21T06:00:00.000Z failed: no space (make room)"],
    ["one a glob matches, whose job has stopped", { isNamed: false, runs: [runOf(3 * dayMs)], jobRunAt: ago(3 * dayMs) }, "overdue", "the last success was 3d ago, one is expected every 1d: see that its timer runs"],
  ] as const)("%s", ([, some, state, why]) => {
    const { state: got, why: said, isProblem } = standing(some);
    expect([got, said]).toEqual([state, why]);
    expect(isProblem).toBe(["stopped", "failed", "damaged", "overdue", "disabled-too-long", "copy-failed", "copy-behind"].includes(state));
  });

  it.for([
    [120_001, "slow"],
    [120_000, "ok"],
  ] as const)("a last backup that took %i ms where a minute is usual is %s", ([tookMs, state]) => {
    const before = Array.from({ length: 12 }, (_, night) => runOf((13 - night) * dayMs, { tookMs: night < 2 ? 9_000_000 : 60_000 }));
    const full = runOf(20 * hourMs, { kind: "full", tookMs: 9_000_000 });
    const { state: got, meanDurationMs } = standing({ runs: [...before, full, runOf(hourMs, { tookMs })] });
    expect([got, meanDurationMs]).toEqual([state, 60_000]);
  });

  it("names when the next run is expected, and nothing of a disabled job or of what is gone", () => {
    expect(standing().nextExpectedAt).toEqual(ago(-14 * hourMs));
    expect(standing({ job: jobOf("dataset: tank/home", "enabled: false") }).nextExpectedAt).toBeNull();
    expect(standing({ isNamed: false, runs: [runOf(3 * dayMs)], jobRunAt: ago(hourMs) }).nextExpectedAt).toBeNull();
  });

  const long = { runs: [runOf(40 * hourMs), runOf(39 * hourMs, { outcome: "failed" })] } as const;
  it.for([
    ["that is overdue, and failed before", long, "overdue"],
    ["that is overdue, with services stopped", { ...long, owedHooks: ["db"] }, "overdue"],
    ["that is overdue, with damage in an old backup", { ...long, held: { ...held, damaged: [parseSnapshotName("tank/home@a")] } }, "overdue"],
    ["that failed last night alone", { runs: [runOf(30 * hourMs), runOf(6 * hourMs, { outcome: "failed" })] }, null],
    ["that is disabled for too long, with services stopped", { job: jobOf("dataset: tank/home", "enabled: false"), disabledSince: ago(8 * dayMs), owedHooks: ["db"] }, "disabled"],
    ["that is gone", { isNamed: false, runs: [runOf(3 * dayMs)], jobRunAt: ago(hourMs) }, null],
  ] as const)("of one %s hides nothing that no run can tell", ([, some, kind]) => {
    expect(standing(some).lapse?.kind ?? null).toBe(kind);
  });

  it.for([[0, "0s"], [59_999, "59s"], [60_000, "1m"], [3_599_999, "59m"], [hourMs, "1h"], [dayMs - 1, "23h"], [dayMs, "1d"], [-5, "0s"]] as const)("an age of %i ms is %s", ([ms, text]) => {
    expect(ageText(ms)).toBe(text);
  });
});

describe("the tally", () => {
  const known = { jobs: [{ name: "home", isEnabled: true }], isPart: false, now };

  it("counts each failed run once, also when the history has forgotten it", () => {
    const runs = [runOf(3 * dayMs, { outcome: "failed" }), runOf(2 * dayMs), runOf(dayMs, { outcome: "failed" })];
    const once = tallied(emptyTally, { ...known, runs });
    const twice = tallied(tallied(once, { ...known, runs }), { ...known, runs: [...runs.slice(2), runOf(hourMs, { outcome: "failed" })] });
    expect([once.failures[0]?.count, twice.failures[0]?.count]).toEqual([2, 3]);
  });

  it("remembers since when a job is known and since when it is disabled, and forgets removed ones", () => {
    const first = tallied(emptyTally, { ...known, runs: [] });
    const off = tallied(first, { jobs: [{ name: "home", isEnabled: false }, { name: "mail", isEnabled: true }], isPart: false, runs: [], now: ago(-dayMs) });
    expect(off.jobs).toEqual([
      { name: "home", seenAt: now, disabledSince: ago(-dayMs) },
      { name: "mail", seenAt: ago(-dayMs), disabledSince: null },
    ]);
    const part = tallied(off, { jobs: [{ name: "mail", isEnabled: true }], isPart: true, runs: [], now: ago(-2 * dayMs) });
    expect(part.jobs.map(({ name }) => name)).toEqual(["home", "mail"]);
    const on = tallied(off, { ...known, runs: [], now: ago(-3 * dayMs) });
    expect(on.jobs).toEqual([{ name: "home", seenAt: now, disabledSince: null }]);
  });
});
