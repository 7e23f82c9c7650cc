/** What the owner of a store can do with lists of files, and what a run or a restore then says (`docs/threat-model.md`). */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { listKey, maxNumber, runId, type RunId } from "../../src/format/file-layout.ts";
import { MiB } from "../../src/bytes.ts";
import { type ListEnd, ListSealer, parseHeader, parseLine, type TreeEntry } from "../../src/format/file-list.ts";
import { newPacker } from "../../src/tree/packing.ts";
import { fixtureKey } from "../openpgp/sample.ts";
import { described } from "../plain/tree.ts";
import { NotedMemory } from "./noted-memory.ts";
import { keepLast, place, signal, TreeScene } from "./scene.ts";

function look(folder: string): readonly string[] {
  return described(folder, { hardLinks: true });
}

async function bytesOf(store: NotedMemory, key: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of store.get(key, { signal })) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Three nights, the last two of which somebody hides. */
async function nights(): Promise<{ scene: TreeScene; store: NotedMemory; runs: readonly RunId[]; show: () => Promise<void> }> {
  const store = new NotedMemory();
  const scene = new TreeScene(store);
  for (const text of ["one", "two", "three!"]) {
    writeFileSync(join(scene.tree, "f"), text);
    await scene.save();
  }
  const runs = await scene.runs();
  const keys = runs.slice(1).map((run) => listKey(place, run));
  const hidden = await Promise.all(keys.map((key) => bytesOf(store, key)));
  await store.delete(keys, { signal });
  const show = async (): Promise<void> => {
    for (const [at, key] of keys.entries()) await store.put(key, hidden[at] ?? Buffer.alloc(0), { when: "create", signal });
  };
  return { scene, store, runs, show };
}

describe("a newest list that is hidden", () => {
  it("is missed by the host that has made it, whose next run stores everything all the same", async () => {
    const { scene, runs } = await nights();
    await scene.save();
    expect(scene.warnings.join()).toContain(`the list of run ${runs[2] ?? ""}, which this host has seen, is gone`);
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });

  it("and shown again later is not the newest any more", async () => {
    const { scene, show } = await nights();
    writeFileSync(join(scene.tree, "f"), "the fourth");
    await scene.save();
    await show();
    expect(look((await scene.bring()).into)).toEqual(look(scene.tree));
  });
});

describe("a list that somebody has made up", () => {
  it("with nothing but the certificate, in the place of the newest, is not gone by on the host that made that one", async () => {
    const store = new NotedMemory();
    const scene = new TreeScene(store);
    const recipients = { passphrases: [], certificates: [fixtureKey("bob").certificate] };
    const treePlace = { store, packet: "ocb", recipients, keyring: fixtureKey("bob").keyring, partBytes: 5 * MiB, concurrency: 2, leaseMs: null } as const;
    writeFileSync(join(scene.tree, "f"), "one");
    const { run } = await scene.save({ place: treePlace });
    const key = listKey(place, run);
    const [first = "", ...others] = (await bytesOf(store, key)).toString().trimEnd().split("\n");
    const packer = await newPacker("ocb", recipients);
    const sealer = new ListSealer(packer.sealKey);
    const header = parseHeader(Buffer.from(first), key, { ...place, run });
    const end = others.pop() ?? "";
    const { committedAt, ...counts } = JSON.parse(end.replace(/,"seal":.*$/, "}")) as Omit<ListEnd, "committedAt"> & { committedAt: string };
    const lines = [sealer.header({ ...header, ...packer.packing }), ...others.map((line) => sealer.line(parseLine(Buffer.from(line), key) as TreeEntry))];
    await store.put(key, Buffer.concat([...lines, sealer.end({ ...counts, committedAt: new Date(committedAt) }).bytes]), { when: "replace", signal });
    expect(await scene.save({ place: treePlace })).toMatchObject({ sentCount: 1 });
    expect(scene.warnings).toEqual([expect.stringContaining(`the list of run ${run} is not the one that this host has made`)]);
  });

  it("with the last number there is ends the next run, which could not be found behind it, and takes nothing away", async () => {
    const store = new NotedMemory();
    const scene = new TreeScene(store);
    writeFileSync(join(scene.tree, "f"), "one");
    const { run } = await scene.save();
    const stored = look(scene.tree);
    const planted = runId(maxNumber, scene.now, "abcdef");
    await store.put(listKey(place, planted), await bytesOf(store, listKey(place, run)), { when: "create", signal });
    writeFileSync(join(scene.tree, "f"), "changed");
    await expect(scene.save({ keep: keepLast(1) })).rejects.toMatchObject({ code: "manifest-invalid", message: expect.stringContaining(planted) as string });
    expect(look((await scene.bring({ run })).into)).toEqual(stored);
  });

  it("with the last number but one leaves a number to one run, and a way to go on to the next: it is not told to remove its own", async () => {
    const store = new NotedMemory();
    const scene = new TreeScene(store);
    writeFileSync(join(scene.tree, "f"), "one");
    await store.put(listKey(place, runId(maxNumber - 1, scene.now, "abcdef"), "begun"), Buffer.from("{}"), { when: "create", signal });
    const { run } = await scene.save();
    const failure = await scene.save().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "manifest-invalid", message: expect.stringContaining(run) as string, hint: expect.stringContaining("give the job another name") as string });
    expect(await scene.save({ job: "another" })).toMatchObject({ sentCount: 1 });
  });
});
