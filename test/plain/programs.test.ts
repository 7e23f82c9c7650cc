/**
 * Mode `files` with the real programs: restic, borg and rclone of Debian copy a tree of everything that can be lost, and
 * bring it back equal. ZFERRY_TEST_MANY_FILES is how many files it has beside the odd ones (the 20,000).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { env } from "node:process";
import { describe, expect, it } from "vitest";
import { need } from "../systems.ts";
import { FilesNight } from "./files-night.ts";
import { described, plant } from "./tree.ts";

const manyCount = Number(env.ZFERRY_TEST_MANY_FILES ?? "200");
const minutes = 60_000;

function planted(files: string): FilesNight {
  const night = new FilesNight(files);
  plant(night.tree, manyCount);
  return night;
}

describe("a tree of odd names, links, holes and many files", () => {
  it("comes back equal from restic", async (context) => {
    const restic = need(context, "restic");
    const night = planted("      engine: command\n      command: [restic, backup, --quiet, --host, nas, .]\n      warning_exits: [3]\n");
    const repository = { RESTIC_REPOSITORY: join(night.out, "repository"), RESTIC_PASSWORD: "only a test's password", RESTIC_CACHE_DIR: join(night.out, "cache") };
    const all = { PATH: env.PATH, ...repository };
    execFileSync(restic, ["init", "--quiet"], { env: all });
    const { exit, stderr } = await night.run(["backup"], repository);
    expect([exit, stderr]).toEqual([0, expect.not.stringContaining("warning")]);
    const back = join(night.out, "back");
    execFileSync(restic, ["restore", "latest", "--quiet", "--target", back], { env: all });
    expect(described(back, { hardLinks: true }).slice(1)).toEqual(described(night.tree, { hardLinks: true }).slice(1));
    night.expectTidy();
  }, 5 * minutes);

  it("comes back equal from borg", async (context) => {
    const borg = need(context, "borg");
    const night = planted("      engine: command\n      command: [borg, create, --error, \"::{now}\", .]\n      warning_exits: [1]\n");
    const repository = { BORG_REPO: join(night.out, "repository"), BORG_PASSPHRASE: "only a test's passphrase", BORG_BASE_DIR: join(night.out, "base") };
    const all = { PATH: env.PATH, ...repository };
    execFileSync(borg, ["init", "--encryption", "repokey"], { env: all, stdio: "ignore" });
    const { exit, stderr } = await night.run(["backup"], repository);
    expect([exit, stderr]).toEqual([0, expect.not.stringContaining("warning")]);
    const back = join(night.out, "back");
    mkdirSync(back, { mode: 0o700 });
    const name = execFileSync(borg, ["list", "--short"], { env: all, encoding: "utf8" }).trim();
    execFileSync(borg, ["extract", "--sparse", `::${name}`], { env: all, cwd: back });
    expect(described(back, { hardLinks: true }).slice(1)).toEqual(described(night.tree, { hardLinks: true }).slice(1));
    night.expectTidy();
  }, 5 * minutes);

  it("comes back equal from rclone, but for modes, and for hard links, which become files of their own", async (context) => {
    const rclone = need(context, "rclone");
    const night = planted(`      engine: rclone\n      remote: far:remote\n`);
    const config = { RCLONE_CONFIG: night.scene.write("rclone.conf", `[far]\ntype = alias\nremote = ${night.out}\n`) };
    const { exit, stderr } = await night.run(["backup"], config);
    expect([exit, stderr]).toEqual([0, expect.not.stringMatching(/ERROR|warning/)]);
    const back = join(night.out, "back");
    execFileSync(rclone, ["copy", "--links", "--create-empty-src-dirs", "--no-unicode-normalization", join(night.out, "remote"), back], { env: { PATH: env.PATH, ...config } });
    const [got, want] = [back, night.tree].map((folder) => described(folder, { hardLinks: false }));
    expect(withoutModes(got)).toEqual(withoutModes(want));
    night.expectTidy();
  }, 5 * minutes);
});

function withoutModes(lines: readonly string[] | undefined): readonly string[] {
  return (lines ?? []).map((line) => line.replace(/ \| [0-7]{3,4}(?= \| file | *$)/, ""));
}

describe("rclone", () => {
  it.for([["sync", ["new"]], ["copy", ["new", "old"]]] as const)("by %s leaves on the remote %j of what was replaced", async ([operation, left], context) => {
    need(context, "rclone");
    const night = new FilesNight(`      engine: rclone\n      operation: ${operation}\n      remote: far:remote\n`);
    const config = { RCLONE_CONFIG: night.scene.write("rclone.conf", `[far]\ntype = alias\nremote = ${night.out}\n`) };
    writeFileSync(join(night.tree, "old"), "");
    expect((await night.run(["backup"], config)).exit).toBe(0);
    renameSync(join(night.tree, "old"), join(night.tree, "new"));
    const { exit, stdout } = await night.run(["backup"], config);
    expect([exit, stdout.toString()]).toEqual([0, expect.stringContaining("files copied, rclone:far:remote")]);
    expect(readdirSync(join(night.out, "remote"))).toEqual(left);
  });

  it("that fails is the run's failure, with its words", async (context) => {
    need(context, "rclone");
    const night = new FilesNight("      engine: rclone\n      remote: nowhere:x\n");
    writeFileSync(join(night.tree, "f"), "");
    const { exit, stderr } = await night.run();
    expect([exit, stderr]).toEqual([18, expect.stringMatching(/"rclone".* failed: exit 1; it said ".*nowhere/)]);
    night.expectTidy();
  });
});
