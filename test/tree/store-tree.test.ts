/** Engine `s3` of mode `files`: what a run stores, what the next one need not, and that a run that dies spoils nothing. */
import { linkSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ZferryError } from "../../src/errors.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { described, plant } from "../plain/tree.ts";
import { NotedMemory } from "./noted-memory.ts";
import { keepLast, TreeScene } from "./scene.ts";

function look(folder: string): readonly string[] {
  return described(folder, { hardLinks: true });
}

function small(store = new NotedMemory()): { scene: TreeScene; store: NotedMemory } {
  const scene = new TreeScene(store);
  mkdirSync(join(scene.tree, "sub"));
  writeFileSync(join(scene.tree, "a"), "first");
  writeFileSync(join(scene.tree, "sub", "b"), "second");
  writeFileSync(join(scene.tree, "sub", "c"), "third");
  return { scene, store };
}

const objects = (keys: readonly string[]): string[] => keys.filter((key) => key.startsWith("files/"));

describe("a tree of odd names, links, holes and many files", () => {
  it("comes back equal, from a store in memory", async () => {
    const scene = new TreeScene(new NotedMemory());
    plant(scene.tree, 10);
    const { fileCount, leftOutCount, unreadableCount } = await scene.save();
    const { into, linkCount } = await scene.bring();
    expect(look(into)).toEqual(look(scene.tree));
    expect([linkCount, leftOutCount, unreadableCount, fileCount > 80]).toEqual([2, 0, 0, true]);
    expect(scene.warnings).toEqual([]);
  });

  it("has keys of plain ASCII, short enough for every store", async () => {
    const { scene, store } = small();
    let deep = scene.tree;
    for (let level = 0; level < 12; level += 1) mkdirSync((deep = join(deep, "é".repeat(100))));
    writeFileSync(join(deep, "f\n%\u00ff"), "deep");
    await scene.save();
    for (const key of await store.keys()) expect([key, /^[\x21-\x7e]{1,900}$/.test(key)]).toEqual([key, true]);
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });
});

describe("a further run", () => {
  it("sends what has changed by size or time, and nothing else", async () => {
    const { scene, store } = small();
    await scene.save();
    writeFileSync(join(scene.tree, "a"), "FIRST");
    utimesSync(join(scene.tree, "a"), 1, 1);
    writeFileSync(join(scene.tree, "new"), "new");
    renameSync(join(scene.tree, "sub", "c"), join(scene.tree, "sub", "d"));
    const before = store.writes.length;
    expect(await scene.save()).toMatchObject({ sentCount: 3, fileCount: 4 });
    expect(store.writes.slice(before).filter((write) => write.startsWith("upload")).map((write) => write.split("/").at(-1)).sort()).toEqual(["a", "d", "new"]);
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });

  it("leaves every earlier run as it was", async () => {
    const { scene } = small();
    const first = look(scene.tree);
    await scene.save();
    writeFileSync(join(scene.tree, "a"), "other content");
    rmSync(join(scene.tree, "sub"), { recursive: true });
    await scene.save();
    const [oldest = ""] = await scene.runs();
    expect(look((await scene.bring({ run: oldest })).into)).toEqual(first);
  });

  it("sends a file again whose object is gone, or is another one's", async () => {
    const { scene, store } = small();
    await scene.save();
    const keys = objects(await store.keys());
    const [a = "", b = ""] = keys;
    const { signal } = new AbortController();
    await store.delete([a], { signal });
    await store.put(b, Buffer.from("x"), { when: "replace", signal });
    expect(await scene.save()).toMatchObject({ sentCount: 2 });
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });

  it("does not count a file without content as sent", async () => {
    const { scene } = small();
    writeFileSync(join(scene.tree, "empty"), "");
    expect(await scene.save()).toMatchObject({ fileCount: 4, sentCount: 3 });
    expect(await scene.save()).toMatchObject({ fileCount: 4, sentCount: 0 });
  });

  it("knows a file again whose first name is gone", async () => {
    const { scene } = small();
    linkSync(join(scene.tree, "a"), join(scene.tree, "z"));
    await scene.save();
    rmSync(join(scene.tree, "a"));
    expect(await scene.save()).toMatchObject({ sentCount: 0 });
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });

  it("goes by no list that it cannot check, and says so", async () => {
    const { scene, store } = small();
    scene.passphrases = ["a secret of this test"];
    await scene.save();
    const [key = ""] = await store.keys("file-lists/");
    const bytes = Buffer.concat(await all(store, key));
    const { signal } = new AbortController();
    // Whoever owns the store can make a list that has no damage, but no seal.
    await store.put(key, Buffer.from(bytes.toString().replace('"a"', '"A"')), { when: "replace", signal });
    expect(await scene.save()).toMatchObject({ sentCount: 3 });
    expect(scene.warnings.join()).toContain("every file is sent again");
  });
});

async function all(store: NotedMemory, key: string): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of store.get(key, { signal: new AbortController().signal })) pieces.push(piece);
  return pieces;
}

