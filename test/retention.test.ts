/** What stays beside what the rules keep, one reason after the other. The rules are in `keep-rules.test.ts`. */
import { describe, expect, it } from "vitest";
import { judgeBackups, judgeSnapshots, inOrderOfRemoval, type LocalSnapshot } from "../src/retention.ts";
import type { LastVerified, VerifyLevel } from "../src/verified.ts";
import { type Guid, parseDatasetName } from "../src/zfs/names.ts";
import { factsOf, named, noRules, sketched, staying, whyStays } from "./retaining.ts";

/** A full on the first of each of three months, and an incremental on the 10th and the 20th. */
const history = ["01", "02", "03"].flatMap((month, index) => [
  sketched({ name: `full-${month}`, at: `2026-${month}-01T03:00Z`, guid: index + 1 }),
  sketched({ name: `inc-${month}-10`, at: `2026-${month}-10T03:00Z`, on: index + 1 }),
  sketched({ name: `inc-${month}-20`, at: `2026-${month}-20T03:00Z`, on: index + 1 }),
]);
const last = (count: number) => ({ ...noRules, last: count });

function verified(level: VerifyLevel, at: string, ok = true): LastVerified {
  return { level, ok, etag: "e", at: new Date(at), findingCount: ok ? 0 : 1, findings: [] };
}

