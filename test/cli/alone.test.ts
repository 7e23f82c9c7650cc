/**
 * Two runs of one dataset never work at the same time, on one host or on two, and a run that was killed blocks no one.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { lockPath, withLocalLock } from "../../src/lock.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { built } from "../build.ts";
import { validate } from "../documents/validate.ts";
import { startResponder } from "../s3-responder.ts";
import { nightly, streamOf } from "./pool.ts";
import { type Ended, filesUnder, Scene } from "./zferry.ts";

function wordsFor(scene: Scene, stateDir = scene.stateDir): string[] {
  return ["backup", "--dataset", "tank/src", "--store", scene.store, "--state-dir", stateDir, ...scene.small, ...scene.forBob];
}

describe("a second backup of a dataset", () => {
  beforeAll(built);

  it("is refused with exit status 11 while the first one runs, on this host and from another state folder; a killed run blocks no one", async () => {
    const [scene, pool] = [new Scene(), nightly({ faults: { send: { at: 400_000, hang: true } } })];
    const first = await scene.start(wordsFor(scene), { stdin: new Uint8Array(), env: pool.env });
    while (!scene.objects.some((key) => key.endsWith(".zfs.gpg.000001"))) await sleep(20);
    validate("store/lock", JSON.parse(readFileSync(join(scene.store, "locks/tank/src.json"), "utf8")));

    const here = await scene.run(wordsFor(scene), { env: pool.env });
    expect(here.exit, here.stderr).toBe(11);
    const elsewhere = await scene.run(wordsFor(scene, join(scene.folder, "other-state")), { env: pool.env });
    expect(elsewhere.exit, elsewhere.stderr).toBe(11);
    expect(elsewhere.stderr).toContain("zferry: hint: ");
    expect(pool.calls("snapshot")).toHaveLength(1);

    first.kill("SIGKILL");
    await first.ended;
    for (const pid of pool.alive) process.kill(pid, "SIGKILL");
    pool.change((state) => (state.faults = {}));
    const next = await scene.run(wordsFor(scene), { env: pool.env, now: new Date("2026-11-22T00:00:00Z") });
    expect(next.exit, next.stderr).toBe(0);
    expect(scene.objects.filter((key) => key.startsWith("locks/"))).toEqual([]);
  });
});

describe("a store without conditional writes", () => {
  /** A bucket in memory that is said to be of a provider. */
  async function placeAt(provider: string): Promise<{ keys: () => string[]; put: (scene: Scene, backup: string) => Promise<Ended> }> {
    const server = await startResponder({ bucket: "bucket", knowsCrc32: true });
    onTestFinished(() => server.close());
    const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "an-unused-secret" };
    const url = `s3://bucket/host?endpoint=http://127.0.0.1:${server.port}&provider=${provider}`;
    const put = (scene: Scene, backup: string): Promise<Ended> =>
      scene.run(["put", backup, "--store", url, "--state-dir", scene.stateDir, ...scene.forBob], { stdin: streamOf("one"), env });
    return { keys: () => [...server.objects.keys()], put };
  }

  it.for(["b2", "gcs"])("(%s) is said to keep no hosts apart, holds no lease, and the lock of the host is kept", async (provider) => {
    const [scene, place] = [new Scene(), await placeAt(provider)];
    const first = await place.put(scene, "tank/src@one");
    expect(first.exit, first.stderr).toBe(0);
    expect(first.stderr).toMatch(/warning: ".*" has no conditional writes: runs of one dataset on several hosts are not kept apart/);
    const before = place.keys();
    const signal = new AbortController().signal;
    const second = await withLocalLock(scene.stateDir, parseDatasetName("tank/src"), { signal }, () => place.put(scene, "tank/src@two"));
    expect(second.exit, second.stderr).toBe(11);
    expect(place.keys()).toEqual(before);
    expect(before.filter((key) => key.includes("locks/"))).toEqual([]);
  });

  it("is not what is said of one that has them", async () => {
    const [scene, place] = [new Scene(), await placeAt("minio")];
    const { exit, stderr } = await place.put(scene, "tank/src@one");
    expect(exit, stderr).toBe(0);
    expect(stderr).not.toContain("conditional writes");
  });
});

it.for([
  ["of a process that is gone", { pid: 4_194_305 }],
  ["whose number another process has by now", { startTime: "1" }],
  ["of before the last boot", { bootId: "00000000-0000-0000-0000-000000000000" }],
] as const)("a lock %s does not keep the next night from its work", async ([, changes]) => {
  const [scene, pool] = [new Scene(), nightly()];
  const dataset = parseDatasetName("tank/src");
  const path = lockPath(scene.stateDir, dataset);
  const { signal } = new AbortController();
  const text = await withLocalLock(scene.stateDir, dataset, { signal }, () => Promise.resolve(readFileSync(path, "utf8")));
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(text) as object), ...changes }));
  const { exit, stderr } = await scene.run(wordsFor(scene), { env: pool.env });
  expect(exit, stderr).toBe(0);
  expect(filesUnder(join(scene.stateDir, "locks"))).toEqual([]);
});
