/**
 * A folder on a disk that fills up: a tmpfs of a few megabytes, mounted for the test.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { expect, it, onTestFinished, type TestContext } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { Pool } from "../cli/pool.ts";
import { filesUnder, Scene } from "../cli/zferry.ts";
import { payloadOf, streamOf } from "./synthetic.ts";

/** Mounts one, or ends the test where that is not allowed. */
function smallDisk(context: TestContext, scene: Scene): { readonly folder: string; readonly grow: () => void } {
  const folder = join(scene.folder, "disk");
  mkdirSync(folder);
  const mounted = mount("-t", "tmpfs", "-o", "size=5m", "zferry-test", folder);
  if (mounted !== "" && env.ZFERRY_TEST_ALL_SYSTEMS === "1") throw new Error(`no tmpfs can be mounted: ${mounted}`);
  if (mounted !== "") context.skip(`no tmpfs can be mounted: ${mounted}`);
  onTestFinished(() => void spawnSync("umount", [folder]));
  return { folder, grow: () => { expect(mount("-o", "remount,size=50m", folder)).toBe(""); } };
}

/** What mount complained of; nothing when it did not. */
function mount(...args: string[]): string {
  const { status, stderr, error } = spawnSync("mount", args, { encoding: "utf8" });
  return status === 0 ? "" : (error?.message ?? stderr.trim());
}

it("tells a backup that the disk is full, leaves no piece of a file, and goes on when there is room", async (context) => {
  const scene = new Scene();
  const { folder, grow } = smallDisk(context, scene);
  const pool = new Pool({ streams: ["it.zfs"], datasets: { "tank/a": { snapshots: {} } } });
  const stream = streamOf(payloadOf(8 * MiB));
  writeFileSync(join(pool.folder, "it.zfs"), stream);
  const place = ["--store", folder, "--state-dir", scene.stateDir];
  const words = ["backup", "--dataset", "tank/a", ...place, "--part-size", "512KiB", "--chunk-size", "1MiB", ...scene.forBob];

  const { exit, stderr } = await scene.run([...words, "--json"], { env: pool.env });
  expect(exit, stderr).toBe(15);
  expect(JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({ code: "store-full", hint: expect.stringContaining("free space") as string });
  expect(stderr).not.toContain("trying again");
  expect(pool.alive).toEqual([]);
  const stored = filesUnder(folder).filter((name) => name.includes(".zfs.gpg."));
  expect(stored.length).toBeGreaterThan(1);
  expect(filesUnder(folder).filter((name) => name.includes(".zferry-tmp"))).toEqual([]);
  for (const name of stored) expect(readFileSync(join(folder, name)).length).toBe(MiB);

  grow();
  const second = await scene.run(words, { env: pool.env });
  expect(second.exit, second.stderr).toBe(0);
  expect(second.stderr).toContain(`goes on with an unfinished upload, ${stored.length} chunks of which are stored`);
  const restored = await scene.run(["restore", "tank/a", "--to", "tank/back", ...place, ...scene.asBob], { env: pool.env });
  expect(restored.exit, restored.stderr).toBe(0);
  expect(pool.received(0)?.stream.equals(stream)).toBe(true);
});

it("leaves no configuration that was cut off, which the next init would take for one that is there", async (context) => {
  const scene = new Scene();
  const { folder, grow } = smallDisk(context, scene);
  expect(spawnSync("dd", ["if=/dev/zero", `of=${join(folder, "filling")}`, "bs=64k"], { encoding: "utf8" }).stderr).toContain("No space left");
  const words = ["init", "--config", join(folder, "zferry.yaml"), "--store", "file:///srv/backups", "--dataset", "tank/a", "--json"];
  const { exit, stderr } = await scene.run(words);
  expect([exit, JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "")]).toMatchObject([2, { code: "config-invalid", message: expect.stringContaining("ENOSPC") as string }]);
  expect(filesUnder(folder)).toEqual(["filling"]);
  grow();
  expect((await scene.run(words)).exit).toBe(0);
});
