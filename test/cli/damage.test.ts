/**
 * A store that lies: one flipped byte anywhere, and chunks missing, swapped, cut, or taken from elsewhere. Each is exit
 * 13, and the receiver never gets the END record that would make it commit.
 */
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { KiB } from "../../src/bytes.ts";
import { chunkKey, manifestKey } from "../../src/format/layout.ts";
import { exitStatus, get, type Keyring, type Manifest, MemoryStore, parseSnapshotName, put } from "../../src/index.ts";
import { collect, fixtureKey, sliced } from "../openpgp/sample.ts";
import { Pool, streamOf } from "./pool.ts";
import { filesUnder, recorded, Scene, unlocked } from "./zferry.ts";

const backup = parseSnapshotName("tank/src@one");
const stream = recorded("full");
const { signal } = new AbortController();
const quiet = { onRead: () => undefined, onStored: () => undefined, warn: () => undefined };
const endBytes = 312;
let keyring: Keyring;

beforeAll(async () => {
  keyring = await unlocked("alice");
});

interface Stored {
  readonly store: MemoryStore;
  readonly manifest: Manifest;
  /** The objects' bytes by key: the chunks in order, then the manifest. */
  readonly objects: ReadonlyMap<string, Buffer>;
}

async function stored(packet: "ocb" | "cfb"): Promise<Stored> {
  const store = new MemoryStore();
  const recipients = { passphrases: [], certificates: [fixtureKey("alice").certificate] };
  const settings = { packet, recipients, chunkBytes: 128 * KiB, partBytes: 32 * KiB };
  const manifest = await put({ store, backup, open: () => sliced(stream), settings, stateDir: null, progress: quiet, signal });
  const keys = [...manifest.chunks.keys()].map((index) => chunkKey(backup, manifest.attempt, packet, index));
  const objects = new Map<string, Buffer>();
  for (const key of [...keys, manifestKey(backup)]) objects.set(key, await collect(store.get(key, { signal })));
  return { store, manifest, objects };
}

/** How a get of that store ends: its exit status, and how many bytes it gave away. */
async function fetched(store: MemoryStore): Promise<{ exit: number; bytes: number }> {
  const options = { keyring, allowUnauthenticated: false, concurrency: 2, onFetched: () => undefined, warn: () => undefined, signal };
  let bytes = 0;
  try {
    for await (const slice of get(store, backup, options)) bytes += slice.length;
  } catch (error) {
    return { exit: exitStatus(error), bytes };
  }
  return { exit: 0, bytes };
}

/** Flips one bit of the byte at `at`, another one for each place. */
function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (at % 8)), at);
  return copy;
}

function evenly(from: number, to: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => from + Math.floor(((to - from) * index) / count));
}

/** Places in the message: its session-key packet, the head of the data, every chunk's ends, between, and the last tag. */
function placesInMessage({ manifest, objects }: Stored): { key: string; at: number }[] {
  const [keyBytes, total] = [Buffer.from(manifest.encryption.sessionKeyPackets ?? "", "base64").length, manifest.messageBytes];
  const { chunkBytes } = manifest;
  const ends = manifest.chunks.flatMap(({ sizeBytes }, index) => [index * chunkBytes, index * chunkBytes + sizeBytes - 1]);
  const places = [...evenly(0, keyBytes, 8), ...evenly(keyBytes, keyBytes + 64, 12), ...ends, ...evenly(0, total, 16), ...evenly(total - 48, total, 12)];
  const keys = [...objects.keys()];
  return [...new Set(places)].map((at) => ({ key: keys[Math.floor(at / chunkBytes)] ?? "", at: at % chunkBytes }));
}

/** Places in the manifest: in the name and in the value of each member, its punctuation, its seal and its last bytes. */
function placesInManifest(file: Buffer): number[] {
  const members = [...file.toString("latin1").matchAll(/"[A-Za-z0-9]+":/g)].slice(0, 40);
  const [seal, length] = [file.lastIndexOf('"seal"'), file.length];
  return [0, 1, ...members.flatMap(({ index, 0: name }) => [index + 2, index + name.length + 1]), ...evenly(seal, length, 12), length - 2, length - 1];
}

