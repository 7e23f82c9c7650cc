/**
 * `zfs send` dies, and nothing is left of the run: no object, no snapshot, no hold, no process, no half-written file.
 */
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { nightly, type Pool } from "./pool.ts";
import { type Ended, Scene } from "./zferry.ts";

function wordsFor(scene: Scene): string[] {
  return ["backup", "--dataset", "tank/src", ...scene.place, ...scene.small, ...scene.forBob];
}

/** A zfs whose connection breaks in the middle of a send, when two chunks are stored; ssh(1): "or with 255 if an error occurred". */
function throughBrokenSsh(scene: Scene): string {
  const script = `#!/bin/sh
case "$*" in send\\ *-nP*) exec zfs "$@" ;; send\\ *\\ --\\ *) ;; *) exec zfs "$@" ;; esac
zfs "$@" | head -c 400000
until grep -q '"chunk":{"index":1,' ${scene.stateDir}/journal/*.journal; do sleep 0.05; done
echo "client_loop: send disconnect: Broken pipe" >&2
exit 255
`;
  return scene.write("broken-ssh", script, 0o700);
}

/** What every failed run of a first night must have undone. */
function expectNothingLeft(scene: Scene, pool: Pool): void {
  expect(scene.objects).toEqual([]);
  expect(pool.alive).toEqual([]);
  expect(pool.dataset("tank/src")).toMatchObject({ snapshots: {}, bookmarks: {} });
  const tags = (verb: string): string[] => pool.calls(verb).map((args) => args.slice(1).join(" "));
  expect(tags("release")).toEqual(tags("hold"));
  expect(pool.calls("destroy")).toHaveLength(pool.calls("snapshot").length);
  expect(readdirSync(scene.folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".new"))).toEqual([]);
}

describe("a send that ends badly", () => {
  it.for([
    ["before its first byte", { at: 0, exit: 1, stderr: "internal error: Invalid argument" }, 14, "Invalid argument"],
    ["in the middle", { at: 250_000, exit: 1, stderr: "warning: cannot send 'tank/src': I/O error" }, 14, "I/O error"],
    ["after its last byte", { at: "end", exit: 1, stderr: "warning: cannot send 'tank/src': signal received" }, 14, "signal received"],
    ["by SIGKILL in the middle", { at: 250_000, signal: "SIGKILL" }, 14, "SIGKILL"],
    ["by SIGKILL after its last byte", { at: "end", signal: "SIGKILL" }, 14, "SIGKILL"],
    ["in the middle, with a megabyte of warnings", { at: 250_000, exit: 1, stderrBytes: 1_000_000, stderr: "at last: I/O error" }, 14, "I/O error"],
    ["early but with exit status 0", { at: 250_000, exit: 0 }, 13, "is cut off at byte 250000"],
    ["without a byte but with exit status 0", { at: 0, exit: 0 }, 13, "is empty"],
    ["one byte short but with exit status 0", { at: 473_199, exit: 0 }, 13, "is cut off at byte 473199"],
  ] as const)("%s: nothing is committed, and nothing left", async ([, send, status, why]) => {
    const [scene, pool] = [new Scene(), nightly({ faults: { send } })];
    const { exit, stderr, stdout } = await scene.run(wordsFor(scene), { env: pool.env });
    expect(stderr).toContain(why);
    expect(stderr).toContain("zferry: hint: ");
    expect(exit).toBe(status);
    expect(stdout.toString()).toBe("");
    expectNothingLeft(scene, pool);
  });

  it("with the status by which ssh says that the connection broke: whole chunks stay, and the next run goes on with them", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const broken = await scene.run([...wordsFor(scene), "--zfs", throughBrokenSsh(scene)], { env: pool.env });
    expect(broken.exit, broken.stderr).toBe(14);
    expect(broken.stderr).toContain("client_loop: send disconnect: Broken pipe");
    expect(broken.stderr).toContain("hint: the connection to the zfs host broke");
    expect(pool.holds("tank/src")).toHaveLength(1);
    const next = await scene.run(wordsFor(scene), { env: pool.env, now: new Date("2026-11-22T00:00:00Z") });
    expect(next.exit, next.stderr).toBe(0);
    expect(next.stderr).toMatch(/goes on with an unfinished upload, \d chunks? of which/);
    expect(pool.calls("snapshot")).toHaveLength(1);
  });

  it("with that status before a chunk was whole: nothing is left", async () => {
    const [scene, pool] = [new Scene(), nightly({ faults: { send: { at: 20_000, exit: 255, stderr: "Connection to host closed by remote host." } } })];
    expect(await scene.run(wordsFor(scene), { env: pool.env })).toMatchObject({ exit: 14 });
    expectNothingLeft(scene, pool);
  });

  it("leaves the backups, the anchor and its hold of the nights before as they were", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const words = wordsFor(scene);
    expect(await scene.run(words, { env: pool.env })).toMatchObject({ exit: 0 });
    const [objects, dataset] = [scene.objects, pool.dataset("tank/src")];
    pool.change((state) => (state.faults = { send: { at: 50_000, exit: 1 } }));
    expect(await scene.run(words, { env: pool.env, now: new Date("2026-11-22T00:00:00Z") })).toMatchObject({ exit: 14 });
    expect(scene.objects).toEqual(objects);
    expect(pool.dataset("tank/src")).toEqual(dataset);
  });
});

