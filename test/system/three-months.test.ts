/**
 * Three months of nights, with a clock that the test sets and a real ZFS: two jobs with hooks, re-anchoring and pruning.
 *
 * After each night all that retention keeps is there and nothing else, in the store as on the pool, and it restores. Left to
 * itself it lives four nights around the end of a month, with a full every other day, on OpenZFS 2.3; only the last night
 * restores all that is kept, the others what they made. ZFERRY_NIGHTS=92 is all of it, where each night restores all
 * that is kept; with ZFERRY_NIGHTS_ZFS=fuse it takes minutes and not hours (figures: `docs/adr/0014-nights.md`).
 */
import { env } from "node:process";
import { expect, it } from "vitest";
import { need } from "../systems.ts";
import { clockedZfs } from "./clocked-zfs.ts";
import { type Policy, SimulatedNights } from "./simulated-nights.ts";

const nightCount = Number(env.ZFERRY_NIGHTS ?? 4);
const isLong = nightCount > 30;
const way = env.ZFERRY_NIGHTS_ZFS === "fuse" ? "fuse" : "openzfs";

const [begin, policy]: [Date, Policy] = isLong
  ? [new Date("2026-01-20T03:00:00Z"), { daily: 3, weekly: 2, monthly: 2, last: 3, fullEveryDays: 30 }]
  : [new Date("2026-01-30T03:00:00Z"), { daily: 2, weekly: 1, monthly: 1, last: 1, fullEveryDays: 2 }];

it(`${nightCount} nights leave what the policies keep, all of which restores, and nothing else`, { timeout: 4 * 3_600_000 }, async (context) => {
  need(context, way);
  const startedAt = performance.now();
  const nights = new SimulatedNights(await clockedZfs(way, begin), policy, begin);
  await nights.prepare();
  const reasons: string[] = [];
  let fullCount = 0;
  for (let index = 0; index < nightCount; index += 1) {
    const made = await nights.night(index);
    fullCount += made.filter(({ kind }) => kind === "full").length;
    reasons.push(...made.filter(({ kind }) => kind === "full").map(({ reason }) => reason));
    const kept = await nights.expectKept();
    nights.expectObjectsNamed();
    await nights.expectLocalSnapshots();
    await nights.expectRestores(isLong || index === nightCount - 1 ? kept : made.map(({ backup }) => backup));
    if (isLong && index % 10 === 9) console.log(`night ${index + 1}: ${kept.length} kept, ${nights.restoredCount} restored, ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }
  // Re-anchored: by age, and in the long run by size too.
  expect(reasons.filter((reason) => reason.includes("days old, the limit is")).length).toBeGreaterThan(0);
  if (isLong) expect(reasons.filter((reason) => reason.includes("the last incremental")).length).toBeGreaterThan(0);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${nightCount} nights on ${way}: ${reasons.length} fulls of ${nightCount * 3} backups, ${nights.restoredCount} restored and compared, ${seconds} s`);
  expect(fullCount).toBe(reasons.length);
});
