/**
 * `zferry download`: a folder that is a store, made without any key, and made whole again by the same command.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Pool, streamOf } from "./pool.ts";
import { type Ended, filesUnder, Scene } from "./zferry.ts";

async function storedScene(): Promise<{ scene: Scene; copy: string; chunks: string[] }> {
  const scene = new Scene();
  await scene.put("tank/src@one", streamOf("one"));
  await scene.put("tank/src@two", streamOf("two"));
  await scene.put("tank/src@three", streamOf("three"));
  const wanted = filesUnder(scene.store).filter((file) => !file.includes("@three"));
  return { scene, copy: join(scene.folder, "copy"), chunks: wanted.filter((file) => file.includes(".zfs.gpg.")) };
}

function download(scene: Scene, copy: string): Promise<Ended> {
  return scene.run(["download", "tank/src@two", copy, ...scene.place]);
}

function bytesOf(folder: string): Map<string, string> {
  return new Map(filesUnder(folder).map((file) => [file, readFileSync(join(folder, file)).toString("base64")]));
}

it("the folder holds the backup and its full, as they are, and restores by itself", async () => {
  const { scene, copy } = await storedScene();
  const { exit, stdout } = await download(scene, copy);
  expect(exit).toBe(0);
  expect(stdout.toString()).toContain(`restore from there with: zferry restore tank/src@two --from ${copy} --to TARGET`);
  const wanted = [...bytesOf(scene.store)].filter(([file]) => !file.includes("@three"));
  expect([...bytesOf(copy)]).toEqual(wanted);

  rmSync(scene.store, { recursive: true });
  const pool = new Pool({ datasets: {} });
  const words = ["restore", "tank/src@two", "--from", copy, "--to", "pool/back", "--state-dir", scene.stateDir, ...scene.asBob];
  expect(await scene.run(words, { env: pool.env })).toMatchObject({ exit: 0 });
  expect(pool.received(0)?.stream.equals(streamOf("one"))).toBe(true);
  expect(pool.received(1)?.stream.equals(streamOf("two"))).toBe(true);
});

it("a second download fetches no chunk again: it succeeds although the store has lost them all", async () => {
  const { scene, copy, chunks } = await storedScene();
  expect(await download(scene, copy)).toMatchObject({ exit: 0 });
  for (const chunk of chunks) rmSync(join(scene.store, chunk));
  const before = bytesOf(copy);
  expect(await download(scene, copy)).toMatchObject({ exit: 0 });
  expect(bytesOf(copy)).toEqual(before);
});

it("damaged, cut and missing chunks of the folder are fetched again, and only those", async () => {
  const { scene, copy, chunks } = await storedScene();
  await download(scene, copy);
  const before = bytesOf(copy);
  const [flipped = "", cut = "", missing = "", ...kept] = chunks;
  writeFileSync(join(copy, flipped), Buffer.alloc(readFileSync(join(copy, flipped)).length, 1));
  truncateSync(join(copy, cut), 100);
  rmSync(join(copy, missing));
  for (const chunk of kept) rmSync(join(scene.store, chunk));
  expect(await download(scene, copy)).toMatchObject({ exit: 0 });
  expect(bytesOf(copy)).toEqual(before);
});

it("a chunk that is damaged in the store is not taken, and the folder gets no manifest", async () => {
  const { scene, copy, chunks } = await storedScene();
  const file = join(scene.store, chunks[2] ?? "");
  writeFileSync(file, Buffer.alloc(readFileSync(file).length, 1));
  const { exit, stderr } = await download(scene, copy);
  expect(exit).toBe(13);
  expect(stderr).toContain("zferry: hint: ");
  expect(filesUnder(copy).filter((name) => name.startsWith("manifests/") || name === chunks[2])).toEqual([]);
});

it("a folder that holds another try of the same backup gets the present one", async () => {
  const { scene, copy } = await storedScene();
  await download(scene, copy);
  rmSync(scene.store, { recursive: true });
  mkdirSync(scene.store);
  await scene.put("tank/src@one", streamOf("one"));
  await scene.put("tank/src@two", streamOf("two"));
  expect(await download(scene, copy)).toMatchObject({ exit: 0 });
  const list = await scene.run(["list", "--store", copy, "--state-dir", scene.stateDir]);
  expect(list.stdout.toString().match(/ yes /g)).toHaveLength(2);
  const words = ["get", "tank/src@two", "--store", copy, "--state-dir", scene.stateDir, ...scene.asBob];
  expect((await scene.run(words)).stdout.equals(Buffer.from(streamOf("two")))).toBe(true);
});

it("a copied store is a store: nothing in it knows where it was", async () => {
  const { scene, copy } = await storedScene();
  cpSync(scene.store, copy, { recursive: true });
  rmSync(scene.store, { recursive: true });
  const words = ["get", "tank/src@three", "--store", copy, "--state-dir", scene.stateDir, ...scene.asBob];
  expect((await scene.run(words)).stdout.equals(Buffer.from(streamOf("three")))).toBe(true);
});
