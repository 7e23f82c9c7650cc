/**
 * Restoring without zferry, by the commands that RESTORE.md names, and restoring with zferry what other programs wrote.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished, type TestContext } from "vitest";
import { need } from "../systems.ts";
import { Pool, streamOf } from "./pool.ts";
import { filesUnder, fixtures, passphrase, recorded, Scene } from "./zferry.ts";

/** A home for gpg; its agent ends with the test. With `typed`, its configuration holds what a person would type in. */
function gpgHome(typed: Scene | null = null): string {
  const home = mkdtempSync(join(tmpdir(), "zf-")); // short: the path of the agent's socket is limited to 107 bytes
  onTestFinished(() => {
    spawnSync("gpgconf", ["--kill", "all"], { env: { ...process.env, GNUPGHOME: home } });
    rmSync(home, { recursive: true, force: true });
  });
  if (typed !== null) {
    writeFileSync(join(home, "gpg.conf"), `batch\nno-tty\npinentry-mode loopback\npassphrase-file ${typed.passphraseFile}\n`);
  }
  return home;
}

/** Runs a script as a person on a rescue system would, in `folder`. */
function bash(folder: string, script: string, env: Readonly<Record<string, string>>): Buffer {
  const path = `${join(fixtures, "bin")}:${process.env.PATH ?? ""}`;
  const options = { cwd: folder, env: { ...env, PATH: path, LC_ALL: "C" }, maxBuffer: 2 ** 26 };
  return execFileSync("bash", ["--norc", "-c", `set -e\n${script}`], { ...options, stdio: ["ignore", "pipe", "pipe"] });
}

async function attemptOf(scene: Scene, packet: string): Promise<string> {
  const locks = packet === "none" ? [] : scene.secret;
  await scene.put("tank/src@s1", recorded("full"), "--packet", packet, ...locks);
  const note = filesUnder(scene.store).find((file) => file.endsWith("RESTORE.md")) ?? "";
  return join(scene.store, dirname(note));
}

/** The commands in a Markdown text, block by block. */
function commandsIn(text: string): string[] {
  return [...text.matchAll(/```\n(.*?)```/gs)].map(([, block = ""]) => block);
}

describe("without zferry", () => {
  it.for(["ocb", "cfb"])("gpg decrypts the concatenated chunks, with packet %s", async (packet, context) => {
    need(context, "gpg");
    const scene = new Scene();
    const folder = await attemptOf(scene, packet);
    const decrypt = `gpg --batch --no-tty --pinentry-mode loopback --passphrase-file '${scene.passphraseFile}' -d`;
    const stream = bash(folder, `set -o pipefail; cat *.zfs.gpg.* | ${decrypt}`, { GNUPGHOME: gpgHome() });
    expect(stream.equals(recorded("full"))).toBe(true);
  });

  it.for([
    ["ocb", "block_filter: pending bytes!"],
    ["cfb", "decryption failed: Bad session key"],
  ] as const)("with a wrong passphrase gpg gives nothing and complains as the rescue guide says, with packet %s", async ([packet, words], context) => {
    need(context, "gpg");
    const scene = new Scene();
    const folder = await attemptOf(scene, packet);
    const [chunk = ""] = filesUnder(folder).filter((name) => name.endsWith(".000000"));
    const wrong = scene.write("wrong", "nothing like it\n");
    const { stdout, stderr, status } = spawnSync("gpg", ["--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase-file", wrong, "-d", join(folder, chunk)], { env: { ...process.env, GNUPGHOME: gpgHome(), LC_ALL: "C" }, encoding: "utf8" });
    expect({ stdout, status }).toEqual({ stdout: "", status: 2 });
    expect(stderr).toContain(words);
    expect(readFileSync(join(folder, "RESTORE.md"), "utf8")).toContain("the passphrase is wrong, and not the backup");
    expect(readFileSync(new URL("../../docs/guides/rescue.md", import.meta.url), "utf8").replaceAll("\n", " ")).toContain(`\`${words}\``);
  });

  it.for(["ocb", "cfb"])("rnp decrypts them too, with packet %s", async (packet, context) => {
    need(context, "rnp");
    const scene = new Scene();
    const folder = await attemptOf(scene, packet);
    const script = `cat *.zfs.gpg.* > ../message; rnp --homedir "$HOME" -d --password '${passphrase}' --output - ../message`;
    expect(bash(folder, script, { HOME: scene.folder }).equals(recorded("full"))).toBe(true);
  });

  it.for(["ocb", "cfb", "none"])("RESTORE.md's commands restore, word for word, with packet %s", async (packet, context) => {
    need(context, "gpg");
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    const folder = await attemptOf(scene, packet);
    const [check = "", restore = ""] = commandsIn(readFileSync(join(folder, "RESTORE.md"), "utf8"));
    const checked = bash(folder, check, {}).toString();
    expect(checked.match(/: OK\n/g)).toHaveLength(8);
    bash(folder, restore, { GNUPGHOME: gpgHome(scene), ...pool.env });
    const received = pool.received(0);
    expect(received).toMatchObject({ target: "POOL/src", args: ["-u", "POOL/src"], ended: true });
    expect(received?.stream.equals(recorded("full"))).toBe(true);
  });

  it("RESTORE.md's check finds a changed file", async () => {
    const scene = new Scene();
    const folder = await attemptOf(scene, "cfb");
    const [check = ""] = commandsIn(readFileSync(join(folder, "RESTORE.md"), "utf8"));
    truncateSync(join(folder, "src@s1.zfs.gpg.000003"), 65_535);
    expect(() => bash(folder, check, {})).toThrow("Command failed");
  });
});