describe.each(["ocb", "cfb"] as const)("one flipped bit, with packet %s", (packet) => {
  it("anywhere in the chunks is found, and END stays here", async () => {
    const before = await stored(packet);
    const places = placesInMessage(before);
    expect(places.length).toBeGreaterThan(40);
    for (const { key, at } of places) {
      const original = before.objects.get(key) ?? Buffer.alloc(0);
      await before.store.put(key, flipped(original, at), { when: "replace", signal });
      const { exit, bytes } = await fetched(before.store);
      expect({ key, at, exit, withheld: bytes <= stream.length - endBytes }).toEqual({ key, at, exit: 13, withheld: true });
      await before.store.put(key, original, { when: "replace", signal });
    }
    expect(await fetched(before.store)).toEqual({ exit: 0, bytes: stream.length });
  });

  it("anywhere in the manifest is found before a byte is given away", async () => {
    const { store, objects } = await stored(packet);
    const key = manifestKey(backup);
    const original = objects.get(key) ?? Buffer.alloc(0);
    const places = placesInManifest(original);
    expect(places.length).toBeGreaterThan(60);
    for (const at of places) {
      await store.put(key, flipped(original, at), { when: "replace", signal });
      expect({ at, ...(await fetched(store)) }).toEqual({ at, exit: 13, bytes: 0 });
    }
  });
});

