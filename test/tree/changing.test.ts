/** Files that change, go, or cannot be read while a run is at them, as in a view of the user's own commands. */
import { execFileSync } from "node:child_process";
import { appendFileSync, chmodSync, chownSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, it } from "vitest";
import { KiB, TiB } from "../../src/bytes.ts";
import type { PacketName } from "../../src/format/layout.ts";
import type { NotedObject, StoredObject, UploadOptions } from "../../src/store/store.ts";
import { described } from "../plain/tree.ts";
import { patternOf } from "../store.bodies.ts";
import { NotedMemory } from "./noted-memory.ts";
import { keepLast, signal, TreeScene } from "./scene.ts";

const look = (folder: string): readonly string[] => described(folder, { hardLinks: true });

/** Does something to the tree at a moment of a run. */
class Meddling extends NotedMemory {
  /** When the file `f` is open and nothing of it is read. */
  atOpen: () => void = () => undefined;
  /** When its first piece of several is read. */
  atFirst: () => void = () => undefined;
  /** When it was found as it had been, and before it is opened. */
  atLook: () => void = () => undefined;

  override async upload(options: UploadOptions): Promise<StoredObject> {
    if (!options.key.endsWith("/f")) return super.upload(options);
    this.atOpen();
    return super.upload({ ...options, body: this.#meddled(options.body) });
  }

  override async noted(key: string, options: { readonly signal: AbortSignal }): Promise<NotedObject | null> {
    if (key.endsWith("/f")) this.atLook();
    return super.noted(key, options);
  }

  async *#meddled(body: UploadOptions["body"]): AsyncGenerator<Uint8Array> {
    let count = 0;
    for await (const piece of body) {
      yield piece;
      count += 1;
      if (count === 1) this.atFirst();
    }
  }
}

function meddled(sizeBytes: number): { scene: TreeScene; store: Meddling; f: string } {
  const store = new Meddling();
  const scene = new TreeScene(store);
  const f = join(scene.tree, "f");
  writeFileSync(f, patternOf(sizeBytes));
  writeFileSync(join(scene.tree, "z"), "beside");
  return { scene, store, f };
}

describe("a file that changes while it is read", () => {
  const size = 600 * KiB;
  it.each<[what: string, packet: PacketName, change: (f: string) => void, restoredBytes: number]>([
    ["grows", "none", (f) => { appendFileSync(f, "more"); }, size],
    ["shrinks", "none", (f) => { truncateSync(f, 300 * KiB); }, 300 * KiB],
    ["shrinks", "ocb", (f) => { truncateSync(f, 300 * KiB); }, 300 * KiB],
    ["is cut off at once", "none", (f) => { truncateSync(f, 0); }, 256 * KiB],
    ["is written to", "none", (f) => { writeFileSync(f, "X", { flag: "r+" }); }, size],
  ])("and %s is stored as it was read, with packet %s, told, and sent again", async (_what, packet, change, bytes) => {
    const { scene, store, f } = meddled(size);
    if (packet === "ocb") [scene.packet, scene.passphrases] = [packet, ["a secret of this test"]];
    store.atFirst = () => { change(f); };
    expect(await scene.save({ keep: keepLast(1) })).toMatchObject({ changedCount: 1, unreadableCount: 0, fileCount: 2 });
    expect(scene.warnings).toEqual(["1 files changed while they were read, and are stored as they were at that moment"]);
    expect(readFileSync(join((await scene.bring()).into, "f")).equals(patternOf(size).subarray(0, bytes))).toBe(true);
    store.atFirst = () => undefined;
    expect(await scene.save({ keep: keepLast(1) })).toMatchObject({ changedCount: 0, sentCount: statSync(f).size === 0 ? 0 : 1 });
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });

  it("and is emptied before anything of it is read has no object", async () => {
    const { scene, store, f } = meddled(10);
    store.atOpen = () => { truncateSync(f, 0); };
    expect(await scene.save()).toMatchObject({ changedCount: 1 });
    expect((await store.keys("files/")).map((key) => key.split("/").at(-1))).toEqual(["z"]);
    expect(look((await scene.bring()).into).at(1)).toMatch(/^\.\/f \| 644 \| file \| \d+ \| 0 \|/);
    store.atOpen = () => undefined;
    expect(await scene.save()).toMatchObject({ changedCount: 0 });
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });
});

it("a file with a length no store takes, as any user can make one without a byte in it, is told and keeps no other from being stored", async () => {
  const { scene, f } = meddled(10);
  truncateSync(f, 6 * TiB);
  await expect(scene.save()).rejects.toMatchObject({ code: "engine-failed", message: expect.stringMatching(/"f" \(EFBIG\)/) as string });
  expect(look((await scene.bring()).into).filter((line) => line.startsWith("./"))).toEqual([expect.stringMatching(/^\.\/z /)]);
});

describe("a file that is another thing when it is to be read", () => {
  it.each<[string, (f: string) => void]>([
    ["gone", (f) => { rmSync(f); }],
    ["another file", (f) => { writeFileSync(`${f}.new`, "another"); renameSync(`${f}.new`, f); }],
    ["a symbolic link to a secret", (f) => { rmSync(f); symlinkSync("/etc/shadow", f); }],
    ["a folder", (f) => { rmSync(f); mkdirSync(f); }],
    ["a pipe nobody writes to", (f) => { rmSync(f); execFileSync("mkfifo", [f]); }],
  ])("%s, is left out, and is as it is in the next run", async (_what, change) => {
    const { scene, store, f } = meddled(10);
    await scene.save();
    await store.delete((await store.keys("files/")).filter((key) => key.endsWith("/f")), { signal });
    store.atLook = () => { change(f); };
    expect(await scene.save()).toMatchObject({ leftOutCount: 1, unreadableCount: 0, fileCount: 1 });
    expect(look((await scene.bring()).into).filter((line) => line.startsWith("./"))).toEqual([expect.stringMatching(/^\.\/z /)]);
    store.atLook = () => undefined;
    await scene.save();
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree).filter((line) => !line.startsWith("./f | 644") || line.includes("file")));
  });
});

