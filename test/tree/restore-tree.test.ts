/** Files brought back: some of them, over others, and from lists and stores that mean ill. */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { listKey, objectsOf, runId } from "../../src/format/file-layout.ts";
import { type FileEntry, type ListHeader, ListSealer, type RunKey, type TreeEntry } from "../../src/format/file-list.ts";
import { comparePaths, parsePathText, pathText } from "../../src/format/file-path.ts";
import { described } from "../plain/tree.ts";
import { NotedMemory } from "./noted-memory.ts";
import { place, signal, TreeScene } from "./scene.ts";

const run = runId(1, new Date("2026-11-21T02:00:00Z"), "0a0b0c");
const about = { mode: 0o700, uid: 0, gid: 0, mtime: "1000000000" };
const root: TreeEntry = { type: "folder", ...about, path: "" };
const empty = (path: string): FileEntry => ({ type: "file", ...about, path, sizeBytes: 0, object: null });

/** A list that nobody who writes lists would write, whole and with a seal. */
async function planted(entries: readonly TreeEntry[]): Promise<TreeScene> {
  const store = new NotedMemory();
  const sealer = new ListSealer(null);
  const packing = { packet: "none", sessionKeyPackets: null, keyCheck: null } as const;
  const header: ListHeader = { list: "zferry files", format: 1, ...place, run, base: null, snapshot: "tank/home@s", startedAt: new Date(0), writer: "nobody", ...packing };
  const key: RunKey = { type: "key", run, ...packing };
  const lines = [sealer.header(header), ...[key, ...entries].map((line) => sealer.line(line))];
  const { bytes } = sealer.end({ type: "end", entryCount: entries.length, fileCount: 0, sizeBytes: 0, committedAt: new Date(0) });
  await store.put(listKey(place, run), Buffer.concat([...lines, bytes]), { when: "create", signal });
  return new TreeScene(store);
}

describe("a list that means ill", () => {
  it.each([
    ["has .. in a path", [root, { type: "folder", ...about, path: ".." }, empty("../evil")]],
    ["has .. behind a folder", [root, { type: "folder", ...about, path: "a" }, empty("a/../../evil")]],
    ["has an absolute path", [root, empty("/tmp/evil")]],
    ["writes a slash as an escape", [root, empty("..%2Fevil")]],
    ["puts a file behind its own symbolic link", [root, { type: "symlink", ...about, path: "a", target: Buffer.from("..").toString("base64") }, empty("a/evil")]],
    ["has a path twice, as a link and as a folder", [root, { type: "symlink", ...about, path: "a", target: Buffer.from("..").toString("base64") }, { type: "folder", ...about, path: "a" }, empty("a/evil")]],
    ["has a NUL in a name", [root, empty("a%00b")]],
    ["has no root", [empty("evil")]],
    ["is out of order", [root, empty("b"), empty("a")]],
    ["names a content whose key is missing", [root, { ...empty("a"), sizeBytes: 1, object: { run: runId(2, new Date(0), "000000"), sizeBytes: 1, sha256: "0".repeat(64) } }]],
  ] as [string, TreeEntry[]][])("and %s is refused, and makes nothing outside its folder", async (_what, entries) => {
    const scene = await planted(entries);
    const into = join(scene.folder, "deep", "into");
    mkdirSync(join(scene.folder, "deep"));
    await expect(scene.bring({ into })).rejects.toMatchObject({ code: "manifest-invalid" });
    expect([readdirSync(join(scene.folder, "deep")), existsSync("/tmp/evil")]).toEqual([expect.not.arrayContaining(["evil"]), false]);
  });

  it("and is another job's, or another run's, is refused", async () => {
    const scene = await planted([root]);
    const other = runId(7, new Date("2026-11-22T02:00:00Z"), "0a0b0c");
    const bytes: Uint8Array[] = [];
    for await (const piece of scene.store.get(listKey(place, run), { signal })) bytes.push(piece);
    await scene.store.put(listKey(place, other), Buffer.concat(bytes), { when: "create", signal });
    await expect(scene.bring({ run: other })).rejects.toMatchObject({ code: "manifest-invalid" });
  });
});

