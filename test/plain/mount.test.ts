/**
 * Views on real mounts: `mount -t zfs` by OpenZFS 2.3 in its guest, whose files a program named `mount` brings here, and
 * `.zfs/snapshot` as a kernel shows it, which is a file system of its own or nothing.
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { expect, it, onTestFinished } from "vitest";
import { Scene } from "../cli/zferry.ts";
import { need } from "../systems.ts";

const isMounted = (below: string): boolean => readFileSync("/proc/self/mounts", "utf8").includes(below);

function jobOf(scene: Scene, { dataset, zfs, line, view }: { dataset: string; zfs: string; line: string; view: string }): void {
  const files = `engine: command\n      command: [sh, -c, '${line}']\n      view: ${view}\n      pass_environment: [OUT]`;
  scene.write("zferry.yaml", `state_dir: state\ndefaults:\n  zfs: ["${zfs}"]\njobs:\n  papers:\n    dataset: ${dataset}\n    mode: files\n    files:\n      ${files}\n`);
}

it("a snapshot of OpenZFS is mounted read-only, as it was, and both are gone afterwards", async (context) => {
  const { zfs, sh } = need(context, "openzfs");
  const scene = new Scene();
  const dataset = `tsrc/files-${randomBytes(4).toString("hex")}`;
  const inGuest = (line: string): string => execFileSync(sh, ["-c", line], { encoding: "utf8" });
  inGuest(`zfs create ${dataset} && cd /${dataset} && echo one >one && ln one two && ln -s one three && mkdir four`);
  onTestFinished(() => {
    inGuest(`zfs destroy -r ${dataset}`);
  });
  const bringing = 'd=$(mktemp -d); mount "$1" "$2" "$3" "$4" "$5" "$d" && { touch "$d/no" 2>/dev/null && echo written >"$d/no"; tar -C "$d" -cf - .; umount "$d"; rmdir "$d"; }';
  scene.write("bin/mount", `#!/bin/bash\nset -eo pipefail\n/bin/mount -t tmpfs -o mode=755 tmpfs "$6"\n'${sh}' -c '${bringing}' sh "$1" "$2" "$3" "$4" "$5" | tar -C "$6" -xf -\n`, 0o755);
  jobOf(scene, { dataset, zfs, view: "auto", line: 'cp -a . "$OUT"; echo two >"$OUT/../later"' });
  const out = join(scene.folder, "out");
  const { exit, stderr } = await scene.run(["backup"], { env: { PATH: `${join(scene.folder, "bin")}:${env.PATH ?? ""}`, OUT: out } });
  expect([exit, stderr]).toEqual([0, ""]);
  expect(readdirSync(out)).toEqual(["four", "one", "three", "two"]);
  expect(readFileSync(join(out, "three"), "utf8")).toBe("one\n");
  expect(inGuest(`zfs list -H -r -t snapshot -o name ${dataset}`)).toBe("");
  expect([readdirSync(join(scene.stateDir, "views")), isMounted(scene.folder)]).toEqual([[], false]);
}, 120_000);

/** A zfs that says where the dataset is mounted, and whose snapshots `shows` makes appear there. */
function pretended(scene: Scene, shows: string): { zfs: string; mountpoint: string } {
  const mountpoint = join(scene.folder, "mountpoint");
  mkdirSync(join(mountpoint, ".zfs", "snapshot"), { recursive: true });
  writeFileSync(join(mountpoint, "now"), "");
  const script = `#!/bin/sh
s='${mountpoint}/.zfs/snapshot/zferry-20261121T074200Z'
case $1-$* in
get-*mounted*) printf 'tank/src\\t%s\\t%s\\t-\\n' type filesystem mountpoint '${mountpoint}' mounted yes ;;
snapshot-*) mkdir "$s" && ${shows} && exec zfs "$@" ;;
destroy-*) umount "$s" 2>/dev/null; rmdir "$s" && exec zfs "$@" ;;
*) exec zfs "$@" ;;
esac
`;
  return { zfs: scene.write("bin/pretended-zfs", script, 0o755), mountpoint };
}

it(".zfs/snapshot is the view where the kernel mounts there", async (context) => {
  need(context, "openzfs"); // a machine where tests may mount
  const { nightly } = await import("../cli/pool.ts");
  const scene = new Scene();
  const pool = nightly();
  const { zfs, mountpoint } = pretended(scene, 'mount -t tmpfs tmpfs "$s" && echo then >"$s/then"');
  jobOf(scene, { dataset: "tank/src", zfs, view: "auto", line: 'pwd >"$OUT"; ls' });
  const { exit, stderr } = await scene.run(["backup"], { env: { ...pool.env, OUT: join(scene.folder, "pwd") } });
  expect([exit, stderr]).toEqual([0, "zferry: papers: sh: then\n"]);
  expect(readFileSync(join(scene.folder, "pwd"), "utf8")).toBe(`${mountpoint}/.zfs/snapshot/zferry-20261121T074200Z\n`);
  expect([readdirSync(join(mountpoint, ".zfs", "snapshot")), readdirSync(join(scene.stateDir, "views")), isMounted(scene.folder)]).toEqual([[], [], false]);
});

it(".zfs/snapshot that is only an empty folder is no view: everything would seem to be gone", async () => {
  const { nightly } = await import("../cli/pool.ts");
  const scene = new Scene();
  const pool = nightly();
  const { zfs } = pretended(scene, "true");
  jobOf(scene, { dataset: "tank/src", zfs, view: "snapdir", line: 'touch "$OUT"' });
  const { exit, stderr } = await scene.run(["backup"], { env: { ...pool.env, OUT: join(scene.folder, "ran") } });
  expect([exit, stderr]).toEqual([18, expect.stringContaining("is no file system of its own")]);
  expect(existsSync(join(scene.folder, "ran"))).toBe(false);
});
