/**
 * `zferry restore` into a pretended pool that keeps what it receives: the right backups in the right order, and nothing
 * received when something is not right.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, Scene } from "./zferry.ts";

/** A store with a full and two increments of it, and a pool without any dataset. */
async function storedNights(...only: readonly ("one" | "two" | "three")[]): Promise<{ scene: Scene; pool: Pool }> {
  const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
  const nights = only.length === 0 ? (["one", "two", "three"] as const) : only;
  for (const night of nights) await scene.put(`tank/src@${night}`, streamOf(night));
  return { scene, pool };
}

function restore(scene: Scene, pool: Pool, name: string, ...flags: readonly string[]): Promise<Ended> {
  const keys = flags.includes("--passphrase-file") ? [] : scene.asBob;
  return scene.run(["restore", name, "--to", "pool/back", ...scene.place, ...keys, ...flags], { env: pool.env });
}

/** Whether the N-th receive got exactly that night's stream, to its end. */
function expectReceived(pool: Pool, index: number, night: "one" | "two" | "three"): void {
  const received = pool.received(index);
  expect(received).toMatchObject({ target: "pool/back", ended: true });
  expect(received?.stream.equals(streamOf(night))).toBe(true);
}

describe("which backups are received", () => {
  it.for([
    ["the newest one, with its full", "tank/src", [], "three"],
    ["the newest one, asked for by that word", "tank/src@latest", [], "three"],
    ["one by its name", "tank/src@two", [], "two"],
    ["the newest one of a day", "tank/src", ["--at", "2026-11-21"], "two"],
    ["the newest one at a time", "tank/src", ["--at", "2026-11-22T07:42:01Z"], "three"],
    ["the newest one of a minute, as list shows it", "tank/src", ["--at", "2026-11-22 08:42 +01:00"], "three"],
  ] as const)("%s", async ([, name, flags, last]) => {
    const { scene, pool } = await storedNights();
    const ended = await restore(scene, pool, name, ...flags);
    expect(ended).toMatchObject({ exit: 0 });
    expect(ended.stdout.toString()).toMatch(/^restored pool\/back@/);
    expectReceived(pool, 0, "one");
    expectReceived(pool, 1, last);
    expect(pool.received(2)).toBeNull();
  });

  it("only the full, when that is what is wanted", async () => {
    const { scene, pool } = await storedNights();
    expect(await restore(scene, pool, "tank/src", "--at", "2026-11-21T07:42:00Z")).toMatchObject({ exit: 0 });
    expectReceived(pool, 0, "one");
    expect(pool.received(1)).toBeNull();
  });

  it("only the incremental, when the target holds the full already; nothing, when it holds all", async () => {
    const { scene, pool } = await storedNights();
    expect(await restore(scene, pool, "tank/src@one")).toMatchObject({ exit: 0 });
    const second = await restore(scene, pool, "tank/src@three", "--json");
    expect(documentOf(second)).toMatchObject({ steps: [{ backup: "tank/src@one", isThere: true }, { backup: "tank/src@three", isThere: false }] });
    expectReceived(pool, 1, "three");
    expect(await restore(scene, pool, "tank/src@three")).toMatchObject({ exit: 0 });
    expect(pool.received(2)).toBeNull();
  });

  it("none with --dry-run, which tells what would be", async () => {
    const { scene, pool } = await storedNights();
    const { exit, stdout } = await restore(scene, pool, "tank/src", "--dry-run");
    expect(exit).toBe(0);
    expect(stdout.toString()).toMatch(/^would receive: full tank\/src@one, .*\nwould receive: incremental tank\/src@three, .*\n$/);
    expect(pool.calls("receive")).toEqual([]);
  });
});

describe("how they are received", () => {
  beforeAll(built);

  it("unmounted, unless something else is said", async () => {
    const { scene, pool } = await storedNights("one");
    await restore(scene, pool, "tank/src");
    expect(pool.calls("receive")).toEqual([["receive", "-u", "--", "pool/back"]]);
  });

  it("with the flags of zfs recv that were given", async () => {
    const { scene, pool } = await storedNights("one");
    const flags = ["--mount", "-F", "-s", "-o", "compression=zstd", "-o", "mountpoint=/mnt/x", "-x", "sharenfs"];
    expect(await restore(scene, pool, "tank/src", ...flags)).toMatchObject({ exit: 0 });
    const set = ["-o", "compression=zstd", "-o", "mountpoint=/mnt/x"];
    expect(pool.calls("receive")).toEqual([["receive", "-F", "-s", ...set, "-x", "sharenfs", "--", "pool/back"]]);
  });

  it("by the built program", async () => {
    const { scene, pool } = await storedNights();
    const words = ["restore", "tank/src", "--to", "pool/back", ...scene.place, ...scene.asBob];
    expect(await scene.spawn(words, { env: pool.env })).toMatchObject({ exit: 0 });
    expectReceived(pool, 0, "one");
    expectReceived(pool, 1, "three");
  });
});

