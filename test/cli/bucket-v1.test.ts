/**
 * The promise to whoever stored anything with the first format: every later version lists, verifies and restores it.
 */
import { createHash } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { documentOf, fixtures, recorded, Scene } from "./zferry.ts";

const bucket = join(fixtures, "bucket-v1");
const streams = { "tank/src@s1": "full", "tank/src@s2": "inc-i", "tank/cfb@e1": "embedded-e", "tank/rfc9580@e1": "embedded-e", "tank/none@e1": "embedded-e" };

/** A scene whose store is the old bucket. */
function old(): Scene {
  const scene = new Scene();
  cpSync(join(bucket, "store"), scene.store, { recursive: true });
  return scene;
}

/** Gives the scene the state file of the host that wrote the bucket. */
function remember(scene: Scene): void {
  const url = pathToFileURL(scene.store).href;
  const id = createHash("sha256").update(url).digest("hex").slice(0, 8);
  const text = readFileSync(join(bucket, "state.json"), "utf8").replace('"0000000"', `"${id}"`).replace("file:///STORE", url);
  mkdirSync(scene.stateDir);
  chmodSync(scene.stateDir, 0o700);
  scene.write(join("state", "state.json"), text);
}

it("what the first format stored is listed, and all of it can be restored", async () => {
  const scene = old();
  const { backups, damaged } = documentOf(await scene.run(["list", ...scene.place, "--json"])) as { backups: { backup: string; restorable: boolean }[]; damaged: unknown[] };
  expect(backups.map(({ backup }) => backup).sort()).toEqual(Object.keys(streams).sort());
  expect(backups.filter(({ restorable }) => !restorable)).toEqual([]);
  expect(damaged).toEqual([]);
});

it("verify finds nothing in it, down to the records of the streams and the seals of the manifests", async () => {
  const scene = old();
  const ended = await scene.run(["verify", ...scene.place, ...scene.secret, "--level", "stream", "--json"]);
  expect(ended.exit).toBe(0);
  const { complete, backups } = documentOf(ended) as { complete: boolean; backups: { level: string; ok: boolean; sealChecked: boolean; backup: string }[] };
  expect(complete).toBe(true);
  expect(backups).toHaveLength(5);
  for (const { backup, level, ok, sealChecked } of backups) expect({ backup, level, ok, sealChecked }).toEqual({ backup, level: "stream", ok: true, sealChecked: true });
});

it.for(Object.entries(streams))("%s comes back as the stream it was, %s", async ([backup, stream]) => {
  const scene = old();
  const { stdout, exit } = await scene.run(["get", backup, ...scene.place, ...scene.secret]);
  expect(exit).toBe(0);
  expect(stdout.equals(recorded(stream))).toBe(true);
});

it("the certificate that was a recipient then opens it still", async () => {
  const scene = old();
  const alice = ["--private-key", scene.privateKey("alice"), "--passphrase-file", scene.write("alice", "alice's passphrase\n")];
  const { stdout, exit, stderr } = await scene.run(["get", "tank/src@s2", ...scene.place, ...alice]);
  expect(exit, stderr).toBe(0);
  expect(stdout.equals(recorded("inc-i"))).toBe(true);
});

it("the state file of then is understood: what it remembers and the store has lost is found", async () => {
  const scene = old();
  remember(scene);
  expect((await scene.run(["verify", ...scene.place, "--level", "exists"])).exit).toBe(0);
  rmSync(join(scene.store, "manifests", "tank", "none@e1.json"));
  const ended = await scene.run(["verify", ...scene.place, "--level", "exists", "--json"]);
  expect(ended.exit).not.toBe(0);
  expect(ended.stdout.toString()).toContain('"rolled-back"');
});
