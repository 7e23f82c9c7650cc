/**
 * Retention over random histories: whatever was stored, in whatever order, with clocks that were wrong and manifests that
 * are gone, what stays can be restored, the policy keeps its promise, and judging again changes nothing.
 *
 * Goal: no history at all breaks a promise. Method: fast-check makes histories and shrinks what fails; it prints its seed.
 * What a policy promises is computed here once more, by grouping instead of by walking.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { KeepPolicy } from "../src/config/keep.ts";
import { keepsAnything } from "../src/config/keep.ts";
import { chainTo } from "../src/format/chain.ts";
import { type BackupEntry, byAge, datasetOfEntry } from "../src/format/entry.ts";
import { isAhead, isoWeekOf } from "../src/keep-rules.ts";
import { type BackupFacts, inOrderOfRemoval, judgeBackups } from "../src/retention.ts";
import { type LastVerified, verifyLevels } from "../src/verified.ts";
import { factsOf, sketched } from "./retaining.ts";

const historyCount = 2000;
const dayMs = 24 * 3_600_000;
const now = new Date("2028-03-01T12:00Z");

/** A backup before anything is known of the others. `on` is how many back its base lies; 0 is a full. */
const backup = fc.record({
  ageMs: fc.oneof(fc.integer({ min: 0, max: 40 * dayMs }), fc.integer({ min: 0, max: 1500 * dayMs }), fc.integer({ min: -3 * dayMs, max: 0 })),
  on: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 12 })),
  isElsewhere: fc.integer({ min: 0, max: 9 }).map((one) => one === 0),
  isLost: fc.integer({ min: 0, max: 14 }).map((one) => one === 0),
  isSameAsLast: fc.integer({ min: 0, max: 14 }).map((one) => one === 0),
  proof: fc.option(fc.record({ level: fc.constantFrom(...verifyLevels), ok: fc.boolean(), atMs: fc.integer({ min: 0, max: 1e12 }) }), { freq: 3 }),
  isLocked: fc.integer({ min: 0, max: 14 }).map((one) => one === 0),
  isUnreadable: fc.integer({ min: 0, max: 19 }).map((one) => one === 0),
});

const count = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 9 }));
const policies = fc
  .record({ last: count, withinMs: fc.option(fc.integer({ min: 1, max: 60 * dayMs })), daily: count, weekly: count, monthly: count, yearly: count, fulls: count })
  .filter(keepsAnything);

const histories = fc.record({
  drafts: fc.array(backup, { maxLength: 60 }),
  isSteady: fc.boolean(),
  hasStranger: fc.integer({ min: 0, max: 19 }).map((one) => one === 0),
  anchor: fc.option(fc.nat({ max: 59 })),
});

/** What a history leaves in a store. In a steady one backups follow each other; otherwise clocks have jumped about. */
function leftBy({ drafts, isSteady, hasStranger, anchor }: typeof histories extends fc.Arbitrary<infer T> ? T : never): BackupFacts {
  const ages = drafts.map(({ ageMs }) => ageMs);
  if (isSteady) ages.sort((a, b) => b - a);
  const made: BackupEntry[] = [];
  for (const [index, { on, isElsewhere, isSameAsLast }] of drafts.entries()) {
    const base = on === 0 ? undefined : made[index - on];
    const dataset = isElsewhere ? "tank/moved" : "tank/home";
    const guid = isSameAsLast && index > 0 ? Number(made[index - 1]?.guid) : index + 1;
    const at = new Date(now.getTime() - (ages[index] ?? 0));
    made.push(sketched({ name: `${dataset}@n${index}`, at, guid, ...(base === undefined ? {} : { on: Number(base.guid) }) }));
  }
  const unreadable = made.filter((_, index) => drafts[index]?.isUnreadable).map((entry) => ({ key: entry.backup, entry }));
  return factsOf(made.filter((_, index) => drafts[index]?.isLost === false && !drafts[index].isUnreadable).sort(byAge), {
    now,
    unreadable: [...unreadable, ...(hasStranger ? [{ key: "manifests/x.json", entry: null }] : [])],
    verified: new Map(made.flatMap(({ backup: name }, index) => proofOf(drafts[index]?.proof ?? null).map((proof) => [name, proof]))),
    guarded: new Map(made.filter((_, index) => drafts[index]?.isLocked).map((entry) => [entry.backup, [{ kind: "held" as const, text: "locked" }]])),
    anchors: new Set(made.slice(anchor ?? 60, (anchor ?? 60) + 1).map(({ guid }) => guid)),
  });
}

function proofOf(proof: { level: LastVerified["level"]; ok: boolean; atMs: number } | null): LastVerified[] {
  return proof === null ? [] : [{ level: proof.level, ok: proof.ok, at: new Date(proof.atMs), etag: "e", findingCount: proof.ok ? 0 : 1, findings: [] }];
}

interface Judged {
  readonly kept: ReadonlySet<BackupEntry>;
  readonly doomed: readonly BackupEntry[];
}

