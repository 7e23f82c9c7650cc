/**
 * Three months of nights, with a clock that the test sets and a real ZFS: two jobs with hooks, re-anchoring and pruning.
 *
 * After each night that came to its end all that retention keeps is there and nothing else, in the store, in its copy with a
 * policy of its own, and on the pool, and all of it restores. In two nights of three the copies are killed somewhere; at the end
 * all that either store keeps restores from that store alone.
 * Left to itself it lives eight nights around the end of a month, with a full every fourth day. ZFERRY_NIGHTS=92 is all of it;
 * ZFERRY_NIGHTS_ZFS=openzfs takes OpenZFS 2.3 in a guest instead of zfs-fuse (figures: `docs/adr/0011-nights.md`).
 */
import { env } from "node:process";
import { expect, it } from "vitest";
import { need } from "../systems.ts";
import { clockedZfs } from "./clocked-zfs.ts";
import { type Policy, SimulatedNights } from "./simulated-nights.ts";

const nightCount = Number(env.ZFERRY_NIGHTS ?? 8);
const isLong = nightCount > 30;
const way = env.ZFERRY_NIGHTS_ZFS === "openzfs" ? "openzfs" : "fuse";

const [begin, policy]: [Date, Policy] = isLong
  ? [new Date("2026-01-20T03:00:00Z"), { daily: 3, weekly: 2, monthly: 2, away: { daily: 1, weekly: 4, monthly: 3 }, last: 3, fullEveryDays: 30 }]
  : [new Date("2026-01-27T03:00:00Z"), { daily: 2, weekly: 1, monthly: 1, away: { daily: 1, weekly: 2, monthly: 1 }, last: 2, fullEveryDays: 4 }];

it(`${nightCount} nights leave what the policies keep, all of which restores, and nothing else`, { timeout: 4 * 3_600_000 }, async (context) => {
  need(context, way);
  const startedAt = performance.now();
  const nights = new SimulatedNights(await clockedZfs(way, begin), policy, begin);
  await nights.prepare();
  const reasons: string[] = [];
  for (let index = 0; index < nightCount; index += 1) {
    const { made, isWhole } = await nights.night(index);
    reasons.push(...made.filter(({ kind }) => kind === "full").map(({ reason }) => reason));
    if (!isWhole) continue;
    const kept = await nights.expectKept("main");
    const copied = await nights.expectKept("away");
    for (const place of ["main", "away"] as const) nights.expectObjectsNamed(place);
    await nights.expectLocalSnapshots();
    await nights.expectRestores(kept, "main");
    if (index === nightCount - 1 || (isLong && index % 10 === 9)) await nights.expectRestores(copied, "away");
    if (isLong && index % 10 === 9) console.log(`night ${index + 1}: ${kept.length} kept, ${nights.restoredCount} restored, ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }
  const because = (why: string): number => reasons.filter((reason) => reason.includes(why)).length;
  expect(because("there is no full backup")).toBe(3);
  expect(because("days old, the limit is")).toBeGreaterThan(0);
  expect(because("the last incremental")).toBeGreaterThan(0);
  expect(nights.killedCount).toBeGreaterThan(nightCount / 2);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${nightCount} nights on ${way}: ${reasons.length} fulls of ${nightCount * 3} backups, ${nights.restoredCount} restored and compared, ${nights.killedCount} copies killed, ${seconds} s`);
});
