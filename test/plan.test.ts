import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BackupEntry } from "../src/format/entry.ts";
import { type BaseCandidate, type Plan, planBackup, type PlanFacts, type PlanPolicy } from "../src/plan.ts";
import { type Guid, parseBookmarkName, parseSnapshotName } from "../src/zfs/names.ts";
import { backupEntry } from "./entries.ts";

const dayMs = 86_400_000;
const now = new Date("2026-11-21T02:00:00Z");
const flags = ["-L", "-c"];

function guid(value: number): Guid {
  return BigInt(value) as Guid;
}

/** A full stored `daysAgo`, of the snapshot with that guid. */
function full(name: string, of: number, daysAgo: number, more: Partial<BackupEntry> = {}): BackupEntry {
  const createdAt = new Date(now.getTime() - daysAgo * dayMs);
  return backupEntry({ backup: parseSnapshotName(`tank/home@${name}`), guid: guid(of), createdAt, flags, committedAt: now, ...more });
}

function incremental(name: string, of: number, from: number, daysAgo: number): BackupEntry {
  return full(name, of, daysAgo, { base: { guid: guid(from), backup: null } });
}

function sized(entry: BackupEntry, messageBytes: number): BackupEntry {
  return { ...entry, messageBytes };
}

function snapshot(name: string, of: number, createTxg: number): BaseCandidate {
  return { kind: "snapshot", name: parseSnapshotName(`tank/home@${name}`), guid: guid(of), createTxg: BigInt(createTxg) };
}

function bookmark(name: string, of: number, createTxg: number): BaseCandidate {
  return { kind: "bookmark", name: parseBookmarkName(`tank/home#${name}`), guid: guid(of), createTxg: BigInt(createTxg) };
}

function target(name: string, of: number, createTxg: number): PlanFacts["target"] {
  return { name: parseSnapshotName(`tank/home@${name}`), guid: guid(of), createTxg: BigInt(createTxg) };
}

const auto: PlanPolicy = { ask: "auto", fullEveryMs: 30 * dayMs, fullWhenIncrementalExceeds: null };

function plan(facts: Partial<PlanFacts>, policy: Partial<PlanPolicy> = {}): Plan {
  return planBackup({ backups: [], onPool: [], rememberedAnchor: null, target: null, flags, now, ...facts }, { ...auto, ...policy });
}

/** A healthy anchor "a", ten days old, with its snapshot on the pool. */
const healthy = { backups: [full("a", 1, 10)], onPool: [snapshot("a", 1, 100)], rememberedAnchor: guid(1) };

interface Row {
  readonly when: string;
  readonly facts: Partial<PlanFacts>;
  readonly policy?: Partial<PlanPolicy>;
  readonly kind: Plan["kind"];
  readonly reason: string;
  /** Name of the base on the pool. */
  readonly base?: string;
}