describe("what ZFS2Cloud wrote", () => {
  /** What each command line wrote: deriving the key takes gpg longer than all the rest. */
  const written = new Map<string, ReadonlyMap<string, Buffer>>();

  /** The folder that `zfs send | gpg -c | split -d -a 4` makes, as ZFS2Cloud has it. */
  function chunksWritten(scene: Scene, context: TestContext, program: "gpg" | "gpg1" = "gpg", extra = ""): string {
    need(context, program);
    const folder = join(scene.folder, "zfs2cloud");
    mkdirSync(folder);
    const files = written.get(program + extra);
    if (files === undefined) {
      const options = program === "gpg" ? "--pinentry-mode loopback" : "";
      const encrypt = `${program} --batch --no-tty ${options} --passphrase-file '${scene.passphraseFile}' --compress-algo none ${extra} -c -o -`;
      const stream = scene.write("stream", recorded("full"));
      const script = `set -o pipefail; cat '${stream}' | ${encrypt} | split -b 64K -d -a 4 - tank-src@s1.zfs.gpg.`;
      bash(folder, script, { GNUPGHOME: gpgHome(), HOME: scene.folder });
      written.set(program + extra, new Map(filesUnder(folder).map((name) => [name, readFileSync(join(folder, name))])));
    }
    for (const [name, bytes] of files ?? []) writeFileSync(join(folder, name), bytes);
    return folder;
  }

  async function restore(scene: Scene, pool: Pool, folder: string, ...flags: string[]): Promise<{ exit: number | null; stderr: string }> {
    return scene.run(["restore", "tank/src@s1", "--from", folder, "--to", "pool/back", ...scene.secret, ...flags], { env: pool.env });
  }

  it.for([
    ["gpg", "gpg", ""],
    ["gpg with AES-128 and SHA-1", "gpg", "--cipher-algo AES --s2k-digest-algo SHA1"],
    ["gpg 1.4", "gpg1", "--force-mdc"],
  ] as const)("with %s restores from its folder", async ([, program, extra], context) => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    const folder = chunksWritten(scene, context, program, extra);
    const { exit, stderr } = await restore(scene, pool, folder);
    expect(stderr).toContain("holds chunks without a manifest");
    expect(exit).toBe(0);
    expect(pool.received(0)?.stream.equals(recorded("full"))).toBe(true);
  });

  it("restores from the folder above, from a file:// URL, and shows what it would do", async (context) => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    const folder = chunksWritten(scene, context);
    const plan = await scene.run(["restore", "tank/src@s1", "--from", folder, "--to", "pool/back", "--dry-run", "--json", ...scene.secret], { env: pool.env });
    expect(plan.exit).toBe(0);
    expect(JSON.parse(plan.stdout.toString())).toMatchObject({ type: "restore", dryRun: true, files: expect.arrayContaining([`${folder}/tank-src@s1.zfs.gpg.0000`]) as string[] });
    expect(pool.calls("receive")).toEqual([]);
    expect(await restore(scene, pool, `file://${dirname(folder)}`)).toMatchObject({ exit: 0 });
    expect(pool.received(0)?.stream.equals(recorded("full"))).toBe(true);
  });

  it.for([
    ["a file in the middle is missing", (folder) => { rmSync(join(folder, "tank-src@s1.zfs.gpg.0003")); }, 13],
    ["the last file is missing", (folder) => { rmSync(join(folder, "tank-src@s1.zfs.gpg.0007")); }, 13],
    ["a byte is changed", (folder) => { change(join(folder, "tank-src@s1.zfs.gpg.0002"), 100); }, 13],
    ["the last byte is changed", (folder) => { change(join(folder, "tank-src@s1.zfs.gpg.0007"), -1); }, 13],
    ["the passphrase is another one", (_, scene) => { scene.write("passphrase", "another\n"); }, 12],
  ] as [string, (folder: string, scene: Scene) => void, number][])("is not received when %s", async ([, harm, status], context) => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    const folder = chunksWritten(scene, context);
    harm(folder, scene);
    const { exit, stderr } = await restore(scene, pool, folder);
    expect(stderr).toContain("zferry: hint: ");
    expect(exit).toBe(status);
    expect(pool.received(0)?.ended ?? false).toBe(false);
    expect(pool.state.datasets).toEqual({});
  });

  it("a full is not received over a dataset that exists", async (context) => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: { "pool/back": { snapshots: {} } } })];
    const folder = chunksWritten(scene, context);
    expect(await restore(scene, pool, folder)).toMatchObject({ exit: 14 });
    expect(pool.received(0)?.ended ?? false).toBe(false);
    expect(await restore(scene, pool, folder, "--force")).toMatchObject({ exit: 0 });
  });
});

it("our own chunks restore without their manifest, when nothing else is left", async () => {
  const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
  await scene.put("tank/src@s1", streamOf("one"));
  const [chunk = ""] = filesUnder(scene.store).filter((file) => file.includes(".zfs.gpg."));
  rmSync(join(scene.store, "manifests"), { recursive: true });
  const words = ["restore", "tank/src@s1", "--from", join(scene.store, dirname(chunk)), "--to", "pool/back", ...scene.asBob];
  expect(await scene.run(words, { env: pool.env })).toMatchObject({ exit: 0 });
  expect(pool.received(0)?.stream.equals(streamOf("one"))).toBe(true);
});

function change(file: string, at: number): void {
  const bytes = readFileSync(file);
  const place = at < 0 ? bytes.length + at : at;
  bytes.writeUInt8(bytes.readUInt8(place) ^ 4, place);
  writeFileSync(file, bytes);
}
