/** Several files at a time: what one of them ends in ends the others, whichever comes first. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ZferryError } from "../../src/errors.ts";
import { unlessAborted } from "../../src/store/abort.ts";
import type { GetOptions, StoredObject, UploadOptions } from "../../src/store/store.ts";
import { NotedMemory } from "./noted-memory.ts";
import { TreeScene } from "./scene.ts";

/** Never answers for the file `a slow one`, unless it is told to stop; refuses `refused`. */
class Stuck extends NotedMemory {
  isStuck = false;

  override async upload(options: UploadOptions): Promise<StoredObject> {
    if (this.isStuck && options.key.endsWith("/a%20slow%20one")) await unlessAborted(new Promise(() => undefined), options.signal);
    if (this.isStuck && options.key.endsWith("/refused")) throw new ZferryError("store-denied", "not you");
    return super.upload(options);
  }

  override async *get(key: string, options: GetOptions): AsyncGenerator<Uint8Array> {
    if (this.isStuck && key.endsWith("/a%20slow%20one")) await unlessAborted(new Promise(() => undefined), options.signal);
    yield* super.get(key, options);
  }
}

function slowOne(second: string): { scene: TreeScene; store: Stuck } {
  const store = new Stuck();
  const scene = new TreeScene(store);
  for (const name of ["a slow one", second]) writeFileSync(join(scene.tree, name), name);
  return { scene, store };
}

describe("one that fails", () => {
  it("ends a run at once, whatever file before it is still on its way", async () => {
    const { scene, store } = slowOne("refused");
    store.isStuck = true;
    await expect(scene.save()).rejects.toMatchObject({ code: "store-denied" });
    expect(await scene.runs()).toEqual([]);
  });

  it("ends a restore at once, whatever file before it is still on its way", async () => {
    const { scene, store } = slowOne("taken");
    await scene.save();
    store.isStuck = true;
    const into = join(scene.folder, "into");
    mkdirSync(into);
    writeFileSync(join(into, "taken"), "mine");
    await expect(scene.bring({ into })).rejects.toMatchObject({ code: "target-exists" });
    expect(readdirSync(into)).toEqual(["taken"]);
  });
});

describe("what fails beside the files", () => {
  it("ends a restore at once: a folder that cannot be made", async () => {
    const { scene, store } = slowOne("z");
    mkdirSync(join(scene.tree, "folder"));
    await scene.save();
    store.isStuck = true;
    const into = join(scene.folder, "into");
    mkdirSync(into);
    writeFileSync(join(into, "folder"), "mine");
    await expect(scene.bring({ into })).rejects.toMatchObject({ code: "target-exists" });
    expect(readdirSync(into)).toEqual(["folder"]);
  });

  it("ends a run at once: what is done with those that are through", async () => {
    const { scene, store } = slowOne("z");
    store.isStuck = true;
    const failing = (): void => { throw new ZferryError("config-invalid", "no room for the list"); };
    await expect(scene.save({ onProgress: failing })).rejects.toMatchObject({ code: "config-invalid" });
    expect(await scene.runs()).toEqual([]);
  });
});
