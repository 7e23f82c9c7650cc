/**
 * `zferry import` of what ZFS2Cloud's own command lines have written, by the real gpg 1.4 and split, from recorded streams. They
 * are those of its exporter, word for word: of version 1.2, and of 1.0 and 1.1, which let gpg compress.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import { need } from "../systems.ts";
import { guids, Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, filesUnder, fixtures, recorded, Scene } from "./zferry.ts";

const exporters = {
  "1.2": "gpg1 -c --compress-algo none --cipher-algo AES256 --batch --passphrase {key}",
  "1.0 and 1.1": "gpg1 -c --cipher-algo AES256 --batch --passphrase {key}",
} as const;
type Version = keyof typeof exporters;

/** Without blanks: ZFS2Cloud pastes it into a shell line. */
const key = "correct-horse-battery-staple";

const made = new Map<string, ReadonlyMap<string, Buffer>>();

/** `export-intermediate`: a full of `tank/src@s1` and an incremental against it, in `intermediate_basedir`. */
function exported(scene: Scene, context: TestContext, version: Version = "1.2"): string {
  need(context, "gpg1");
  scene.write("passphrase", `${key}\n`);
  const base = join(scene.folder, "intermediate");
  mkdirSync(base);
  const known = made.get(version) ?? run(scene, base, version);
  made.set(version, known);
  for (const [name, bytes] of known) scene.write(join("intermediate", name), bytes);
  return base;
}

function run(scene: Scene, base: string, version: Version): ReadonlyMap<string, Buffer> {
  const zfs = `#!/bin/sh\ncase "$*" in\n'send tank/src@s1') cat '${fixtures}/streams/full.zfs' ;;\n'send -i tank/src@s1 tank/src@s2') cat '${fixtures}/streams/inc-i.zfs' ;;\n*) exit 1 ;;\nesac\n`;
  scene.write("bin/zfs", zfs, 0o755);
  const environment = { PATH: `${join(scene.folder, "bin")}${delimiter}${process.env.PATH ?? ""}`, HOME: scene.folder };
  const folders = [["s1-full", "", "tank/src@s1"], ["s2", "-i tank/src@s1", "tank/src@s2"]] as const;
  for (const [folder, opts, snapshot] of folders) {
    const prefix = join(base, folder, `${snapshot.replaceAll("/", "-")}.zfs.gpg.`);
    mkdirSync(join(base, folder));
    const encrypt = exporters[version].replace("{key}", key);
    const command = `zfs send ${opts} ${snapshot} | ${encrypt} | split - --bytes 64K --suffix-length=4 --numeric-suffixes ${prefix}`;
    execFileSync("/bin/sh", ["-c", command], { env: environment, stdio: ["ignore", "pipe", "pipe"] });
  }
  writeFileSync(join(base, "_last_full_backup"), '["tank/src@s1", "2026-11-21 07:42:00"]');
  return new Map(filesUnder(base).map((name) => [name, readFileSync(join(base, name))]));
}

function importing(scene: Scene, from: string, ...flags: string[]): Promise<Ended> {
  return scene.run(["import", from, ...scene.place, ...scene.secret, ...flags]);
}

