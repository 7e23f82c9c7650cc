/** Files brought back: some of them, over others, and from lists and stores that mean ill. */
import { execFileSync } from "node:child_process";
import { chmodSync, closeSync, existsSync, linkSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { listKey, objectsOf, runId } from "../../src/format/file-layout.ts";
import { type FileEntry, type ListHeader, ListSealer, type RunKey, type TreeEntry } from "../../src/format/file-list.ts";
import { comparePaths, parsePathText, pathText } from "../../src/format/file-path.ts";
import type { LentSource } from "../../src/bytes.ts";
import type { PacketName } from "../../src/format/layout.ts";
import type { GetOptions } from "../../src/store/store.ts";
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
    ["has a link to nowhere a kernel knows", [root, { type: "symlink", ...about, path: "a", target: Buffer.from("a\0b").toString("base64") }]],
    ["has a link to nothing", [root, { type: "symlink", ...about, path: "a", target: "" }]],
    ["has an owner beyond all numbers", [root, { ...empty("a"), uid: 2 ** 32 }]],
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

describe("a folder somebody changes meanwhile", () => {
  /** Lets somebody at the folder while the content of `a/f` is on its way. */
  class Slow extends NotedMemory {
    meanwhile: () => void = () => undefined;

    override async *get(key: string, options: GetOptions): LentSource {
      if (key.endsWith("/a/f")) this.meanwhile();
      yield* super.get(key, options);
    }
  }

  it.each<[string, readonly string[]]>([
    ["a file", ["a", "a/f"]],
    ["a further name of it", ["a", "a/f", "b", "b/g"]],
  ])("for a symbolic link that leads elsewhere has %s nowhere outside", async (_what, names) => {
    const store = new Slow();
    const scene = new TreeScene(store);
    for (const folder of names.filter((name) => name.length === 1)) mkdirSync(join(scene.tree, folder));
    writeFileSync(join(scene.tree, "a/f"), "content");
    if (names.includes("b/g")) linkSync(join(scene.tree, "a/f"), join(scene.tree, "b/g"));
    await scene.save();
    const [into, outside] = [join(scene.folder, "into"), join(scene.folder, "outside")];
    mkdirSync(outside);
    writeFileSync(join(outside, "f"), "not to be linked to");
    store.meanwhile = () => {
      renameSync(join(into, "a"), join(into, "moved"));
      symlinkSync(outside, join(into, "a"));
    };
    const failure = await scene.bring({ into }).then(() => null, (error: unknown) => error);
    expect(failure === null).toBe(!names.includes("b/g"));
    expect([readdirSync(outside), readFileSync(join(outside, "f"), "utf8"), lstatSync(join(outside, "f")).nlink]).toEqual([["f"], "not to be linked to", 1]);
    expect(readFileSync(join(into, "moved", "f"), "utf8")).toBe("content");
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
  it("stays beside what is restored over it, and where the names are the same is replaced", async () => {
    const scene = new TreeScene(new NotedMemory());
    for (const folder of ["a", "a/b"]) mkdirSync(join(scene.tree, folder));
    for (const name of ["a/b/f", "a/g", "z"]) writeFileSync(join(scene.tree, name), `stored ${name}`);
    linkSync(join(scene.tree, "a/g"), join(scene.tree, "h"));
    symlinkSync("a", join(scene.tree, "link"));
    await scene.save();
    const { into } = await scene.bring();
    const [secret, mine] = [join(scene.folder, "secret"), join(into, "a", "mine")];
    writeFileSync(secret, "stays");
    writeFileSync(mine, "stays, too");
    for (const name of ["a/g", "z", "link"]) {
      rmSync(join(into, name));
      symlinkSync(secret, join(into, name)); // what is to be written in their place must not be written there
    }
    chmodSync(join(into, "a/b"), 0o711);
    await scene.bring({ into, overwrite: true });
    expect([readFileSync(secret, "utf8"), readFileSync(mine, "utf8")]).toEqual(["stays", "stays, too"]);
    rmSync(mine);
    expect(described(into, { hardLinks: true })).toEqual(described(scene.tree, { hardLinks: true }));
  });

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

describe("what a file is besides its content", () => {
  it.each(["1950-01-02T03:04:05.678901Z", "1969-12-31T23:59:59.5Z", "1970-01-01T00:00:00Z", "2026-11-21T02:03:04.123456Z", "2200-01-01T00:00:00Z"])("its time, be it %s, to the microsecond", async (time) => {
    const scene = new TreeScene(new NotedMemory());
    for (const name of ["f", "folder"]) mkdirSync(join(scene.tree, name));
    writeFileSync(join(scene.tree, "f", "g"), "x");
    symlinkSync("g", join(scene.tree, "f", "link"));
    execFileSync("touch", ["-h", "-d", time, "f/g", "f/link", "folder"], { cwd: scene.tree });
    await scene.save();
    const { into } = await scene.bring();
    for (const name of ["f/g", "f/link", "folder"]) {
      const [was, is] = [scene.tree, into].map((folder) => lstatSync(join(folder, name), { bigint: true }).mtimeNs / 1000n);
      expect([name, is]).toEqual([name, was]);
    }
    expect(await scene.save()).toMatchObject({ sentCount: 0 });
  });

  const mib = 1024 * 1024;
  it.each<[string, PacketName, readonly [at: number, bytes: number][], number]>([
    ["at its end", "none", [[0, 5]], 3 * mib],
    ["at its beginning", "none", [[3 * mib, 7]], 3 * mib + 7],
    ["between blocks that are full", "none", [[0, 4096], [mib, 8192], [2 * mib, 1]], 2 * mib + 1],
    ["that end within a block", "none", [[mib + 100, 10]], 2 * mib + 33],
    ["and nothing else", "none", [], 2 * mib + 1],
    ["in the pieces of a message", "ocb", [[300_001, 5], [mib - 1, 2]], 2 * mib],
  ])("its holes, %s (packet %s)", async (_where, packet, filled, sizeBytes) => {
    const scene = new TreeScene(new NotedMemory());
    if (packet !== "none") [scene.packet, scene.passphrases] = [packet, ["a secret of this test"]];
    const f = join(scene.tree, "f");
    writeFileSync(f, "");
    truncateSync(f, sizeBytes);
    const handle = openSync(f, "r+");
    for (const [at, bytes] of filled) writeSync(handle, Buffer.alloc(bytes, "x"), 0, bytes, at);
    closeSync(handle);
    await scene.save();
    const { into } = await scene.bring();
    expect(readFileSync(join(into, "f")).equals(readFileSync(f))).toBe(true);
    expect([lstatSync(join(into, "f")).size, lstatSync(join(into, "f")).blocks]).toEqual([sizeBytes, lstatSync(f).blocks]);
  });
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
