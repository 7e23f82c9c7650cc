/**
 * Two runs of one dataset never work at the same time, on one host or on two, and a run that was killed blocks no one.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { nightly } from "./pool.ts";
import { Scene } from "./zferry.ts";

function wordsFor(scene: Scene, stateDir = scene.stateDir): string[] {
  return ["backup", "--dataset", "tank/src", "--store", scene.store, "--state-dir", stateDir, ...scene.small, ...scene.forBob];
}

describe("a second backup of a dataset", () => {
  beforeAll(built);

  it("is refused with exit status 11 while the first one runs, on this host and from another state folder; a killed run blocks no one", async () => {
    const [scene, pool] = [new Scene(), nightly({ faults: { send: { at: 400_000, hang: true } } })];
    const first = await scene.start(wordsFor(scene), { stdin: new Uint8Array(), env: pool.env });
    while (!scene.objects.some((key) => key.endsWith(".zfs.gpg.000001"))) await sleep(20);

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
