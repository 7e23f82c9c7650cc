/**
 * A manifest that names an unfinished upload and that the run has not sealed: whoever can write to the store can write
 * one. It must not pass for the run's own commit.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { manifestKey } from "../../src/format/layout.ts";
import { type Manifest, parseManifest, sealManifest } from "../../src/format/manifest.ts";
import { Journal, type JournalOwner } from "../../src/journal.ts";
import { storeIdOf } from "../../src/state.ts";
import { type Guid, parseDatasetName, parseSnapshotName, shortNameOf, type SnapshotName } from "../../src/zfs/names.ts";
import { headerFor } from "../journaling.ts";
import { guids, nightly, type Pool, streamOf } from "./pool.ts";
import { Scene } from "./zferry.ts";

const attempt = "0000aaaa";

/** The one manifest in the store, with some members changed, as somebody without the key can write it. */
function plantedLike(scene: Scene, change: Partial<Manifest>): Buffer {
  const [file = ""] = scene.manifests;
  const backup = parseSnapshotName(file.replace(/\.json$/, ""));
  const { manifest } = parseManifest(readFileSync(join(scene.store, "manifests", file)), file, backup);
  return sealManifest({ ...manifest, attempt, ...change }, Buffer.alloc(32));
}

/** What a run that was cut off leaves in its journal. */
async function journaled(scene: Scene, owner: JournalOwner, backup: SnapshotName): Promise<void> {
  const isOwnSnapshot = owner.verb === "backup";
  const journal = await Journal.begin(scene.stateDir, owner, {
    ...headerFor(backup, `file://${scene.store}`),
    attempt,
    // A key of its own, which has not sealed what is planted.
    sessionKey: Buffer.alloc(32, 1).toString("base64"),
    nonce: Buffer.alloc(32, 2).toString("base64"),
    lockPackets: "AAAA",
    send: isOwnSnapshot ? { guid: String(guids.later), baseGuid: null, baseName: null, baseBackup: null, flags: ["-L", "-c"], isOwnSnapshot } : null,
  });
  await journal.close();
}

function backup(scene: Scene, pool: Pool, now: string): ReturnType<Scene["run"]> {
  const words = ["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob];
  return scene.run(words, { env: pool.env, now: new Date(now) });
}

it("is not taken for the end of a backup: the anchor stays, and what the manifest names", async () => {
  const [scene, pool] = [new Scene(), nightly()];
  expect(await backup(scene, pool, "2026-11-21T00:00:00Z")).toMatchObject({ exit: 0 });
  const [holds, bookmarks] = [pool.holds("tank/src"), pool.dataset("tank/src").bookmarks];
  const cutOff = parseSnapshotName("tank/src@zferry-20261122T000000Z");
  const runTag = `zferry:run:${storeIdOf(`file://${scene.store}`)}`;
  pool.change(({ datasets }) => {
    const snapshots = datasets["tank/src"]?.snapshots ?? {};
    snapshots[shortNameOf(cutOff)] = { guid: String(guids.later), holds: [runTag], ours: true };
  });
  await journaled(scene, { verb: "backup", name: parseDatasetName("tank/src") }, cutOff);
  const chunk = `streams/${cutOff}/${attempt}/${shortNameOf(cutOff)}.zfs.gpg.000000`;
  scene.write(`store/${chunk}`, "ciphertext");
  const snapshot = { guid: guids.later as Guid, createTxg: 1n, createdAt: new Date("2020-01-01T00:00:00Z") };
  scene.write(`store/${manifestKey(cutOff)}`, plantedLike(scene, { backup: cutOff, snapshot }));

  const { exit, stderr, stdout } = await backup(scene, pool, "2026-11-23T00:00:00Z");
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain(`"${cutOff}" is given up: it did not write the manifest that names it`);
  expect(stdout.toString()).toContain("stored incremental backup");
  expect([pool.holds("tank/src"), pool.dataset("tank/src").bookmarks]).toEqual([holds, bookmarks]);
  expect(Object.keys(pool.dataset("tank/src").snapshots)).not.toContain(shortNameOf(cutOff));
  expect(scene.objects).toContain(chunk);
});

it("keeps a put from its name, and its journal and its objects stay", async () => {
  const scene = new Scene();
  await scene.put("tank/src@other", streamOf("one"));
  const name = parseSnapshotName("tank/src@one");
  await journaled(scene, { verb: "put", name }, name);
  scene.write(`store/${manifestKey(name)}`, plantedLike(scene, { backup: name }));
  const objects = scene.objects;
  for (const flags of [[], ["--resume"]]) {
    const ended = await scene.run(["put", name, ...scene.place, ...scene.small, ...scene.forBob, ...flags], { stdin: streamOf("one") });
    expect(ended.exit).toBe(13);
    expect(ended.stderr).toContain("it was changed by someone without the key");
    expect(scene.objects).toEqual(objects);
    expect(scene.journalPath).not.toBeNull();
  }
});