const rows: readonly Row[] = [
  { when: "the store is empty", facts: {}, kind: "full", reason: "there is no full backup in the store yet" },
  {
    when: "the anchor and its snapshot are there",
    facts: healthy,
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the state file is lost",
    facts: { ...healthy, rememberedAnchor: null },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "only a bookmark of the anchor is left",
    facts: { ...healthy, onPool: [bookmark("zferry-anchor", 1, 100)] },
    kind: "incremental",
    reason: 'against the bookmark "tank/home#zferry-anchor" of the anchor, whose snapshot is gone',
    base: "tank/home#zferry-anchor",
  },
  {
    when: "there are a bookmark and the snapshot of the anchor",
    facts: { ...healthy, onPool: [bookmark("b", 1, 100), snapshot("a", 1, 100)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the anchor's snapshot was renamed",
    facts: { ...healthy, onPool: [snapshot("renamed", 1, 100)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@renamed",
  },
  {
    when: "another snapshot has the anchor's name",
    facts: { ...healthy, onPool: [snapshot("a", 9, 100)] },
    kind: "full",
    reason: 'the anchor "tank/home@a" has neither snapshot nor bookmark on the pool any more',
  },
  {
    when: "nothing of the anchor is on the pool",
    facts: { ...healthy, onPool: [] },
    kind: "full",
    reason: 'the anchor "tank/home@a" has neither snapshot nor bookmark on the pool any more',
  },
  {
    when: "the manifest of the remembered anchor is gone, and there is no other",
    facts: { ...healthy, backups: [] },
    kind: "full",
    reason: "the manifest of the anchor is missing in the store",
  },
  {
    when: "the manifest of the remembered anchor is gone, and an older full is there",
    facts: { ...healthy, backups: [full("old", 5, 20)], onPool: [snapshot("a", 1, 100), snapshot("old", 5, 50)] },
    kind: "full",
    reason: "the manifest of the anchor is missing in the store",
  },
  {
    when: "only incrementals of the anchor are left in the store",
    facts: { ...healthy, backups: [incremental("b", 2, 1, 5)] },
    kind: "full",
    reason: "the manifest of the anchor is missing in the store",
  },
  {
    when: "there are several fulls, in any order",
    facts: {
      backups: [full("c", 3, 1), full("a", 1, 20), full("b", 2, 10)],
      onPool: [snapshot("a", 1, 100), snapshot("b", 2, 200), snapshot("c", 3, 300)],
    },
    kind: "incremental",
    reason: 'against the anchor "tank/home@c"',
    base: "tank/home@c",
  },
  {
    when: "a full was committed that the state file does not know",
    facts: { ...healthy, backups: [full("a", 1, 10), full("b", 2, 1)], onPool: [snapshot("a", 1, 100), snapshot("b", 2, 200)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@b"',
    base: "tank/home@b",
  },
  {
    when: "incrementals are younger than the anchor",
    facts: { ...healthy, backups: [full("a", 1, 10), incremental("b", 2, 1, 1)], onPool: [snapshot("a", 1, 100), snapshot("b", 2, 200)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the only full is a package",
    facts: { backups: [full("a", 1, 10, { streamKind: "compound" })], onPool: [snapshot("a", 1, 100)] },
    kind: "full",
    reason: "there is no full backup in the store yet",
  },
  {
    when: "the anchor is a moment younger than the limit",
    facts: { ...healthy, backups: [full("a", 1, 30 - 1e-6)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the anchor is exactly as old as the limit",
    facts: { ...healthy, backups: [full("a", 1, 30)] },
    kind: "full",
    reason: 'the anchor "tank/home@a" is 30 days old, the limit is 30 days',
  },
  {
    when: "the anchor is older than the limit",
    facts: { ...healthy, backups: [full("a", 1, 45.5)] },
    policy: { fullEveryMs: dayMs },
    kind: "full",
    reason: 'the anchor "tank/home@a" is 45.5 days old, the limit is 1 day',
  },
  {
    when: "the anchor is old and there is no limit",
    facts: { ...healthy, backups: [full("a", 1, 4000)] },
    policy: { fullEveryMs: null },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the anchor is old and an incremental is asked for",
    facts: { ...healthy, backups: [full("a", 1, 4000)] },
    policy: { ask: "incremental" },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the last incremental had exactly half of the anchor's size, and that is the limit",
    facts: { ...healthy, backups: [sized(full("a", 1, 10), 1000), sized(incremental("b", 2, 1, 1), 500)] },
    policy: { fullWhenIncrementalExceeds: 0.5 },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the last incremental had more than half of the anchor's size, and that is the limit",
    facts: { ...healthy, backups: [sized(incremental("b", 2, 1, 1), 501 * 1024), sized(full("a", 1, 10), 1000 * 1024)] },
    policy: { fullWhenIncrementalExceeds: 0.5 },
    kind: "full",
    reason: 'the last incremental, "tank/home@b", has 501 KiB, 50.1% of the 1000 KiB of its anchor, and the limit is 50%',
  },
  {
    when: "an incremental was larger, and there is no limit",
    facts: { ...healthy, backups: [sized(full("a", 1, 10), 10), sized(incremental("b", 2, 1, 1), 500)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "an incremental was larger than the limit, and the one after it is not",
    facts: {
      ...healthy,
      backups: [sized(full("a", 1, 10), 1000), sized(incremental("c", 3, 1, 1), 100), sized(incremental("b", 2, 1, 2), 900)],
    },
    policy: { fullWhenIncrementalExceeds: 0.5 },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the large incremental was one against the anchor before",
    facts: {
      backups: [full("old", 9, 20), sized(incremental("b", 2, 9, 11), 900), sized(full("a", 1, 10), 1000)],
      onPool: healthy.onPool,
    },
    policy: { fullWhenIncrementalExceeds: 0.5 },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the last incremental is larger than the limit, and an incremental is asked for",
    facts: { ...healthy, backups: [sized(full("a", 1, 10), 1000), sized(incremental("b", 2, 1, 1), 900)] },
    policy: { ask: "incremental", fullWhenIncrementalExceeds: 0.5 },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "an incremental is asked for and there is no anchor",
    facts: {},
    policy: { ask: "incremental" },
    kind: "full",
    reason: "there is no full backup in the store yet",
  },
  {
    when: "an incremental is asked for and the anchor is not on the pool",
    facts: { ...healthy, onPool: [] },
    policy: { ask: "incremental" },
    kind: "full",
    reason: 'the anchor "tank/home@a" has neither snapshot nor bookmark on the pool any more',
  },
  { when: "a full is asked for", facts: healthy, policy: { ask: "full" }, kind: "full", reason: "asked for" },
  {
    when: "the anchor is of a moment to come, as clocks may differ",
    facts: { ...healthy, backups: [full("a", 1, -1 / 24)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the anchor is of a day to come, so that its age is not known",
    facts: { ...healthy, backups: [full("a", 1, -3)] },
    kind: "full",
    reason: 'the anchor "tank/home@a" was taken by a clock that was 3 days ahead, or the clock is behind now, so its age is not known',
  },
  {
    when: "the anchor is of a day to come and there is no limit",
    facts: { ...healthy, backups: [full("a", 1, -3)] },
    policy: { fullEveryMs: null },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "a full of a day to come was followed by one with the clock set right",
    facts: { backups: [full("z", 1, -29_000), full("a", 2, 1)], onPool: [snapshot("z", 1, 100), snapshot("a", 2, 200)] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "a full of a day to come is gone from the pool, and another is there",
    facts: { backups: [full("z", 1, -29_000), full("a", 2, 1)], onPool: [bookmark("a", 2, 200)] },
    kind: "incremental",
    reason: 'against the bookmark "tank/home#a" of the anchor, whose snapshot is gone',
    base: "tank/home#a",
  },
  {
    when: "the last full is of a time long past, by a clock that had none",
    facts: { backups: [full("a", 1, 1), full("1970", 2, 20_000)], onPool: [snapshot("a", 1, 100), snapshot("1970", 2, 200)] },
    kind: "full",
    reason: 'the anchor "tank/home@1970" is 20000 days old, the limit is 30 days',
  },
  {
    when: "the last full is gone from the pool, and an older one is there",
    facts: { backups: [full("a", 1, 10), full("b", 2, 1)], onPool: [snapshot("a", 1, 100)] },
    kind: "full",
    reason: 'the anchor "tank/home@b" has neither snapshot nor bookmark on the pool any more',
  },
  {
    when: "the flags would be others",
    facts: { ...healthy, flags: ["-w"] },
    kind: "full",
    reason: 'the anchor was sent with "-L -c", now it would be "-w", and flags are constant along an anchor\'s life',
  },
  {
    when: "the flags would be fewer",
    facts: { ...healthy, flags: ["-L"] },
    kind: "full",
    reason: 'the anchor was sent with "-L -c", now it would be "-L", and flags are constant along an anchor\'s life',
  },
  {
    when: "the flags are the same in another order",
    facts: { ...healthy, flags: ["-c", "-L"] },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the anchor was put by someone else with flags nobody knows",
    facts: { ...healthy, backups: [full("a", 1, 10, { flags: null })] },
    kind: "full",
    reason: 'the anchor "tank/home@a" was stored by put or import, so the flags it was sent with are not known',
  },
  {
    when: "the snapshot is the anchor itself",
    facts: { ...healthy, target: target("a", 1, 100) },
    kind: "nothing",
    reason: 'this snapshot is in the store as "tank/home@a"',
  },
  {
    when: "the snapshot is in the store under another name",
    facts: { ...healthy, target: target("renamed", 1, 100) },
    kind: "nothing",
    reason: 'this snapshot is in the store as "tank/home@a"',
  },
  {
    when: "the snapshot is in the store as an incremental",
    facts: { ...healthy, backups: [full("a", 1, 10), incremental("b", 2, 1, 1)], target: target("b", 2, 200) },
    kind: "nothing",
    reason: 'this snapshot is in the store as "tank/home@b"',
  },
  {
    when: "the snapshot is in the store and a full is asked for",
    facts: { ...healthy, target: target("a", 1, 100) },
    policy: { ask: "full" },
    kind: "nothing",
    reason: 'this snapshot is in the store as "tank/home@a"',
  },
  {
    when: "the snapshot is younger than the anchor",
    facts: { ...healthy, target: target("b", 2, 101) },
    kind: "incremental",
    reason: 'against the anchor "tank/home@a"',
    base: "tank/home@a",
  },
  {
    when: "the snapshot is older than the anchor",
    facts: { ...healthy, target: target("b", 2, 99) },
    kind: "full",
    reason: 'the snapshot is older than the anchor "tank/home@a"',
  },
  {
    when: "the snapshot is of the same transaction group as the anchor",
    facts: { ...healthy, target: target("b", 2, 100) },
    kind: "full",
    reason: 'the snapshot is older than the anchor "tank/home@a"',
  },
];

describe("the plan of a night", () => {
  it.for(rows)("when $when", ({ facts, policy, kind, reason, base }) => {
    const decided = plan(facts, policy);
    expect({ kind: decided.kind, reason: decided.reason }).toEqual({ kind, reason });
    if (decided.kind === "incremental") expect(decided.base.name).toBe(base);
  });

  it("changes nothing it looks at", () => {
    const backups = [full("c", 3, 1), full("a", 1, 20)];
    plan({ backups: Object.freeze(backups), onPool: Object.freeze([snapshot("c", 3, 300)]) });
    expect(backups.map(({ backup }) => backup)).toEqual(["tank/home@c", "tank/home@a"]);
  });
});

it("an incremental is never planned but against the latest full, by guid, from something older that is on the pool", () => {
  const entries = fc.array(fc.record({ of: fc.integer({ min: 1, max: 6 }), daysAgo: fc.nat({ max: 60 }), isFull: fc.boolean() }), { maxLength: 6 });
  const pool = fc.array(fc.record({ of: fc.integer({ min: 1, max: 6 }), isBookmark: fc.boolean() }), { maxLength: 6 });
  const policy = fc.record({ ask: fc.constantFrom("auto", "full", "incremental"), fullEveryMs: fc.constantFrom(null, dayMs, 30 * dayMs), fullWhenIncrementalExceeds: fc.constantFrom(null, 0.5) });
  const aTarget = fc.option(fc.integer({ min: 1, max: 8 }), { nil: null });
  fc.assert(
    fc.property(entries, pool, policy, aTarget, (stored, there, how, to) => {
      const backups = stored.map(({ of, daysAgo, isFull }, index) =>
        isFull ? full(`s${index}`, of, daysAgo) : incremental(`s${index}`, of, 1, daysAgo),
      );
      const onPool = there.map(({ of, isBookmark }, index) =>
        isBookmark ? bookmark(`b${index}`, of, of * 10) : snapshot(`s${index}`, of, of * 10),
      );
      const facts = { backups, onPool, target: to === null ? null : target("t", to, to * 10) };
      const decided = plan(facts, how);
      expect(decided.reason).not.toBe("");
      if (decided.kind !== "incremental") return;
      const { anchor, base } = decided;
      expect(anchor.kind).toBe("full");
      expect(base.guid).toBe(anchor.guid);
      expect(onPool).toContain(base);
      const others = backups.filter(({ kind, guid: one }) => kind === "full" && one !== anchor.guid);
      const txgs = new Map(onPool.map((one) => [one.guid, one.createTxg]));
      for (const { guid: one, createdAt } of others) {
        const txg = txgs.get(one);
        if (txg === undefined) expect(createdAt <= anchor.createdAt).toBe(true);
        else expect(txg < base.createTxg).toBe(true);
      }
      if (facts.target !== null) expect(base.createTxg < facts.target.createTxg).toBe(true);
      expect(how.ask).not.toBe("full");
    }),
    { numRuns: 500 },
  );
});
