/**
 * Hosts that get in each other's way, on stores that are real: the built program, a folder, Ceph RGW and Cloudflare's
 * local R2. What the locks are made of is in `test/lock.test.ts` and `test/store/lease*.test.ts`.
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import type { Started } from "../cli/zferry.ts";
import { type Host, leaseSeconds, type Place, places, Shore } from "./two-hosts.ts";

const minutes = 60_000;
/** Where the gate of {@link gated} stands: in the middle of the second chunk. */
const gateAtBytes = 16_000_000;

/** A zfs that stops in the middle of a send until the gate is there, or the scene is gone. */
function gated({ scene }: Shore): { readonly zfs: readonly string[]; readonly open: () => void } {
  const gate = join(scene.folder, "gate");
  const script = `#!/bin/sh
[ "$1" = send ] || exec zfs "$@"
for word; do case "$word" in -*n*) exec zfs "$@" ;; esac; done
zfs "$@" | { head -c ${gateAtBytes}; while [ ! -e ${gate} ] && [ -d ${scene.folder} ]; do sleep 0.1; done; cat; }
`;
  return { zfs: ["--zfs", scene.write("gated-zfs", script, 0o700)], open: () => { writeFileSync(gate, ""); } };
}

async function firstToEnd(runs: readonly Started[]): Promise<Started> {
  return Promise.race(runs.map((run) => run.ended.then(() => run)));
}

/** Three runs at one moment, two of them on one host. */
async function startTogether(place: Place): Promise<void> {
  const shore = new Shore(place);
  const { zfs, open } = gated(shore);
  const [one, other] = shore.hosts("one", "other", null);
  const away = await other.start(zfs);
  let running = [away, ...(await Promise.all([one.start(zfs), one.start(zfs)]))];
  while (running.length > 1) {
    const loser = await firstToEnd(running);
    const { exit, stderr } = await loser.ended;
    expect(exit, stderr).toBe(11);
    expect(stderr).toContain('another run is at work on "tank/src"');
    expect(stderr).toContain("zferry: hint: ");
    running = running.filter((run) => run !== loser);
  }
  open();
  const { exit, stderr } = await firstToEnd(running).then(({ ended }) => ended);
  expect(exit, stderr).toBe(0);
  const [winner, loser] = running.includes(away) ? [other, one] : [one, other];
  expect(winner.pool.calls("snapshot")).toHaveLength(1);
  expect(loser.pool.calls("snapshot")).toEqual([]);
  await shore.expectOnly(winner.backup, winner.stream);
}

/** A host dies in mid-upload, and another goes on when its lease is over. */
async function dies(place: Place): Promise<void> {
  const shore = new Shore(place);
  const [dying, other] = shore.hosts("dying", "other", null);
  const run = await dying.startAndStall();
  dying.signal(run, "SIGKILL");
  expect(await run.ended).toMatchObject({ killedBy: "SIGKILL" });
  await other.takeOver();
  await shore.expectOnly(other.backup, other.stream);
}

/** A host is paused in mid-upload, another takes over and commits, and the first wakes. */
async function wakes(place: Place, snapshot: string | null): Promise<void> {
  const shore = new Shore(place);
  const [paused, other] = shore.hosts("paused", "other", snapshot);
  const run = await paused.startAndStall();
  paused.signal(run, "SIGSTOP");
  await other.takeOver();
  const manifest = `manifests/${other.backup}.json`;
  const before = await shore.objects();
  expect(before.has(manifest)).toBe(true);
  paused.signal(run, "SIGCONT");
  const { exit, stderr } = await run.ended;
  expect(exit, stderr).toBe(11);
  expect(stderr).toContain('the lease on "tank/src"');
  expect(await shore.listed()).toEqual([other.backup]);
  await expectOwnGone(shore, before);
  expectTidy(shore, paused, snapshot);
  await shore.expectOnly(other.backup, other.stream);
}

/** A host is paused in mid-upload until its lease is over, and nobody takes it over meanwhile: what it stored is kept. */
async function oversleeps(place: Place): Promise<void> {
  const shore = new Shore(place);
  const [paused] = shore.hosts("paused", "other", null);
  const run = await paused.startAndStall();
  const before = await shore.objects();
  paused.signal(run, "SIGSTOP");
  await sleep((leaseSeconds + 1) * 1000);
  paused.signal(run, "SIGCONT");
  const { exit, stderr } = await run.ended;
  expect(exit, stderr).toBe(11);
  expect([...(await shore.objects())]).toEqual(expect.arrayContaining([...before]));
  const next = await (await paused.resume()).ended;
  expect(next.exit, next.stderr).toBe(0);
  expect(next.stderr).toContain("goes on with an unfinished upload, 1 chunk of which are stored");
  await shore.expectOnly(paused.backup, paused.stream);
}

/** What is left is as it was, and what is gone is one attempt: the one that was paused. */
async function expectOwnGone(shore: Shore, before: ReadonlyMap<string, string>): Promise<void> {
  const after = await shore.objects();
  for (const [key, etag] of after) expect([key, etag]).toEqual([key, before.get(key)]);
  const gone = [...before.keys()].filter((key) => !after.has(key));
  expect(gone.length).toBeGreaterThan(0);
  expect(new Set(gone.map((key) => key.split("/").slice(0, -1).join("/"))).size, gone.join("\n")).toBe(1);
}

/** No journal, no hold; its own snapshot is gone, and one it was given is there. */
function expectTidy(shore: Shore, { pool }: Host, snapshot: string | null): void {
  const journals = join(shore.stateDir("paused"), "journal");
  expect(existsSync(journals) ? readdirSync(journals) : []).toEqual([]);
  expect(pool.holds("tank/src")).toEqual([]);
  expect(Object.keys(pool.dataset("tank/src").snapshots)).toEqual(snapshot === null ? [] : [snapshot]);
}

/** Runs them side by side, because nearly all of it is waiting, and says which went wrong. */
async function allOf(works: readonly (readonly [string, () => Promise<void>])[]): Promise<void> {
  const outcomes = await Promise.allSettled(works.map(([, work]) => work()));
  const failures = outcomes.flatMap((outcome, index) => (outcome.status === "rejected" ? [`${works[index]?.[0] ?? ""}: ${String(outcome.reason)}`] : []));
  expect(failures).toEqual([]);
}

describe("of several hosts with one dataset", () => {
  let all: Place[] = [];
  beforeAll(async () => {
    await built();
    all = await places();
  });

  it("one wins when they start together, and the others end with 11", { timeout: 3 * minutes }, async () => {
    for (const place of all) await startTogether(place);
  });

  it("the next goes on after one that died, and one that was paused meanwhile cannot commit", { timeout: 5 * minutes }, async () => {
    const [first] = all as [Place];
    await allOf([
      ...all.flatMap((place) => [
        [`a host dies, ${place.name}`, () => dies(place)],
        [`a host wakes, the same snapshot was stored, ${place.name}`, () => wakes(place, "s1")],
      ] as const),
      [`a host oversleeps, ${first.name}`, () => oversleeps(first)],
      [`a host wakes, another snapshot was stored, ${first.name}`, () => wakes(first, null)],
    ]);
    for (const { openUploadCount } of all) expect(await openUploadCount()).toBe(0);
  });
});