/** As somebody who may not read everything, also when the tests are run by root. */
async function asNobody<T>({ folder, stateDir }: TreeScene, work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work();
  for (const own of [folder, stateDir]) chownSync(own, 65_534, 65_534);
  process.seteuid?.(65_534);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

describe("what cannot be read", () => {
  it("is told by name; all else is stored and can be restored, and nothing is taken away until it can be read", async () => {
    const { scene, store, f } = meddled(10);
    const save = (): Promise<unknown> => asNobody(scene, () => scene.save({ keep: keepLast(1) }));
    await save();
    const locked = "l".repeat(250);
    mkdirSync(join(scene.tree, locked), { mode: 0o000 });
    writeFileSync(f, "changed, and locked");
    chmodSync(f, 0o000);
    writeFileSync(join(scene.tree, "z"), "beside, changed");
    const failure = await save().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "engine-failed", message: `2 files or folders could not be read: "f" (EACCES), "${"l".repeat(200)}…" (EACCES)` });
    const runs = await scene.runs();
    expect(runs).toHaveLength(2);
    const names = look((await scene.bring()).into).map((line) => line.split(" | ", 1)[0]);
    expect(names).toEqual([".", `./${locked}`, "./z"]);
    expect(look((await scene.bring({ run: runs[0] ?? "" })).into)).toHaveLength(3);
    expect((await store.keys("files/")).length).toBe(3);
    chmodSync(f, 0o644);
    chmodSync(join(scene.tree, locked), 0o755);
    await save();
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
    expect([await scene.runs(), (await store.keys("files/")).length]).toEqual([[expect.anything()], 2]);
  });
});
