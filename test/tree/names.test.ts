/** Names of any bytes and any length, names that look the same or whose texts do, and one of them brought back. */
import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { listNameOf, listKey, objectKey, runId } from "../../src/format/file-layout.ts";
import { type ListHeader, ListSealer, maxLineBytes, parseLine, type TreeEntry } from "../../src/format/file-list.ts";
import { maxPathBytes, parsePathText, pathText } from "../../src/format/file-path.ts";
import { ListDraft } from "../../src/tree/list-file.ts";
import { Folder } from "../../src/tree/folder.ts";
import { walk } from "../../src/tree/walk.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { ownFolder } from "../folder.ts";
import { described } from "../plain/tree.ts";
import { NotedMemory } from "./noted-memory.ts";
import { place, signal, TreeScene } from "./scene.ts";

const run = runId(1, new Date("2026-11-21T02:00:00Z"), "0a0b0c");

/** Folders in each other, deeper than a path can say. */
function dig(folder: string, name: string, levels: number): void {
  let above = openSync(folder, constants.O_DIRECTORY);
  for (let level = 0; level < levels; level += 1) {
    const path = `/proc/self/fd/${above}/${name}`;
    mkdirSync(path);
    const below = openSync(path, constants.O_DIRECTORY);
    closeSync(above);
    above = below;
  }
  closeSync(above);
}

describe("a path that is too long for a list", () => {
  it("is one that could not be read, and is not gone into: nobody spoils a list by a folder of theirs", async () => {
    const folder = ownFolder();
    const name = "é".repeat(125);
    dig(folder, name, 270);
    writeFileSync(join(folder, "z"), "");
    const root = await Folder.at(folder);
    let longest = 0;
    const missed: unknown[] = [];
    const found: string[] = [];
    for await (const one of walk(root, signal)) {
      if (one.kind !== "found") missed.push({ ...one, path: one.path.length });
      else if (one.path.length <= 1) found.push(one.path.toString());
      else longest = Math.max(longest, one.path.length);
    }
    await root.letGo();
    execFileSync("rm", ["-rf", join(folder, name)]); // it knows how to
    expect([longest, missed, found]).toEqual([261 * 251 - 1, [{ kind: "unreadable", path: 262 * 251 - 1, why: "ENAMETOOLONG" }], ["", "z"]]);
  });

  it("is none that a list may have; the longest three times in an entry fit into a line", () => {
    const path = pathText(Buffer.alloc(maxPathBytes, 0xff));
    expect([parsePathText(path)?.length, parsePathText(`${path}a`), parsePathText(`${"a".repeat(maxPathBytes)}a`)]).toEqual([maxPathBytes, null, null]);
    const entry: TreeEntry = { type: "file", path, mode: 0o7777, uid: 2 ** 32 - 2, gid: 2 ** 32 - 2, mtime: "-9223372036854775808", sizeBytes: Number.MAX_SAFE_INTEGER, linked: true, linkTo: path, object: { run, at: path, sizeBytes: 1, sha256: "0".repeat(64) } };
    const line = new ListSealer(null).line(entry);
    expect(line.length).toBeLessThan(maxLineBytes);
    expect(parseLine(line, "here")).toEqual(entry);
  });
});

it("a list that would be longer than anybody reads one is not written to its end", async () => {
  const packing = { packet: "none", sessionKeyPackets: null, keyCheck: null } as const;
  const header: ListHeader = { list: "zferry files", format: 1, ...place, run, base: null, snapshot: "tank/home@s", startedAt: new Date(0), writer: "nobody", ...packing };
  const draft = await ListDraft.begin(join(ownFolder(), "list"), header, { sealKey: null, maxBytes: 400 });
  const folder: TreeEntry = { type: "folder", path: "", mode: 0o755, uid: 0, gid: 0, mtime: "0" };
  try {
    await draft.add(folder);
    await expect(draft.add({ ...folder, path: "a" }).then(() => draft.add({ ...folder, path: "b" }))).rejects.toMatchObject({ code: "size-limits" });
    await expect(draft.end({ type: "end", entryCount: 1, fileCount: 0, sizeBytes: 0, committedAt: new Date(0) })).rejects.toMatchObject({ code: "size-limits" });
  } finally {
    await draft.close();
  }
});

describe("names whose texts or keys could be taken for each other", () => {
  const long = "a".repeat(600);
  it.each<[string, string, string]>([
    ["a space, and the text of one", "a b", "a%20b"],
    ["a path that is known by its hash, and the text of that", long, `~${"0".repeat(64)}`],
    ["two long ones that differ at their end", `${long}a`, `${long}b`],
    ["an accent written in two ways", "\u00e9", "e\u0301"],
    ["capitals and small letters", "A", "a"],
    ["a slash that is none", "a/b", "a\\b"],
  ])("%s, have keys of their own", (_what, one, other) => {
    const keys = [one, other].map((name) => objectKey(place, run, pathText(Buffer.from(name))));
    expect(new Set(keys).size).toBe(2);
    for (const key of keys) expect(Buffer.byteLength(key)).toBeLessThan(900);
  });

  it.each(["a/b", "a%2Fb", "..", "%2E%2E", "~", "x".repeat(129), "ü@h#1", "a b.jsonl"])("a job called %j finds its own lists, and no other job does", (job) => {
    const own = { job, dataset: parseDatasetName("tank/a b") };
    const key = listKey(own, run);
    expect(listNameOf(job, key)).toEqual({ dataset: own.dataset, run, kind: "list" });
    for (const other of ["a", "a/b/c", "a%252Fb", "%2E", ".", "x".repeat(130)]) expect(listNameOf(other, key)).toBe(null);
  });

  it("come back as what they are, each by the name that is typed or printed, and nothing else with it", async () => {
    const scene = new TreeScene(new NotedMemory());
    // By what each is; a name that is the printed form of another is asked for by its own printed form.
    const names: readonly (string | Buffer)[] = ["-rf", "a b", "sub%20", "new\nline", "\u001b[2J", "*", "e\u0301", "\u00e9", Buffer.from([0xff, 0xfe]), "~".repeat(250), "...", " ", "%"];
    const pathOf = (folder: string, name: string | Buffer): Buffer => Buffer.concat([Buffer.from(`${folder}/`), Buffer.from(name)]);
    for (const [at, name] of names.entries()) writeFileSync(pathOf(scene.tree, name), `content ${at}`);
    await scene.save();
    for (const [at, name] of names.entries()) {
      for (const asked of [pathText(Buffer.from(name)), ...(typeof name === "string" ? [name] : [])]) {
        const { into, fileCount } = await scene.bring({ paths: [asked] });
        expect([asked, fileCount, readFileSync(pathOf(into, name), "utf8")]).toEqual([asked, 1, `content ${at}`]);
      }
    }
    expect(described((await scene.bring()).into, { hardLinks: true })).toEqual(described(scene.tree, { hardLinks: true }));
  });
});
