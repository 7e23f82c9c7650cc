/** `zferry key`: as somebody with a terminal uses it, and what gpg does with what it makes. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { need } from "../systems.ts";
import { documentOf, recorded, Scene } from "./zferry.ts";

it("a passphrase added later opens every backup, and gpg opens them with it, word for word as the guide says", { timeout: 120_000 }, async (context) => {
  const gpg = need(context, "gpg");
  const scene = new Scene();
  await scene.put("tank/src@s1", recorded("full"));
  await scene.put("tank/src@s2", recorded("inc-i"));
  const before = scene.objects;
  const added = await scene.run(["key", "add", "spare", ...scene.place, ...scene.asBob, "--new-passphrase-file", scene.passphraseFile]);
  expect(added).toMatchObject({ exit: 0 });
  expect(added.stdout.toString()).toBe("added: spare, tank/src@s1\nadded: spare, tank/src@s2\n");
  expect(scene.objects.filter((name) => !before.includes(name)).map((name) => name.replace(/\/[0-9a-f]{8}\//, "/…/"))).toEqual([
    "streams/tank/src@s1/…/KEY-spare.pgp",
    "streams/tank/src@s2/…/KEY-spare.pgp",
  ]);
  expect(await scene.run(["get", "tank/src@s1", ...scene.place, ...scene.secret])).toMatchObject({ exit: 0, stdout: recorded("full") });
  expect(await scene.run(["verify", "--level", "exists", ...scene.place])).toMatchObject({ exit: 0 });

  const [object = ""] = scene.objects.filter((name) => name.endsWith("KEY-spare.pgp"));
  const home = mkdtempSync(join(tmpdir(), "zf-"));
  onTestFinished(() => {
    spawnSync("gpgconf", ["--kill", "all"], { env: { ...process.env, GNUPGHOME: home } });
    rmSync(home, { recursive: true, force: true });
  });
  const script = `cat KEY-spare.pgp src@s1.zfs.gpg.* | '${gpg}' --batch --no-tty --pinentry-mode loopback --passphrase-file '${scene.passphraseFile}' -d`;
  const options = { cwd: join(scene.store, dirname(object)), env: { ...process.env, GNUPGHOME: home } };
  expect(execFileSync("bash", ["-c", `set -o pipefail; ${script}`], { ...options, stdio: ["ignore", "pipe", "pipe"] }).equals(recorded("full"))).toBe(true);
});

it("keys are listed, and those that were added go again with --yes", async () => {
  const scene = new Scene();
  await scene.put("tank/src@s1", recorded("inc-i"));
  const alice = ["--new-recipient", scene.certificate("alice")];
  expect(await scene.run(["key", "add", "alice", "tank/src@s1", ...scene.place, ...scene.asBob, ...alice])).toMatchObject({ exit: 0 });
  const list = await scene.run(["key", "list", "tank/src", ...scene.place]);
  expect(list.stdout.toString()).toMatch(/^backup +made for +added\ntank\/src@s1 +certificate [0-9a-f]{16} +alice \(certificate [0-9a-f]{16}\)\n$/i);
  expect(documentOf(await scene.run(["key", "list", ...scene.place, "--json"]))).toMatchObject({
    type: "key-list",
    backups: [{ backup: "tank/src@s1", keys: [{ name: null, passphraseCount: 0, keyIds: [expect.any(String)] }, { name: "alice", keyIds: [expect.any(String)] }] }],
  });
  const remove = ["key", "remove", "alice", ...scene.place, ...scene.asBob];
  const shown = await scene.run(remove);
  expect(shown).toMatchObject({ exit: 0, stdout: Buffer.from("would go: alice, tank/src@s1\n") });
  expect(shown.stderr).toContain("--yes");
  expect(documentOf(await scene.run([...remove, "--yes", "--json"]))).toEqual({ type: "key-remove", name: "alice", backups: [{ backup: "tank/src@s1", outcome: "removed", error: null }] });
  expect(scene.objects.filter((name) => name.includes("KEY-"))).toEqual([]);
});

it.for([
  ["no key to add", ["add", "spare"], 2, /no key to add is given/],
  ["a name that is none", ["add", "../spare"], 2, /is no name for a key/],
  ["a dataset that is not there", ["list", "tank/other"], 10, /there is no backup of "tank\/other"/],
  ["no key that opens them", ["remove", "spare"], 12, /needs the private key/],
] as const)("is refused with %s", async ([, words, status, why]) => {
  const scene = new Scene();
  await scene.put("tank/src@s1", recorded("inc-i"));
  if (words[0] === "remove") await scene.run(["key", "add", "spare", ...scene.place, ...scene.asBob, "--new-recipient", scene.certificate("alice")]);
  const { exit, stderr } = await scene.run(["key", ...words, ...scene.place]);
  expect(stderr).toMatch(why);
  expect(exit).toBe(status);
});

it("--quiet leaves what would go, and not what was done", async () => {
  const scene = new Scene();
  await scene.put("tank/src@s1", recorded("inc-i"));
  const key = async (...words: string[]): Promise<[number | null, string]> => {
    const { exit, stdout } = await scene.run(["key", ...words, ...scene.place, ...scene.asBob, "--quiet"]);
    return [exit, stdout.toString()];
  };
  expect(await key("add", "alice", "--new-recipient", scene.certificate("alice"))).toEqual([0, ""]);
  expect(await key("remove", "alice")).toEqual([0, "would go: alice, tank/src@s1\n"]);
  expect(await key("remove", "alice", "--yes")).toEqual([0, ""]);
});