describe("backups in a store", () => {
  it("a full lives while a kept incremental needs it", () => {
    const verdicts = judgeBackups(factsOf(history), last(4));
    expect(staying(verdicts)).toEqual(["full-02", "inc-02-20", "full-03", "inc-03-10", "inc-03-20"]);
    expect(whyStays(verdicts, "full-02")).toEqual(["full of kept incremental tank/home@inc-02-20"]);
    expect(whyStays(verdicts, "full-03")).toEqual(["last", "anchor in use", "full of kept incremental tank/home@inc-03-10 and 1 more"]);
    expect(whyStays(verdicts, "inc-03-20")).toEqual(["last", "newest restorable"]);
    expect(whyStays(verdicts, "inc-02-10")).toEqual([]);
  });

  it("an incremental lives while one that starts from it is kept", () => {
    const chain = [sketched({ name: "a", at: "2026-01-01T00:00Z", guid: 1 }), sketched({ name: "b", at: "2026-01-02T00:00Z", guid: 2, on: 1 }), sketched({ name: "c", at: "2026-01-03T00:00Z", on: 2 })];
    const verdicts = judgeBackups(factsOf(chain), last(1));
    expect(staying(verdicts)).toEqual(["a", "b", "c"]);
    expect(whyStays(verdicts, "b")).toEqual(["base of kept incremental tank/home@c"]);
  });

  it("a backup of another dataset keeps what it needs of this one", () => {
    const moved = sketched({ name: "tank/moved@x", at: "2026-02-01T00:00Z", on: 1 });
    expect(whyStays(judgeBackups(factsOf([...history, moved]), last(1)), "full-01")).toEqual(["full of kept incremental tank/moved@x"]);
  });

  it("without a policy everything stays", () => {
    const verdicts = judgeBackups(factsOf(history), null);
    expect(staying(verdicts)).toHaveLength(history.length);
    expect(whyStays(verdicts, "inc-01-10")).toEqual(["no policy"]);
  });

  it("a policy that keeps nothing is refused", () => {
    expect(() => judgeBackups(factsOf(history), noRules)).toThrow("would delete everything");
    expect(() => judgeBackups(factsOf([]), noRules)).toThrow("would delete everything");
  });

  it("the anchor stays: the latest full, and the one that state file or pool know", () => {
    const onlyFulls = { ...noRules, yearly: 1 };
    const backups = [...history, sketched({ name: "full-04", at: "2026-04-01T00:00Z" }), sketched({ name: "inc-04", at: "2026-04-02T00:00Z", on: 3 })];
    const verdicts = judgeBackups(factsOf(backups, { anchors: new Set([2n as Guid]) }), onlyFulls);
    expect(staying(verdicts)).toEqual(["full-02", "full-03", "full-04", "inc-04"]);
    expect(whyStays(verdicts, "full-04")).toEqual(["anchor in use"]);
    expect(whyStays(verdicts, "full-02")).toEqual(["anchor in use"]);
  });

  it.for([
    ["stream, even if others were looked at later", [["inc-01-10", "stream", "2026-04-01"], ["inc-02-20", "digest", "2026-05-01"]], ["inc-01-10"]],
    ["receive as well as stream: the newest of them, and the one proven last", [["full-01", "receive", "2026-06-01"], ["inc-01-20", "stream", "2026-04-01"], ["inc-01-10", "stream", "2026-04-02"]], ["full-01", "inc-01-20"]],
    ["digest, where none was proven higher", [["inc-01-10", "digest", "2026-04-01"], ["inc-02-20", "exists", "2026-05-01"]], ["inc-01-10"]],
    ["exists, where nothing else was", [["inc-02-10", "exists", "2026-04-01"]], ["inc-02-10"]],
  ] as const)("the last one proven by verify stays, at the level %s", ([, results, wanted]) => {
    const proofs = new Map(results.map(([name, level, at]) => [named(name), verified(level, at)]));
    const verdicts = judgeBackups(factsOf(history, { verified: proofs }), last(1));
    expect(verdicts.filter(({ reasons }) => reasons.some(({ kind }) => kind === "verified")).map(({ subject }) => subject.backup)).toEqual(wanted.map(named));
  });

  it("one that verify found damaged takes no other's place, and goes when its time has come", () => {
    const bad = new Map([[named("inc-03-20"), verified("digest", "2026-04-01", false)]]);
    const verdicts = judgeBackups(factsOf(history, { verified: bad }), last(1));
    expect(staying(verdicts)).toEqual(["full-03", "inc-03-10", "inc-03-20"]);
    expect(whyStays(verdicts, "inc-03-10")).toEqual(["last", "newest restorable"]);
    const old = new Map([[named("inc-01-20"), verified("digest", "2026-04-01", false)]]);
    expect(staying(judgeBackups(factsOf(history, { verified: old }), last(1)))).toEqual(["full-03", "inc-03-20"]);
  });

  it("where a full was found damaged, its incrementals take no other's place either", () => {
    const bad = new Map([[named("full-03"), verified("digest", "2026-04-01", false)]]);
    const verdicts = judgeBackups(factsOf(history, { verified: bad }), last(2));
    expect(staying(verdicts)).toEqual(["full-02", "inc-02-10", "inc-02-20", "full-03", "inc-03-10", "inc-03-20"]);
    expect(whyStays(verdicts, "inc-02-20")).toEqual(["last", "newest restorable"]);
  });

  it("one whose base is missing stays, counts for no rule, and keeps what is left of its way", () => {
    const orphans = [sketched({ name: "b", at: "2026-03-21T00:00Z", guid: 52, on: 51 }), sketched({ name: "c", at: "2026-03-22T00:00Z", on: 52 })];
    const verdicts = judgeBackups(factsOf([...history, ...orphans]), last(1));
    expect(staying(verdicts)).toEqual(["full-03", "inc-03-20", "b", "c"]);
    expect(whyStays(verdicts, "c")).toEqual(["not restorable: its base, the snapshot with guid 51, is not in the store"]);
    expect(whyStays(verdicts, "inc-03-20")).toEqual(["last", "newest restorable"]);
  });

  it("one without a way keeps every backup that another way could begin with", () => {
    const circle = [sketched({ name: "x", at: "2026-01-03T00:00Z", guid: 61, on: 62 }), sketched({ name: "y", at: "2026-01-03T00:00Z", guid: 62, on: 61 })];
    const same = sketched({ name: "tank/other@y", at: "2026-01-03T00:00Z", guid: 62 });
    const verdicts = judgeBackups(factsOf([...history, ...circle, same], { dataset: parseDatasetName("tank/other") }), last(1));
    expect(whyStays(verdicts, "tank/other@y")).toContain("full of kept incremental tank/home@x");
  });

  it("a manifest that was never read may need anything, so nothing goes", () => {
    const unreadable = [{ key: "manifests/tank/other@x.json", entry: null }];
    const verdicts = judgeBackups(factsOf(history, { unreadable }), last(1));
    expect(staying(verdicts)).toHaveLength(history.length);
    expect(whyStays(verdicts, "inc-01-10")).toEqual(['"manifests/tank/other@x.json" cannot be read, and may need it']);
  });

  it("a manifest that could be read once keeps what it needed then, and no more", () => {
    const unreadable = [{ key: "manifests/tank/home@x.json", entry: sketched({ name: "x", at: "2026-01-15T00:00Z", on: 1 }) }];
    expect(staying(judgeBackups(factsOf(history, { unreadable }), last(1)))).toEqual(["full-01", "full-03", "inc-03-20"]);
  });

  it("what is held stays, with what it needs, and it is said by whom", () => {
    const guarded = new Map([[named("inc-01-10"), [{ kind: "held", text: "locked until 2031-01-01" } as const]]]);
    const verdicts = judgeBackups(factsOf(history, { guarded }), last(1));
    expect(staying(verdicts)).toEqual(["full-01", "inc-01-10", "full-03", "inc-03-20"]);
    expect(whyStays(verdicts, "inc-01-10")).toEqual(["locked until 2031-01-01"]);
  });

  it("one from the future stays, and neither it nor a clock that is behind makes another go", () => {
    const future = sketched({ name: "future", at: "2099-01-01T00:00Z" });
    const verdicts = judgeBackups(factsOf([...history, future]), { ...noRules, last: 1, withinMs: 24 * 3_600_000 });
    expect(staying(verdicts)).toEqual(["full-03", "inc-03-20", "future"]);
    expect(whyStays(verdicts, "inc-03-20")).toEqual(["last", "within 1d", "newest restorable"]);
    expect(staying(judgeBackups(factsOf(history, { now: new Date(0) }), last(1)))).toHaveLength(history.length);
  });

  it("what goes is removed before what it needs, and the oldest first", () => {
    const verdicts = judgeBackups(factsOf(history), last(1));
    expect(inOrderOfRemoval(verdicts, history).map(({ backup }) => backup)).toEqual(
      ["inc-01-10", "inc-01-20", "inc-02-10", "inc-02-20", "inc-03-10", "full-01", "full-02"].map(named),
    );
  });
});

