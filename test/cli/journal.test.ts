/**
 * A journal that a crash or a disk has spoilt never keeps a run from its work: garbage is set aside and said, and the run
 * begins anew. Only what the kernel refuses ends it, with a word about which path and what to do.
 */
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { Journal, type JournalOwner } from "../../src/journal.ts";
import { parseDatasetName, parseSnapshotName } from "../../src/zfs/names.ts";
import { headerFor } from "../journaling.ts";
import { nightly, streamOf } from "./pool.ts";
import { type Ended, filesUnder, Scene } from "./zferry.ts";

const backup = parseSnapshotName("tank/src@one");
interface Verb {
  readonly owner: JournalOwner;
  readonly run: (scene: Scene) => Promise<Ended>;
}

const verbs: Readonly<Record<"backup" | "put", Verb>> = {
  backup: {
    owner: { verb: "backup", name: parseDatasetName("tank/src") },
    run: (scene) => scene.run(["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob], { env: nightly().env }),
  },
  put: {
    owner: { verb: "put", name: backup },
    run: (scene) => scene.run(["put", backup, ...scene.place, ...scene.small, ...scene.forBob], { stdin: streamOf("one") }),
  },
};

/** A scene with the journal of an unfinished run, and its path. */
async function unfinished({ owner }: Verb): Promise<{ scene: Scene; path: string }> {
  const scene = new Scene();
  mkdirSync(scene.store);
  const journal = await Journal.begin(scene.stateDir, owner, headerFor(backup, `file://${scene.store}`));
  await journal.mark(0, 0, "aa");
  await journal.close();
  return { scene, path: journal.path };
}

const spoils: ReadonlyMap<string, (path: string) => void> = new Map([
  ["torn in its header", (path) => { truncateSync(path, 30); }],
  ["empty", (path) => { writeFileSync(path, ""); }],
  ["garbage", (path) => { writeFileSync(path, "garbage\n".repeat(1000)); }],
  ["of another version", (path) => { writeFileSync(path, readFileSync(path, "utf8").replace('"version":1', '"version":2')); }],
]);

async function begunAnew(name: "backup" | "put", spoil: (path: string) => void): Promise<void> {
  const { scene, path } = await unfinished(verbs[name]);
  spoil(path);
  const ended = await verbs[name].run(scene);
  expect(ended.exit, ended.stderr).toBe(0);
  expect(ended.stderr).toContain(`zferry: warning: the journal of an unfinished run could not be read; it was set aside as "${path}.unreadable-`);
  expect(filesUnder(dirname(path))).toEqual([expect.stringContaining(".unreadable-")]);
  expect(scene.manifests).toHaveLength(1);
}

describe.for(["backup", "put"] as const)("an unfinished %s whose journal", (name) => {
  it(`is ${[...spoils.keys()].join(", ")}: it is begun anew, and the journal is set aside, saying so`, async () => {
    await Promise.all([...spoils.values()].map((spoil) => begunAnew(name, spoil)));
  });

  it("cannot be read is refused with 2, naming the path and what to do, and nothing is stored", async () => {
    const { scene, path } = await unfinished(verbs[name]);
    rmSync(path);
    mkdirSync(path);
    const { exit, stderr } = await verbs[name].run(scene);
    expect(exit, stderr).toBe(2);
    expect(stderr).toContain(`zferry: error: cannot read the journal "${path}": EISDIR`);
    expect(stderr).toContain("zferry: hint: give the user zferry runs as access to its state folder");
    expect(scene.objects).toEqual([]);
    expect(filesUnder(scene.stateDir).filter((file) => file.includes("locks/"))).toEqual([]);
  });
});

it("prune refuses with 2 where the journals cannot be read, because one may name what it would remove", async () => {
  const { scene, path } = await unfinished(verbs.put);
  await scene.put("tank/src@two", streamOf("two"));
  rmSync(path);
  mkdirSync(path);
  scene.write("store/streams/tank/src@one/0000aaaa/src@one.zfs.gpg.000000", "x");
  const before = scene.objects;
  const { exit, stderr } = await scene.run(["prune", "--strays", "--yes", ...scene.place], { now: new Date(Date.now() + 1e9) });
  expect(exit, stderr).toBe(2);
  expect(stderr).toContain(`cannot read the journal "${path}"`);
  expect(scene.objects).toEqual(before);
});
