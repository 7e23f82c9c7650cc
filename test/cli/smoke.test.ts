/** `npm run smoke`: the test for real endpoints runs here against a folder and, where there is one, a local S3 server. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { built } from "../build.ts";
import { newBucket } from "../system/bucket.ts";
import { need } from "../systems.ts";
import { filesUnder, Scene } from "./zferry.ts";

const script = fileURLToPath(new URL("../smoke.mjs", import.meta.url));
const patience = { timeout: 180_000 };

async function smoke(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ exit: number | null; said: string }> {
  await built();
  const child = spawn(process.execPath, [script, ...words], { env: { ...process.env, ...env } });
  const [stdout, stderr, [exit]] = (await Promise.all([buffer(child.stdout), buffer(child.stderr), once(child, "exit")])) as [Buffer, Buffer, [number | null]];
  return { exit, said: `${stdout.toString()}${stderr.toString()}` };
}

it("passes on a folder, sweeps what it killed, and leaves the folder as it was", patience, async () => {
  const scene = new Scene();
  scene.write("store/manifests/mine.json", "mine");
  const { exit, said } = await smoke(["--store", scene.store, "--passphrase-file", scene.passphraseFile]);
  expect(said).toMatch(/smoke: 12 steps passed\n$/);
  expect(exit).toBe(0);
  expect(Number(/about (\d+) MB/.exec(said)?.[1])).toBeLessThanOrEqual(100);
  expect(filesUnder(scene.store)).toEqual(["manifests/mine.json"]);
});

it("a store that cannot be used is told, with exit 1, and nothing is left behind", patience, async () => {
  const scene = new Scene();
  mkdirSync(scene.store);
  const { exit, said } = await smoke(["--store", scene.store, "--passphrase-file", `${scene.folder}/none`]);
  expect(exit).toBe(1);
  expect(said).toMatch(/smoke: failed: .*put ended with 2/);
  expect(filesUnder(scene.store)).toEqual([]);
});

it("without a store it says how it is used", patience, async () => {
  expect(await smoke([])).toMatchObject({ exit: 2, said: expect.stringContaining("--store URL") as string });
});

it("passes on a real S3 server, and leaves no object and no upload", patience, async (context) => {
  const bucket = await newBucket(need(context, "s3"));
  const { exit, said } = await smoke(["--store", bucket.url], bucket.env);
  expect(said).toMatch(/smoke: 12 steps passed\n$/);
  expect(exit).toBe(0);
  expect(await bucket.keys()).toEqual([]);
  expect(await bucket.openUploadCount()).toBe(0);
});
