/**
 * What a run that was cut off has left, and cannot be gone on with: a later night always gets to its own backup, and what
 * may be somebody's only copy stays. How a run is gone on with is in `test/cli/resume.test.ts`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { Journal, type JournalHeader } from "../../src/journal.ts";
import { storeIdOf } from "../../src/state.ts";
import { parseDatasetName, parseSnapshotName, shortNameOf } from "../../src/zfs/names.ts";
import { headerFor } from "../journaling.ts";
import { guids, nightly, type Pool, streamOf } from "./pool.ts";
import { type Ended, filesUnder, Scene } from "./zferry.ts";

const dataset = parseDatasetName("tank/src");
const backup = parseSnapshotName("tank/src@zferry-20261120T000000Z");
const chunk = `streams/${backup}/0000aaaa/${shortNameOf(backup)}.zfs.gpg.000000`;

interface Left {
  readonly scene: Scene;
  readonly pool: Pool;
  readonly journal: string;
  readonly runTag: string;
  /** The next night. */
  readonly next: (...flags: string[]) => Promise<Ended>;
}

/** A run that was killed when it had stored a chunk: journal, objects, hold and snapshot are there. */
async function killed(streams: string[] = ["one.zfs", "two.zfs"]): Promise<Left> {
  const scene = new Scene();
  const storeUrl = `file://${scene.store}`;
  const runTag = `zferry:run:${storeIdOf(storeUrl)}`;
  const pool = nightly({
    streams,
    datasets: { [dataset]: { snapshots: { [shortNameOf(backup)]: { guid: String(guids.one), ours: true, holds: [runTag] } } } },
  });
  mkdirSync(scene.store);
  scene.write(`store/${chunk}`, "x".repeat(1000));
  const journal = await Journal.begin(scene.stateDir, { verb: "backup", name: dataset }, { ...headerFor(backup, storeUrl), send });
  await journal.mark(0, 0, "aa");
  await journal.chunk(0, { sizeBytes: 1000, sha256: "bb", marks: ["aa"] });
  await journal.close();
  const words = ["backup", "--dataset", dataset, ...scene.place, ...scene.small, ...scene.forBob];
  return { scene, pool, journal: journal.path, runTag, next: (...flags) => scene.run([...words, ...flags], { env: pool.env }) };
}

const send: JournalHeader["send"] = { guid: String(guids.one), baseGuid: null, baseName: null, baseBackup: null, flags: ["-L", "-c"], isOwnSnapshot: true };

function spoil(path: string, lineNumber: number): void {
  const lines = readFileSync(path, "utf8").split("\n");
  lines[lineNumber] = "garbage";
  writeFileSync(path, lines.join("\n"));
}

function snapshotsOf(pool: Pool): string[] {
  return Object.keys(pool.dataset(dataset).snapshots);
}

it.for([
  ["by itself", []],
  ["with --abandon", ["--abandon"]],
] as const)("a damaged manifest under its name may be its own: objects and snapshot stay, the hold goes, and %s a new backup is made", async ([, flags]) => {
  const { scene, pool, runTag, next } = await killed(["one.zfs", "later.zfs"]);
  scene.write(`store/manifests/${backup}.json`, "{}");
  const { exit, stderr } = await next(...flags);
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain(`the manifest of "${backup}" cannot be read, and may be that of an unfinished upload`);
  expect(scene.journalPath).toBeNull();
  expect(scene.objects).toContain(chunk);
  expect(snapshotsOf(pool)).toHaveLength(2);
  expect(pool.holds(dataset)).not.toContain(runTag);
  expect(scene.manifests).toHaveLength(2);
});

it("a snapshot that another run has stored meanwhile stays, and what is left of the attempt goes", async () => {
  const { scene, pool, runTag, next } = await killed();
  const other = await next("--dataset", backup, "--state-dir", join(scene.folder, "other"));
  expect(other.exit, other.stderr).toBe(0);
  expect(pool.holds(dataset)).not.toContain(runTag);
  const { exit, stderr, stdout } = await next();
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain(`"${backup}" was stored by another run`);
  expect(stderr).not.toContain("could not");
  expect(stdout.toString()).toContain("stored incremental backup");
  expect(pool.calls("destroy")).toEqual([]);
  expect([scene.journalPath, scene.objects.filter((key) => key.includes("0000aaaa"))]).toEqual([null, []]);
});

it("a journal with a damaged line and a good header says what to let go: it is given up, and begun anew", async () => {
  const { scene, pool, journal, runTag, next } = await killed();
  spoil(journal, 1);
  const { exit, stderr } = await next();
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain(`the unfinished upload of "${backup}" is given up: its journal is damaged`);
  expect(snapshotsOf(pool)).not.toContain(shortNameOf(backup));
  expect(pool.holds(dataset)).not.toContain(runTag);
  expect([filesUnder(dirname(journal)), scene.objects.filter((key) => key.includes("0000aaaa"))]).toEqual([[], []]);
});

it("a journal without a header is set aside, and the hold it may have spoken of is told with the command that releases it", async () => {
  const { pool, journal, runTag, next } = await killed(["one.zfs", "later.zfs"]);
  spoil(journal, 0);
  const { exit, stderr } = await next();
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain("set aside as");
  expect(stderr).toContain(`zfs release ${runTag} ${backup}`);
  expect(pool.holds(dataset)).toContain(runTag); // it may be the hold of a run with another state folder
});

it("put --resume does not go on with an attempt whose journal is damaged", async () => {
  const { scene } = await killed();
  const name = parseSnapshotName("tank/src@one");
  const storeUrl = `file://${scene.store}`;
  const left = await Journal.begin(scene.stateDir, { verb: "put", name }, { ...headerFor(name, storeUrl), attempt: "0000bbbb" });
  await left.mark(0, 0, "aa");
  await left.mark(0, 1, "aa");
  await left.close();
  spoil(left.path, 1);
  const words = ["put", name, "--resume", ...scene.place, ...scene.small, ...scene.forBob];
  const { exit, stderr } = await scene.run(words, { stdin: streamOf("one") });
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain(`an unfinished upload of "${name}" was dropped: its journal is damaged`);
  expect(filesUnder(dirname(left.path)).filter((file) => file.startsWith("put-"))).toEqual([]);
});