describe.each(["ocb", "cfb"] as const)("someone who can write to the store, with packet %s", (packet) => {
  /** Edits the manifest and gives it a right checksum, which takes no key. */
  async function forged(edit: (manifest: Record<string, never> & Manifest) => void): Promise<{ exit: number; bytes: number }> {
    const { store, objects } = await stored(packet);
    const key = manifestKey(backup);
    const original = objects.get(key)?.toString() ?? "";
    const value = JSON.parse(original) as Record<string, never> & Manifest & { seal?: string };
    const hmac = value.seal?.split(":")[2] ?? "";
    delete value.seal;
    edit(value);
    const body = JSON.stringify(value, null, 1).slice(0, -2);
    const sum = createHash("sha256").update(body).digest("hex");
    await store.put(key, Buffer.from(`${body},"seal":"v1:${sum}:${hmac}"}\n`), { when: "replace", signal });
    return fetched(store);
  }

  it("changes nothing by writing the same again", async () => {
    expect(await forged(() => undefined)).toEqual({ exit: 0, bytes: stream.length });
  });

  it.for([
    ["the snapshot's guid", (manifest: Manifest) => Object.assign(manifest.snapshot, { guid: "1" })],
    ["a chunk's digest", (manifest: Manifest) => Object.assign(manifest.chunks[1] ?? {}, { sha256: "0".repeat(64) })],
    ["the order of chunks", (manifest: Manifest) => manifest.chunks.splice(0, 2, ...manifest.chunks.slice(0, 2).reverse())],
    ["the number of chunks", (manifest: Manifest) => Object.assign(manifest, { messageBytes: manifest.messageBytes - (manifest.chunks.pop()?.sizeBytes ?? 0) })],
    ["when it was committed", (manifest: Manifest) => Object.assign(manifest, { committedAt: "2020-01-01T00:00:00.000Z" })],
    ["a member nobody knows", (manifest: Manifest) => Object.assign(manifest, { added: true })],
  ] as const)("cannot change %s", async ([, edit]) => {
    expect(await forged((manifest) => void edit(manifest))).toEqual({ exit: 13, bytes: 0 });
  });

  it("cannot take the seal's key away", async () => {
    const { store, objects } = await stored(packet);
    const original = objects.get(manifestKey(backup))?.toString() ?? "";
    await store.put(manifestKey(backup), Buffer.from(original.replace(/:[0-9a-f]{64}"}\n$/, ':unkeyed"}\n')), { when: "replace", signal });
    expect(await fetched(store)).toEqual({ exit: 13, bytes: 0 });
  });
});

describe("restore never lets zfs recv commit", () => {
  const chunks = (scene: Scene): string[] => filesUnder(scene.store).filter((file) => file.includes(".zfs.gpg.")).map((file) => join(scene.store, file));
  const at = (files: readonly string[], index: number): string => files.at(index) ?? "";

  it.for([
    ["a flipped bit in the first chunk", (files) => { writeFileSync(at(files, 0), flipped(readFileSync(at(files, 0)), 5000)); }],
    ["a flipped bit in the last byte of all", (files) => { writeFileSync(at(files, -1), flipped(readFileSync(at(files, -1)), readFileSync(at(files, -1)).length - 1)); }],
    ["a missing chunk", (files) => { rmSync(at(files, 3)); }],
    ["the last chunk missing", (files) => { rmSync(at(files, -1)); }],
    ["two neighbours swapped", (files) => {
      renameSync(at(files, 2), `${at(files, 2)}.away`);
      renameSync(at(files, 3), at(files, 2));
      renameSync(`${at(files, 2)}.away`, at(files, 3));
    }],
    ["a chunk cut short", (files) => { truncateSync(at(files, 4), 1000); }],
    ["an empty chunk", (files) => { truncateSync(at(files, 4), 0); }],
    ["a chunk grown longer", (files) => { writeFileSync(at(files, -1), Buffer.alloc(100), { flag: "a" }); }],
  ] as [string, (files: readonly string[]) => void][])("when there is %s", async ([, harm]) => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    await scene.put("tank/src@one", streamOf("one"));
    harm(chunks(scene));
    await expectRefused(scene, pool);
  });

  it("when a chunk is from another backup with the same keys", async () => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    await scene.put("tank/src@one", streamOf("one"));
    const mine = chunks(scene);
    await scene.put("tank/other@one", streamOf("one"));
    const foreign = chunks(scene).filter((file) => file.includes("tank/other@one"));
    copyFileSync(at(foreign, 3), at(mine, 3));
    await expectRefused(scene, pool);
  });

  it("when the whole backup is that of another name", async () => {
    const [scene, pool] = [new Scene(), new Pool({ datasets: {} })];
    await scene.put("tank/other@one", streamOf("one"));
    const manifest = readFileSync(join(scene.store, "manifests/tank/other@one.json"));
    scene.write("store/manifests/tank/src@one.json", manifest);
    const { exit, stderr } = await scene.run(["get", "tank/src@one", ...scene.place, ...scene.asBob]);
    expect(exit).toBe(13);
    expect(stderr).toContain('it is the manifest of "tank/other@one"');
    expect(pool.calls()).toEqual([]);
  });

  async function expectRefused(scene: Scene, pool: Pool): Promise<void> {
    const words = ["restore", "tank/src@one", "--to", "pool/back", ...scene.place, ...scene.asBob];
    const { exit, stderr, stdout } = await scene.run(words, { env: pool.env });
    expect(exit).toBe(13);
    expect(stderr).toContain("zferry: hint: ");
    expect(stdout.toString()).toBe("");
    const received = pool.received(0); // null when zfs recv was stopped before it could write anything down
    expect(received?.ended ?? false).toBe(false);
    expect(received?.stream.length ?? 0).toBeLessThanOrEqual(stream.length - endBytes);
    expect(pool.state.datasets).toEqual({});
    expect(pool.alive).toEqual([]);
  }
});

it("a damaged manifest is told of by list and hides no other backup", async () => {
  const scene = new Scene();
  await scene.put("tank/src@one", streamOf("one"));
  await scene.put("tank/src@two", streamOf("two"));
  const file = join(scene.store, "manifests/tank/src@two.json");
  writeFileSync(file, flipped(readFileSync(file), 100));
  const { exit, stdout, stderr } = await scene.run(["list", ...scene.place]);
  expect(stdout.toString()).toMatch(/ yes +tank\/src@one\ndamaged: manifests\/tank\/src@two\.json: /);
  expect(exit).toBe(3);
  expect(stderr).toMatch(/^zferry: error: 1 of 2 manifests cannot be used\nzferry: hint: /);
  expect((await scene.run(["list", "tank/other", ...scene.place])).exit).toBe(0);
});