describe("a folder somebody else has prepared", () => {
  it("with a symbolic link in the place of a folder is not written through", async () => {
    const scene = await planted([root, { type: "folder", ...about, path: "a" }, empty("a/f")]);
    const [into, outside] = [join(scene.folder, "into"), join(scene.folder, "outside")];
    for (const folder of [into, outside]) mkdirSync(folder);
    symlinkSync(outside, join(into, "a"));
    await expect(scene.bring({ into, overwrite: true })).rejects.toMatchObject({ code: "target-exists" });
    expect(readdirSync(outside)).toEqual([]);
  });

  it("with a symbolic link in the place of a file gets the file, and what it points to stays", async () => {
    const scene = await planted([root, empty("f")]);
    const [into, outside] = [join(scene.folder, "into"), join(scene.folder, "outside")];
    mkdirSync(into);
    writeFileSync(outside, "stays");
    symlinkSync(outside, join(into, "f"));
    await expect(scene.bring({ into })).rejects.toMatchObject({ code: "target-exists" });
    await scene.bring({ into, overwrite: true });
    expect([readFileSync(outside, "utf8"), lstatSync(join(into, "f")).isFile()]).toEqual(["stays", true]);
  });
});

describe("some paths", () => {
  function saved(): TreeScene {
    const scene = new TreeScene(new NotedMemory());
    for (const folder of ["a", "a/b", "ab"]) mkdirSync(join(scene.tree, folder));
    for (const name of ["a/b/one", "a/b/ü", "a/two", "ab/three", "four"]) writeFileSync(join(scene.tree, name), name);
    return scene;
  }
  const namesIn = (into: string): string[] => readdirSync(into, { recursive: true, encoding: "utf8" }).sort();

  it.each([
    [["a/b"], ["a", "a/b", "a/b/one", "a/b/ü"]],
    [["a/b/ü"], ["a", "a/b", "a/b/ü"]],
    [["a/b/%C3%BC"], ["a", "a/b", "a/b/ü"]],
    [["./ab/", "four"], ["ab", "ab/three", "four"]],
    [["."], ["a", "a/b", "a/b/one", "a/b/ü", "a/two", "ab", "ab/three", "four"]],
  ])("%j are restored with what is below them, and nothing else", async (paths, names) => {
    const scene = saved();
    await scene.save();
    expect(namesIn((await scene.bring({ paths })).into)).toEqual(names);
  });

  it("one of which is not there stop the restore before it begins", async () => {
    const scene = saved();
    await scene.save();
    const into = join(scene.folder, "into");
    await expect(scene.bring({ into, paths: ["four", "five"] })).rejects.toMatchObject({ code: "backup-not-found" });
    expect(existsSync(into)).toBe(false);
  });
});

describe("what is there already", () => {
  it("is refused, and replaced when that is wanted", async () => {
    const scene = new TreeScene(new NotedMemory());
    writeFileSync(join(scene.tree, "f"), "stored");
    symlinkSync("f", join(scene.tree, "link"));
    await scene.save();
    const into = join(scene.folder, "into");
    mkdirSync(into);
    writeFileSync(join(into, "f"), "mine");
    await expect(scene.bring({ into })).rejects.toMatchObject({ code: "target-exists" });
    expect(readFileSync(join(into, "f"), "utf8")).toBe("mine");
    await scene.bring({ into, overwrite: true });
    expect(described(into, { hardLinks: true }).slice(1)).toEqual(described(scene.tree, { hardLinks: true }).slice(1));
  });
});

it.each(["no/such/folder", "file"])("into %j, which can be no folder, it is refused and no bug", async (name) => {
  const scene = await planted([root, empty("f")]);
  writeFileSync(join(scene.folder, "file"), "");
  await expect(scene.bring({ into: join(scene.folder, name) })).rejects.toMatchObject({ code: "engine-failed" });
});

it("a content that is not what was stored gets no name", async () => {
  const scene = new TreeScene(new NotedMemory());
  writeFileSync(join(scene.tree, "f"), "stored");
  const { run: made } = await scene.save();
  await scene.store.put(`${objectsOf(place, made)}f`, Buffer.from("forged"), { when: "replace", signal });
  const into = join(scene.folder, "into");
  await expect(scene.bring({ into })).rejects.toMatchObject({ code: "chunk-invalid" });
  expect(readdirSync(into)).toEqual([]);
});

describe("paths as text", () => {
  it.each(["", "a", "a b/c%", "é", "a/...", "~", "\u0001"])("%j comes back from its text", (path) => {
    expect(parsePathText(pathText(Buffer.from(path)))).toEqual(Buffer.from(path));
  });

  it.each(["a//b", "/a", "a/", ".", "..", "a/..", "%", "%4", "%41", "%2f", "%e9", "é", "a\n", "%00", "%4é", "%é", "Ā", "a%2"])("%j is the text of none", (text) => {
    expect(parsePathText(text)).toBe(null);
  });

  it("come in the order of a walk: what is in a folder right behind it", () => {
    const paths = ["", "a", "a/b", "a/b/c", "a!", "a.b", "ab", "b"].map((path) => Buffer.from(path));
    expect([...paths].reverse().sort(comparePaths)).toEqual(paths);
  });
});