describe("a restore that is stopped", () => {
  beforeAll(built);

  it.for([["SIGINT", 130], ["SIGTERM", 143]] as const)("by %s ends with %i, and zfs recv sees no end of its input", async ([signal, status]) => {
    const { scene, pool } = await storedNights("one");
    pool.change((state) => (state.faults = { receive: { at: 100_000, hang: true } }));
    const words = ["restore", "tank/src", "--to", "pool/back", ...scene.place, ...scene.asBob];
    const { ended, kill } = await scene.start(words, { stdin: new Uint8Array(), env: pool.env });
    while ((pool.received(0)?.stream.length ?? 0) < 100_000) await sleep(20);
    kill(signal);
    const { exit, killedBy, stderr } = await ended;
    expect({ exit, killedBy }).toEqual({ exit: status, killedBy: null });
    expect(stderr).toContain(`stopped by ${signal}`);
    expect(pool.received(0)?.ended).toBe(false);
    expect(pool.alive).toEqual([]);
  });
});

describe("nothing is received", () => {
  it("when the chain has a gap, and zfs is not even asked", async () => {
    const { scene, pool } = await storedNights();
    rmSync(join(scene.store, "manifests", "tank", "src@one.json"));
    const { exit, stderr } = await restore(scene, pool, "tank/src");
    expect(exit).toBe(10);
    expect(stderr).toContain("its base, the snapshot with guid 13043067825435035368, is not in the store");
    expect(stderr).toContain("hint: ");
    expect(pool.calls()).toEqual([]);
  });

  it.for([
    ["tank/src@nope", [], 'there is no backup "tank/src@nope"'],
    ["tank/nope", [], 'there is no backup of "tank/nope"'],
    ["tank/src", ["--at", "2026-11-20"], 'there is no backup of "tank/src" from 2026-11-20T23:59:59.999Z or before'],
  ] as const)("when there is no such backup: %s %s", async ([name, flags, why]) => {
    const { scene, pool } = await storedNights("one");
    const { exit, stderr } = await restore(scene, pool, name, ...flags);
    expect([exit, pool.calls()]).toEqual([10, []]);
    expect(stderr).toContain(why);
  });

  it("when the target exists, unless --force is given", async () => {
    const { scene, pool } = await storedNights("one");
    pool.change((state) => (state.datasets["pool/back"] = { snapshots: {}, bookmarks: {} }));
    const { exit, stderr } = await restore(scene, pool, "tank/src");
    expect([exit, pool.calls("receive")]).toEqual([14, []]);
    expect(stderr).toContain('the target "pool/back" exists');
    expect(await restore(scene, pool, "tank/src", "--force")).toMatchObject({ exit: 0 });
    expectReceived(pool, 0, "one");
  });

  it("when the passphrase is wrong, or there is none", async () => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    await scene.put("tank/src@one", streamOf("one"), ...scene.secret);
    const wrong = await restore(scene, pool, "tank/src", "--passphrase-file", scene.write("wrong", "not it\n"));
    expect([wrong.exit, pool.calls("receive")]).toEqual([12, []]);
    const none = await scene.run(["restore", "tank/src", "--to", "pool/back", ...scene.place], { env: pool.env });
    expect([none.exit, pool.calls("receive")]).toEqual([12, []]);
    for (const { stderr } of [wrong, none]) expect(stderr).toContain("zferry: hint: ");
  });
});

describe("a receive that fails", () => {
  it.for([
    ["before the first byte", { at: 0, exit: 1, stderr: "cannot receive new filesystem stream: out of space" }, "out of space"],
    ["in the middle", { at: 100_000, exit: 1, stderr: "cannot receive new filesystem stream: out of space" }, "out of space"],
    ["by a signal", { at: 100_000, signal: "SIGKILL" }, "SIGKILL"],
    ["after the last byte", { at: "end", exit: 1, stderr: "cannot receive new filesystem stream: checksum mismatch" }, "checksum mismatch"],
    ["with exit status 0 before it has read all", { at: 100_000, exit: 0 }, "stopped reading before the end"],
  ] as const)("%s is told in its own words", async ([, receive, why]) => {
    const { scene, pool } = await storedNights();
    pool.change((state) => (state.faults = { receive }));
    const { exit, stderr, stdout } = await restore(scene, pool, "tank/src");
    expect(stderr).toContain(why);
    expect(exit).toBe(14);
    expect(stdout.toString()).toBe("");
    expect(pool.received(1)).toBeNull();
    expect(pool.alive).toEqual([]);
  });

  it("into another snapshot than the backup's is found by its guid", async () => {
    const { scene, pool } = await storedNights("one");
    const script = scene.write("zfs", `#!/bin/sh\nif [ "$1" = receive ]; then cat >/dev/null; else exec zfs "$@"; fi\n`, 0o700);
    const { exit, stderr } = await restore(scene, pool, "tank/src", "--zfs", script);
    expect(exit).toBe(14);
    expect(stderr).toContain('has no snapshot with guid 13043067825435035368');
  });
});