describe("a run that dies at any write", () => {
  const change = (tree: string): void => {
    writeFileSync(join(tree, "a"), "changed, and longer");
    rmSync(join(tree, "sub", "b"));
    writeFileSync(join(tree, "sub", "e"), "added");
    symlinkSync("a", join(tree, "link"));
  };

  it("leaves what can be restored as it was, and the next one leaves nothing behind", async () => {
    const moments: string[] = [];
    for (let count = 1; ; count += 1) {
      const { scene, store } = small();
      await scene.save();
      const before = look(scene.tree);
      change(scene.tree);
      const after = look(scene.tree);
      const writesBefore = store.writes.length;
      store.dieAt(count);
      const died = await scene.save({ keep: keepLast(1) }).then(() => false, () => true);
      const hasDied = died || scene.warnings.length > 0;
      store.revive();
      const runCount = (await scene.runs()).length;
      const restored = look((await scene.bring()).into);
      const isCommitted = store.writes.slice(writesBefore).some((write) => write.endsWith(".jsonl") && write.startsWith("put"));
      expect([count, restored]).toEqual([count, isCommitted ? after : before]);
      expect(runCount).toBeGreaterThan(0);
      await scene.save({ keep: keepLast(1) });
      expect(look((await scene.bring()).into)).toEqual(after);
      const keys = await store.keys();
      // One list, and an object for each of the three files that have content.
      expect([count, keys.filter((key) => key.startsWith("file-lists/")).length, objects(keys).length]).toEqual([count, 1, 3]);
      expect(readdirSync(join(scene.stateDir, "file-lists")).filter((name) => !name.endsWith(".json"))).toEqual([]);
      moments.push(store.writes[writesBefore + count - 2] ?? "");
      if (!hasDied) break;
    }
    expect(moments.length).toBeGreaterThan(8);
  });

  it("leaves no list that names what is gone: every night that is listed comes back as it was", async () => {
    for (let count = 1, hasDied = true; hasDied; count += 1) {
      const { scene, store } = small();
      const nights = new Map<string, readonly string[]>();
      const night = async (text: string): Promise<void> => {
        // What is in `sub/b` is of the first night, and goes there and back.
        writeFileSync(join(scene.tree, "a"), text);
        if (text.startsWith("odd")) renameSync(join(scene.tree, "sub"), join(scene.tree, "bus"));
        if (text.startsWith("even")) renameSync(join(scene.tree, "bus"), join(scene.tree, "sub"));
        const { run } = await scene.save({ keep: keepLast(2) });
        nights.set(run, look(scene.tree));
      };
      await night("first");
      await night("odd");
      store.dieAt(count);
      const died = await night("even, and more").then(() => false, () => true);
      hasDied = died || scene.warnings.length > 0;
      store.revive();
      for (const when of ["killed", "gone on"]) {
        if (when === "gone on") await scene.save({ keep: keepLast(2) }).then(({ run }) => nights.set(run, look(scene.tree)));
        for (const run of await scene.runs()) {
          const back = look((await scene.bring({ run })).into);
          // A list that was written in the moment of dying is known by nobody yet: it is that of the tree as it is.
          expect([count, when, run, back]).toEqual([count, when, run, nights.get(run) ?? look(scene.tree)]);
        }
      }
      expect(await scene.runs()).toHaveLength(2);
    }
  });

  it("need not have sent in vain: what it had sent is not sent again", async () => {
    const { scene, store } = small();
    store.dieAt(4);
    await expect(scene.save()).rejects.toThrow("killed");
    const sent = store.writes.filter((write) => write.startsWith("upload")).length;
    store.revive();
    const { sentCount } = await scene.save();
    expect(sent + sentCount).toBeLessThanOrEqual(4); // one may have been on its way
    expect(sentCount).toBeLessThan(3);
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });
});

describe("lists that a policy does not keep", () => {
  it("go with what they alone name", async () => {
    const { scene, store } = small();
    for (const text of ["one", "two", "three!", "four", "five"]) {
      writeFileSync(join(scene.tree, "a"), text);
      await scene.save({ keep: keepLast(2) });
    }
    const keys = await store.keys();
    expect(await scene.runs()).toHaveLength(2);
    expect(objects(keys)).toHaveLength(4); // two of `a`, and the two that never changed, from the first run
    expect(keys.filter((key) => key.startsWith("file-lists/"))).toHaveLength(2);
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });

  it("stay while what else is there cannot be read", async () => {
    const { scene, store } = small();
    await scene.save();
    writeFileSync(join(scene.tree, "a"), "changed once");
    await scene.save();
    const [, second = ""] = await store.keys("file-lists/");
    await store.put(second, Buffer.from("rubbish"), { when: "replace", signal: new AbortController().signal });
    writeFileSync(join(scene.tree, "a"), "changed for the second time");
    await scene.save({ keep: keepLast(1) });
    expect(scene.warnings.join("\n")).toContain("could not be removed");
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
    expect(objects(await store.keys()).length).toBeGreaterThan(4);
  });
});

it("a run that is stopped for taking too long when its list is there has stored everything, and says what it has not done", async () => {
  const { scene, store } = small();
  const tooLong = new AbortController();
  store.atDelete = () => { tooLong.abort(new ZferryError("engine-failed", "the files took longer than 1 s")); };
  expect(await scene.save({ signal: tooLong.signal })).toMatchObject({ sentCount: 3 });
  expect(scene.warnings).toEqual([expect.stringContaining("could not be removed")]);
  store.atDelete = () => undefined;
  await scene.save();
  expect((await store.keys("file-lists/")).filter((key) => !key.endsWith(".jsonl"))).toEqual([]);
});

describe("a store that keeps no notes", () => {
  it("is refused before anything is done", async () => {
    const scene = new TreeScene(new MemoryStore());
    await expect(scene.save()).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("needs a bucket") as string });
    expect(readdirSync(scene.stateDir)).toEqual([]);
  });
});