describe("what ZFS2Cloud has exported", { timeout: 60_000 }, () => {
  it.for(["1.2", "1.0 and 1.1"] as const)("(%s) is imported, listed, verified and restored, full and incremental", async (version, context) => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    const base = exported(scene, context, version);
    const { exit, stdout } = await importing(scene, base);
    expect(exit).toBe(0);
    expect(stdout.toString()).toMatch(/^imported: full tank\/src@s1, \d.* in \d+ files?\nimported: incremental tank\/src@s2, .*\n2 messages imported: .*\n.*Nothing shows who made them before/);

    const list = documentOf(await scene.run(["list", ...scene.place, "--json"]));
    expect(list).toMatchObject({
      backups: [
        { backup: "tank/src@s1", kind: "full", packet: "cfb", imported: true, restorable: true, streamBytes: recorded("full").length },
        { backup: "tank/src@s2", kind: "incremental", baseBackup: "tank/src@s1", restorable: true },
      ],
      damaged: [],
    });
    expect((await scene.run(["list", ...scene.place])).stdout.toString()).toMatch(/ full, imported .*\n.* incremental, imported /);
    const verify = documentOf(await scene.run(["verify", "--level", "stream", ...scene.place, ...scene.secret, "--json"]));
    expect(verify).toMatchObject({ complete: true, backups: [{ ok: true, level: "stream", sealChecked: true }, { ok: true, level: "stream", sealChecked: true }] });

    const restored = await scene.run(["restore", "tank/src", "--to", "pool/back", ...scene.place, ...scene.secret], { env: pool.env });
    expect(restored).toMatchObject({ exit: 0 });
    expect(pool.received(0)?.stream.equals(recorded("full"))).toBe(true);
    expect(pool.received(1)?.stream.equals(recorded("inc-i"))).toBe(true);

    const before = scene.objects;
    expect((await importing(scene, base)).stdout.toString()).toMatch(/^is there already: full .*\nis there already: incremental .*\n$/);
    expect(scene.objects).toEqual(before);
  });

  it("keeps its ciphertext, and the RESTORE.md beside it names the commands that restore it", async (context) => {
    const scene = new Scene();
    const base = exported(scene, context);
    await importing(scene, join(base, "s1-full"));
    const theirs = filesUnder(join(base, "s1-full")).map((name) => readFileSync(join(base, "s1-full", name)));
    const ours = scene.objects.filter((name) => name.includes(".zfs.gpg.")).map((name) => readFileSync(join(scene.store, name)));
    expect(Buffer.concat(ours).equals(Buffer.concat(theirs))).toBe(true);
    const note = scene.objects.find((name) => name.endsWith("RESTORE.md")) ?? "";
    const folder = join(scene.store, note, "..");
    const [check = ""] = [...readFileSync(join(scene.store, note), "utf8").matchAll(/```\n(.*?)```/gs)].map(([, block = ""]) => block);
    execFileSync("sh", ["-e", "-c", check], { cwd: folder });
    const decrypt = `cat src@s1.zfs.gpg.?????? | gpg1 --batch --no-tty --passphrase-file '${scene.passphraseFile}' -d`;
    expect(execFileSync("sh", ["-c", decrypt], { cwd: folder, env: { ...process.env, HOME: scene.folder }, stdio: ["ignore", "pipe", "pipe"] }).equals(recorded("full"))).toBe(true);
  });

  it("is not taken for a backup when zfs send died halfway, which ZFS2Cloud does not notice", async (context) => {
    const scene = new Scene();
    const base = exported(scene, context);
    const folder = join(base, "s1-full");
    for (const name of filesUnder(folder)) rmSync(join(folder, name));
    const command = `head -c 200000 '${fixtures}/streams/full.zfs' | ${exporters["1.2"].replace("{key}", key)} | split - --bytes 64K --suffix-length=4 --numeric-suffixes ${folder}/tank-src@s1.zfs.gpg.`;
    execFileSync("/bin/sh", ["-c", command], { env: { PATH: process.env.PATH ?? "", HOME: scene.folder }, stdio: ["ignore", "pipe", "pipe"] });
    const { exit, stdout, stderr } = await importing(scene, base);
    expect(exit).toBe(13);
    expect(stdout.toString()).toMatch(/^failed: full tank\/src@s1, .*\nimported: incremental tank\/src@s2/);
    expect(stderr).toMatch(/zferry: error: the stream is not whole|zferry: error: .*stream/);
    expect(scene.objects.filter((name) => name.includes("@s1"))).toEqual([]);
    const list = await scene.run(["list", ...scene.place]);
    expect(list.stdout.toString()).toMatch(/its base, .* is not in the store/);
  });

  it("needs its passphrase, and a wrong one changes nothing", async (context) => {
    const scene = new Scene();
    const base = exported(scene, context);
    expect(await scene.run(["import", base, ...scene.place])).toMatchObject({ exit: 12 });
    scene.write("passphrase", "another\n");
    const { exit, stderr } = await importing(scene, base);
    expect(exit).toBe(12);
    expect(stderr).toContain("check the passphrase");
    expect(scene.manifests).toEqual([]);
  });

  it("is shown by --dry-run and told by --json, and nothing is written", async (context) => {
    const scene = new Scene();
    const base = exported(scene, context);
    mkdirSync(scene.store);
    const document = documentOf(await importing(scene, base, "--dry-run", "--json"));
    expect(document).toMatchObject({
      type: "import",
      dryRun: true,
      messages: [
        { backup: "tank/src@s1", kind: "full", baseGuid: null, files: "s1-full/tank-src@s1.zfs.gpg.*", outcome: "would-import", error: null },
        { backup: "tank/src@s2", kind: "incremental", outcome: "would-import" },
      ],
    });
    expect(scene.objects).toEqual([]);
  });

  it("is no anchor: the next backup is a full, and says why", async (context) => {
    const held = { guid: String(guids.one), holds: [], ours: false };
    const [scene, pool] = [new Scene(), new Pool({ streams: ["three.zfs"], datasets: { "tank/src": { snapshots: { s1: held } } } })];
    await importing(scene, exported(scene, context));
    const { stdout, exit } = await scene.run(["backup", "--dataset", "tank/src", ...scene.place, ...scene.secret, "--dry-run"], { env: pool.env });
    expect(exit).toBe(0);
    expect(stdout.toString()).toContain("was stored by put or import, so the flags it was sent with are not known");
  });
});

it("our own chunks become backups again when their manifests were lost", async () => {
  const scene = new Scene();
  await scene.put("tank/src@s1", streamOf("one"));
  const from = join(scene.store, "streams");
  const place = ["--store", join(scene.folder, "again"), "--state-dir", scene.stateDir];
  expect(await scene.run(["import", from, ...place, ...scene.asBob])).toMatchObject({ exit: 0 });
  expect(await scene.run(["import", from, ...place, ...scene.asBob, "--quiet"])).toMatchObject({ exit: 0, stdout: Buffer.alloc(0) });
  const pool = new Pool({ datasets: {} });
  expect(await scene.run(["restore", "tank/src", "--to", "pool/back", ...place, ...scene.asBob], { env: pool.env })).toMatchObject({ exit: 0 });
  expect(pool.received(0)?.stream.equals(streamOf("one"))).toBe(true);
});
