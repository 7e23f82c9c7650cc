/** `zferry doctor --restore`: each line of the checklist, good and bad, on a pretended pool. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, recordedAt, Scene } from "./zferry.ts";

interface Probe {
  readonly name: string;
  readonly outcome: string;
  readonly detail: string;
  readonly consequence: string | null;
}

const hourMs = 3_600_000;

/** A full and an incremental, proven just now, and a pool that has the room. @param features - those the pool has */
async function ready({ features = "large_blocks", available = "1000000000", hasDrilled = true } = {}): Promise<{ scene: Scene; look: (...words: string[]) => Promise<Ended>; later: (ms: number) => void }> {
  const scene = new Scene();
  for (const name of ["one", "two"] as const) await scene.put(`tank/src@${name}`, streamOf(name));
  const there = new Pool({ datasets: { tank: { available }, "tank/src": { snapshots: {} } } });
  const lines = ["large_blocks", "embedded_data", "lz4_compress", "zstd_compress", "large_dnode"].map((name) => `echo 'feature@${name}\t${features.split(" ").includes(name) ? "active" : "disabled"}'`);
  scene.write("sbin/zpool", `#!/bin/sh\n${lines.join("\n")}\n`, 0o700);
  const zfs = scene.write("sbin/zfs", '#!/bin/sh\nexec zfs "$@"\n', 0o700);
  const config = scene.write("z.yaml", `stores: {main: {url: ${scene.store}}}\nstate_dir: ${scene.stateDir}\njobs:\n  src: {dataset: tank/src, every: 1d, zfs: [${zfs}]}\n`);
  let now = new Date(recordedAt.getTime() + 30 * hourMs);
  if (hasDrilled) await scene.run(["verify", "tank/src", "--config", config, ...scene.asBob], { env: there.env, now });
  const look = (...words: string[]): Promise<Ended> => scene.run(["doctor", "--restore", "--config", config, ...(words.includes("--private-key") ? [] : scene.asBob), ...words], { env: there.env, now });
  return { scene, look, later: (ms) => { now = new Date(now.getTime() + ms); } };
}

function findingsIn(ended: Ended): string[] {
  const { restore } = documentOf(ended) as unknown as { restore: Probe[] };
  return restore.filter(({ outcome }) => outcome === "finding").map(({ name, detail }) => `${name}: ${detail}`);
}

describe("doctor --restore", { timeout: 120_000 }, () => {
  it("says of each job that its newest backups could be restored, and what they need", async () => {
    const { look } = await ready({ features: "large_blocks embedded_data lz4_compress zstd_compress large_dnode" });
    const ended = await look("--json");
    expect(findingsIn(ended)).toEqual([]);
    expect(ended.exit).toBe(0);
    const { ready: isReady, restore } = documentOf(ended) as unknown as { ready: boolean; restore: Probe[] };
    expect(isReady).toBe(true);
    expect(restore.map(({ name }) => name)).toEqual(["last-good src", "proof src", "keys src", "space src", "permission src", "features src"]);
    expect(restore.find(({ name }) => name === "keys src")?.detail).toBe("they open 2 of 2 manifests that the newest backups need");
    expect(restore.find(({ name }) => name === "space src")?.detail).toMatch(/^"tank" has 954 MiB left, and the newest backups need about /);
  });

  it("finds what is too old, never proven, and without room", async () => {
    const { look, later } = await ready({ available: "1000", hasDrilled: false });
    later(10 * 24 * hourMs);
    const ended = await look("--json");
    expect(ended.exit).toBe(3);
    expect(findingsIn(ended)).toEqual(expect.arrayContaining([
      expect.stringMatching(/^last-good src: the newest good backups are up to \d+d old \("tank\/src@two"\)$/),
      'proof src: not restored, nor read to its end, in the last 90 days: "tank/src"',
      expect.stringMatching(/^space src: "tank" has 1000 B left/),
    ]));
  });

  it("finds a lost anchor: what is left has nothing good", async () => {
    const { scene, look } = await ready();
    rmSync(join(scene.store, "manifests/tank/src@one.json"));
    expect(findingsIn(await look("--json"))).toContain('last-good src: no good backup of "tank/src"');
  });

  it("finds keys that open nothing, and a place that is not there", async () => {
    const { scene, look } = await ready();
    expect(findingsIn(await look("--json", "--private-key", scene.privateKey("alice")))).toContainEqual(expect.stringMatching(/^keys src: "tank\/src@one": .*key/));
    const text = await look("--into", "dozer");
    expect([text.exit, text.stdout.toString()]).toEqual([3, expect.stringMatching(/^space src +finding {2}there is no "dozer" to restore to\n +import or create the pool/m)]);
  });

  it("finds an empty store, and one that cannot be opened, and looks at all of a store without jobs", async () => {
    const scene = new Scene();
    scene.write("store/.keep", "");
    const empty = await scene.run(["doctor", "--restore", ...scene.place, ...scene.asBob, "--json"]);
    expect([empty.exit, findingsIn(empty)]).toEqual([3, ["last-good all: there is no backup in the store"]]);
    const none = await scene.run(["doctor", "--restore", "--store", join(scene.folder, "nowhere"), "--state-dir", scene.stateDir, ...scene.asBob, "--json"]);
    expect([none.exit, findingsIn(none)]).toEqual([3, [expect.stringMatching(/^last-good all: /)]]);
  });

  it("is the only one that takes a place", async () => {
    const scene = new Scene();
    expect(await scene.run(["doctor", ...scene.place, "--into", "tank"])).toMatchObject({ exit: 2 });
  });
});