function judge(facts: BackupFacts, policy: KeepPolicy): Judged {
  const verdicts = judgeBackups(facts, policy);
  const kept = new Set(verdicts.filter(({ reasons }) => reasons.length > 0).map(({ subject }) => subject));
  return { kept, doomed: inOrderOfRemoval(verdicts, facts.backups) };
}

function isGood(entry: BackupEntry, { backups, verified }: BackupFacts): boolean {
  const chain = chainTo(entry, { backups });
  return typeof chain !== "string" && chain.every((one) => verified.get(one.backup)?.ok !== false) && !isAhead(entry.createdAt, now);
}

function own({ backups, dataset }: BackupFacts): BackupEntry[] {
  return backups.filter((entry) => datasetOfEntry(entry) === dataset);
}

/** Those that must be there for the policy to have kept its word, among backups that can be restored. */
function promised(facts: BackupFacts, policy: KeepPolicy): BackupEntry[] {
  const newestFirst = own(facts).filter((entry) => isGood(entry, facts)).sort(byAge).reverse();
  const newestOfEach = (bucketOf: (at: Date) => string, most: number): BackupEntry[] => {
    const groups = new Map<string, BackupEntry>();
    for (const entry of [...newestFirst].reverse()) groups.set(bucketOf(entry.createdAt), entry);
    return [...groups].sort(([a], [b]) => (a < b ? 1 : -1)).slice(0, most).map(([, newest]) => newest);
  };
  const part = (length: number) => (at: Date) => at.toISOString().slice(0, length);
  const newestMs = newestFirst[0]?.createdAt.getTime() ?? 0;
  return [
    ...newestFirst.slice(0, Math.max(1, policy.last)),
    ...newestFirst.filter(({ createdAt }) => policy.withinMs !== null && createdAt.getTime() >= newestMs - policy.withinMs),
    ...newestOfEach(part(10), policy.daily),
    ...newestOfEach(isoWeekOf, policy.weekly),
    ...newestOfEach(part(7), policy.monthly),
    ...newestOfEach(part(4), policy.yearly),
    ...newestFirst.filter(({ kind }) => kind === "full").slice(0, policy.fulls),
  ];
}

/** `expect` for each of a hundred thousand ways would take most of the time. */
function expectSameWay(entry: BackupEntry, left: readonly BackupEntry[], facts: BackupFacts): void {
  const [before, after] = [chainTo(entry, facts), chainTo(entry, { backups: left })];
  const isSame = typeof before === "string" ? before === after : before.every((one, index) => one === after[index]);
  if (!isSame) expect(after).toEqual(before);
}

/** Runs over all histories; every run starts from facts of its own. */
function always(check: (facts: BackupFacts, policy: KeepPolicy, random: number) => void): void {
  fc.assert(
    fc.property(histories, policies, fc.nat({ max: 1000 }), (history, policy, random) => {
      check(leftBy(history), policy, random);
    }),
    { numRuns: historyCount },
  );
}

it(`over ${historyCount} histories: nothing that stays loses what it needs, here or in another dataset`, () => {
  always((facts, policy) => {
    const { kept, doomed } = judge(facts, policy);
    const left = facts.backups.filter((entry) => !doomed.includes(entry));
    for (const entry of facts.backups.filter((one) => kept.has(one) || datasetOfEntry(one) !== facts.dataset)) {
      expectSameWay(entry, left, facts);
    }
    for (const { entry } of facts.unreadable) if (entry !== null) expectSameWay(entry, left, facts);
  });
});

it(`over ${historyCount} histories: there are never fewer than the policy promises, and never none`, () => {
  always((facts, policy) => {
    const { kept } = judge(facts, policy);
    expect(promised(facts, policy).filter((entry) => !kept.has(entry))).toEqual([]);
    if (own(facts).length > 0) expect(kept.size).toBeGreaterThan(0);
  });
});

it(`over ${historyCount} histories: what is locked, an anchor, broken, from the future or cannot be told of stays`, () => {
  always((facts, policy) => {
    const { doomed } = judge(facts, policy);
    const isProtected = (entry: BackupEntry): boolean =>
      facts.guarded.has(entry.backup) ||
      facts.anchors.has(entry.guid) ||
      typeof chainTo(entry, facts) === "string" ||
      isAhead(entry.createdAt, now) ||
      facts.unreadable.some((one) => one.entry === null);
    expect(doomed.filter(isProtected)).toEqual([]);
  });
});

it(`over ${historyCount} histories: a removal that ends anywhere leaves ways whole, and the next one comes to the same end`, () => {
  always((facts, policy, random) => {
    const { kept, doomed } = judge(facts, policy);
    const gone = new Set(doomed.slice(0, doomed.length === 0 ? 0 : random % (doomed.length + 1)));
    const backups = facts.backups.filter((entry) => !gone.has(entry));
    for (const entry of backups) {
      if (typeof chainTo(entry, facts) !== "string") expectSameWay(entry, backups, facts);
    }
    const next = judge({ ...facts, backups }, policy);
    expect(next.kept).toEqual(kept);
    expect(judge({ ...facts, backups: backups.filter((entry) => !next.doomed.includes(entry)) }, policy)).toEqual({ kept, doomed: [] });
  });
});