describe("a send that never ends", () => {
  beforeAll(built);

  /** A run that stands still with a chunk stored, ended by the signal. */
  async function endedBy(signal: "SIGINT" | "SIGTERM", scene: Scene, pool: Pool): Promise<Ended> {
    const { ended, kill } = await scene.start(wordsFor(scene), { stdin: new Uint8Array(), env: pool.env });
    const isUnderWay = (): boolean => scene.objects.some((key) => key.endsWith(".zfs.gpg.000001"));
    while (!isUnderWay()) await sleep(20);
    kill(signal);
    return ended;
  }

  it("is ended by SIGINT with exit status 130, child and all, and leaves nothing", async () => {
    const [scene, pool] = [new Scene(), nightly({ faults: { send: { at: 400_000, hang: true } } })];
    const { exit, killedBy, stderr, stdout } = await endedBy("SIGINT", scene, pool);
    expect({ exit, killedBy }).toEqual({ exit: 130, killedBy: null });
    expect(stderr).toContain("zferry: error: stopped by SIGINT");
    expect(stdout.toString()).toBe("");
    expectNothingLeft(scene, pool);
  });

  it("is ended by SIGTERM with 143, child and all, and whole chunks stay, with which the next run goes on", async () => {
    const [scene, pool] = [new Scene(), nightly({ faults: { send: { at: 400_000, hang: true } } })];
    const { exit, killedBy, stderr } = await endedBy("SIGTERM", scene, pool);
    expect({ exit, killedBy }).toEqual({ exit: 143, killedBy: null });
    expect(stderr).toContain("zferry: error: stopped by SIGTERM\nzferry: hint: what is whole of the backup under way stays");
    expect(pool.alive).toEqual([]);
    const left = scene.objects;
    expect(left).toContainEqual(expect.stringMatching(/\.zfs\.gpg\.000000$/));
    expect(pool.holds("tank/src")).toHaveLength(1);

    pool.change((state) => (state.faults = {}));
    const next = await scene.run(wordsFor(scene), { env: pool.env });
    expect(next.exit, next.stderr).toBe(0);
    expect(next.stderr).toMatch(/goes on with an unfinished upload, \d chunks? of which (is|are) stored/);
    expect(scene.objects).toEqual(expect.arrayContaining(left));
    expect(pool.calls("snapshot")).toHaveLength(1);
  });

  it("to put is ended by SIGINT too, although its stdin stays open", async () => {
    const scene = new Scene();
    const { ended, kill } = await scene.start(["put", "tank/src@s1", ...scene.place, ...scene.small, ...scene.forBob]);
    while (!existsSync(scene.store)) await sleep(20);
    kill("SIGINT");
    expect(await ended).toMatchObject({ exit: 130 });
    expect(scene.objects).toEqual([]);
  });
});

describe("a stop by signal right behind the commit", () => {
  beforeAll(built);

  it("comes too late for the last dataset, whose backup is stored and whose run ends well", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    const zfs = scene.write("stopping-zfs", '#!/bin/sh\n[ "$1" != bookmark ] || { kill -INT $PPID; sleep 0.3; }\nexec zfs "$@"\n', 0o700);
    const { ended } = await scene.start([...wordsFor(scene), "--zfs", zfs], { stdin: new Uint8Array(), env: pool.env });
    const { exit, stderr, stdout } = await ended;
    expect(exit, stderr).toBe(0);
    expect(stdout.toString()).toContain("stored full backup");
    expect(scene.manifests).toHaveLength(1);
  });

  it("ends a run with datasets to come with 130, and keeps what is stored", async () => {
    const [scene, pool] = [new Scene(), nightly()];
    pool.change((state) => (state.datasets["tank/other"] = { snapshots: {}, bookmarks: {} }));
    const zfs = scene.write("stopping-zfs", '#!/bin/sh\n[ "$1" != bookmark ] || { kill -INT $PPID; sleep 0.3; }\nexec zfs "$@"\n', 0o700);
    const job = (name: string): string => `  ${name}: {dataset: tank/${name}, zfs: [${JSON.stringify(zfs)}]}\n`;
    const config = scene.write("zferry.yaml", `stores: {main: {url: ${JSON.stringify(scene.store)}, part_size: 16KiB}}\ndefaults: {chunk_size: 64KiB}\njobs:\n${job("src")}${job("other")}`);
    const { ended } = await scene.start(["backup", "--config", config, "--state-dir", scene.stateDir, ...scene.forBob], { stdin: new Uint8Array(), env: pool.env });
    const { exit, stderr } = await ended;
    expect(exit, stderr).toBe(130);
    expect(scene.manifests).toHaveLength(1);
    expect(scene.manifests[0]).toContain("tank/src@");
  });
});
