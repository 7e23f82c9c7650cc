import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { syncFolder, writeWhole } from "../src/files.ts";
import { ownFolder } from "./folder.ts";
import { failureOf } from "./stream/sources.ts";

function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

describe("a small file", () => {
  it.for([
    ["text", "zferry\n"],
    ["bytes", Uint8Array.of(0, 255, 10)],
    ["nothing", ""],
  ] as const)("of %s is written whole, for its owner only, folders included", async ([, content]) => {
    const folder = ownFolder();
    const path = join(folder, "a", "b", "file.json");
    await writeWhole(path, content);
    expect(readFileSync(path)).toEqual(Buffer.from(content));
    expect([modeOf(path), modeOf(join(folder, "a")), modeOf(join(folder, "a", "b"))]).toEqual([0o600, 0o700, 0o700]);
    expect(readdirSync(join(folder, "a", "b"))).toEqual(["file.json"]);
  });

  it("replaces the one before it, whose mode does not matter, by another file", async () => {
    const path = join(ownFolder(), "file.json");
    writeFileSync(path, "a much longer old content", { mode: 0o644 });
    const { ino } = statSync(path);
    await writeWhole(path, "new");
    expect(readFileSync(path, "utf8")).toBe("new");
    expect(modeOf(path)).toBe(0o600);
    expect(statSync(path).ino).not.toBe(ino);
  });

  it("comes with the removal of what processes that died left beside it ten minutes ago, and of nothing else", async () => {
    const folder = ownFolder();
    const path = join(folder, "file.json");
    const eleven = new Date(Date.now() - 11 * 60_000);
    for (const name of ["file.json.0000aaaa.new", "file.json.unreadable-1", "other.json.0000aaaa.new"]) {
      writeFileSync(join(folder, name), "");
      utimesSync(join(folder, name), eleven, eleven);
    }
    writeFileSync(join(folder, "file.json.0000bbbb.new"), "of a process that may be at it");
    await writeWhole(path, "new");
    expect(readdirSync(folder)).toEqual(["file.json", "file.json.0000bbbb.new", "file.json.unreadable-1", "other.json.0000aaaa.new"]);
  });

  it("written by many at once is one of theirs, and nothing is left beside it", async () => {
    const folder = ownFolder();
    const path = join(folder, "file.json");
    const contents = Array.from({ length: 20 }, (_, index) => String(index).repeat(5000));
    await Promise.all(contents.map((content) => writeWhole(path, content)));
    expect(contents).toContain(readFileSync(path, "utf8"));
    expect(readdirSync(folder)).toEqual(["file.json"]);
  });
});

describe("a write that fails", () => {
  it("at the rename leaves what was there and no draft", async () => {
    const folder = ownFolder();
    const path = join(folder, "file.json");
    mkdirSync(path);
    writeFileSync(join(path, "in the way"), "");
    expect(await failureOf(writeWhole(path, "new"))).toMatchObject({ syscall: "rename" });
    expect(readdirSync(folder)).toEqual(["file.json"]);
    expect(readdirSync(path)).toEqual(["in the way"]);
  });

  it("at the folder leaves nothing", async () => {
    const folder = ownFolder();
    writeFileSync(join(folder, "file"), "");
    await failureOf(writeWhole(join(folder, "file", "below"), "new"));
    expect(readdirSync(folder)).toEqual(["file"]);
  });
});

it("a folder that is not there cannot be synced", async () => {
  expect(await failureOf(syncFolder(join(ownFolder(), "none")))).toMatchObject({ code: "ENOENT" });
});