describe("snapshots on the pool", () => {
  const snapshot = (name: string, at: string, more: Partial<LocalSnapshot> = {}): LocalSnapshot => ({
    name: named(name), guid: BigInt(name.charCodeAt(0)) as Guid, createdAt: new Date(at), ours: true, userRefs: 0, ...more,
  });
  const nights = ["a", "b", "c", "d"].map((name, index) => snapshot(name, `2026-01-0${index + 1}T00:00Z`));
  const nothing = { fulls: new Set<Guid>(), anchors: new Set<Guid>(), unfinished: new Set<never>(), now: new Date("2030-01-01T00:00Z") };

  function judged(snapshots: readonly LocalSnapshot[], facts: Partial<Parameters<typeof judgeSnapshots>[0]> = {}, policy = last(1)): Record<string, string[]> {
    const verdicts = judgeSnapshots({ ...nothing, snapshots, ...facts }, policy);
    return Object.fromEntries(verdicts.map(({ subject, reasons }) => [subject.name.replace("tank/home@", ""), reasons.map(({ text }) => text)]));
  }

  it("are judged by the same rules", () => {
    expect(judged(nights)).toEqual({ a: [], b: [], c: [], d: ["last", "newest"] });
    expect(judged(nights, {}, { ...noRules, daily: 2, fulls: 1 })).toEqual({ a: [], b: [], c: ["daily 2026-01-03"], d: ["daily 2026-01-04", "newest"] });
    expect(judged(nights, { fulls: new Set([97n as Guid]) }, { ...noRules, fulls: 1 })).toEqual({ a: ["full"], b: [], c: [], d: ["newest"] });
  });

  it("of other tools are not judged at all", () => {
    expect(judged([snapshot("autosnap", "2025-01-01T00:00Z", { ours: false }), ...nights.slice(2)])).toEqual({ c: [], d: ["last", "newest"] });
  });

  it.for([
    ["an anchor", { anchors: new Set([98n as Guid]) }, "anchor in use"],
    ["of an unfinished run", { unfinished: new Set([named("b")]) }, "of an unfinished run"],
  ] as const)("stay when one is %s", ([, facts, why]) => {
    expect(judged(nights, facts)).toEqual({ a: [], b: [why], c: [], d: ["last", "newest"] });
  });

  it("stay when they are held, or their time is ahead of the clock", () => {
    const some = [snapshot("a", "2026-01-01T00:00Z", { userRefs: 1 }), snapshot("b", "2026-01-01T00:00Z", { userRefs: 2 }), snapshot("c", "2099-01-01T00:00Z"), ...nights.slice(2)];
    expect(judged(some)).toMatchObject({ a: ["held (1 hold)"], b: ["held (2 holds)"], d: ["last", "newest"] });
  });

  it("the newest is the one the pool took last, whatever the clock said", () => {
    expect(judged([...nights, snapshot("e", "1970-01-01T00:00Z")])).toMatchObject({ d: ["last"], e: ["newest"] });
  });

  it("stay without a policy, and one that keeps nothing is refused", () => {
    expect(Object.values(judgeSnapshots({ ...nothing, snapshots: nights }, null)).map(({ reasons }) => reasons[0]?.text)).toEqual(Array(4).fill("no policy"));
    expect(() => judged(nights, {}, noRules)).toThrow("would delete everything");
  });
});
