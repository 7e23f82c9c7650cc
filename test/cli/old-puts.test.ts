/**
 * The journal of a `put` that was cut off, and that no put of its name goes on with: `prune --strays` drops it after the
 * grace period, with its objects, so that the session key in it does not lie on the disk for ever.
 */
import { existsSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Journal, type JournalHeader, type JournalOwner } from "../../src/journal.ts";
import { withLocalLock } from "../../src/lock.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";
import { headerFor } from "../journaling.ts";
import { streamOf } from "./pool.ts";
import { documentOf, type Ended, Scene } from "./zferry.ts";

const backup = parseSnapshotName("tank/src@night");
const dataset = parseDatasetName("tank/src");
const asPut: JournalOwner = { verb: "put", name: backup };
const chunk = `streams/${backup}/0000aaaa/src@night.zfs.gpg.000000`;
const dayMs = 24 * 3_600_000;

interface Options {
  readonly owner?: JournalOwner;
  readonly send?: JournalHeader["send"];
  readonly storeUrl?: string;
}

/** A committed backup, and what a run that was killed nine days ago has left: a chunk, and a journal that was written eight days ago. */
async function killed({ owner = asPut, send = null, storeUrl }: Options = {}): Promise<{ scene: Scene; journal: string }> {
  const scene = new Scene();
  await scene.put("tank/src@one", streamOf("one"));
  aged(scene.write(`store/${chunk}`, "x".repeat(1000)), 9);
  const journal = await Journal.begin(scene.stateDir, owner, { ...headerFor(backup, storeUrl ?? `file://${scene.store}`), send });
  await journal.close();
  aged(journal.path, 8);
  return { scene, journal: journal.path };
}

function aged(path: string, days: number): void {
  const at = new Date(Date.now() - days * dayMs);
  utimesSync(path, at, at);
}

function prune(scene: Scene, ...flags: string[]): Promise<Ended> {
  return scene.run(["prune", "--strays", ...scene.place, ...flags], { now: new Date() });
}

it("goes with its objects: shown first, and removed with --yes", async () => {
  const { scene, journal } = await killed();
  const shown = await prune(scene);
  expect(shown.exit, shown.stderr).toBe(0);
  expect(shown.stdout.toString()).toMatch(
    /^would go: attempt 0000aaaa of .*\nwould go: the journal of an unfinished put of tank\/src@night, last written 20\S+Z\n1 attempt .*\nnothing was removed/,
  );
  expect([existsSync(journal), scene.objects.includes(chunk)]).toEqual([true, true]);

  const document = documentOf(await prune(scene, "--yes", "--json"));
  expect(document.attempts).toMatchObject([{ attempt: "0000aaaa", outcome: "removed" }]);
  expect(document.journals).toEqual([
    { backup, attempt: "0000aaaa", touchedAt: expect.stringMatching(/Z$/) as string, outcome: "removed", reason: null },
  ]);
  expect([existsSync(journal), scene.objects.includes(chunk)]).toEqual([false, false]);
  expect(documentOf(await prune(scene, "--yes", "--json"))).toMatchObject({ attempts: [], journals: [], committedCount: 1 });
});

it.for<[string, Options, string]>([
  ["is still young, by the last thing noted,", {}, "203h"],
  ["is of a backup, which the next one finds,", { owner: { verb: "backup", name: dataset }, send: { guid: "1", baseGuid: null, baseName: null, baseBackup: null, flags: [], isOwnSnapshot: true } }, "7d"],
  ["is of another store", { storeUrl: "file:///elsewhere" }, "7d"],
])("that %s stays, and speaks for its objects", async ([, options, olderThan]) => {
  const { scene, journal } = await killed(options);
  const document = documentOf(await prune(scene, "--yes", "--json", "--older-than", olderThan));
  expect(document.attempts).toMatchObject([{ outcome: "stays", reason: "the journal of an unfinished run on this host names it" }]);
  expect(document.journals).toEqual([]);
  expect([existsSync(journal), scene.objects.includes(chunk)]).toEqual([true, true]);
});

it("stays while a run is at work on the dataset, and where its objects may be named by a manifest that cannot be read", async () => {
  const { scene, journal } = await killed();
  const { signal } = new AbortController();
  const locked = await withLocalLock(scene.stateDir, dataset, { signal }, () => prune(scene, "--yes", "--json"));
  expect(documentOf(locked).journals).toMatchObject([{ outcome: "stays", reason: expect.stringContaining("another run is at work") as string }]);
  scene.write(`store/manifests/${backup}.json`, "garbage");
  expect(documentOf(await prune(scene, "--yes", "--json")).journals).toMatchObject([{ outcome: "stays", reason: expect.stringContaining("cannot be read") as string }]);
  expect([existsSync(journal), scene.objects.includes(chunk)]).toEqual([true, true]);
});

it("of which nothing is stored goes all the same, and waits for a run that is at work", async () => {
  const scene = new Scene();
  scene.write("store/film.mkv", "");
  const journal = await Journal.begin(scene.stateDir, asPut, headerFor(backup, `file://${scene.store}`));
  await journal.close();
  aged(journal.path, 8);
  const { signal } = new AbortController();
  const locked = await withLocalLock(scene.stateDir, dataset, { signal }, () => prune(scene, "--yes"));
  expect(locked.stdout.toString()).toMatch(/^stays: the journal of an unfinished put .*: another run is at work/);
  expect((await prune(scene, "--yes")).stdout.toString()).toContain("removed: the journal of an unfinished put of tank/src@night");
  expect(existsSync(join(journal.path))).toBe(false);
});
