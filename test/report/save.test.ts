import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { placeFor, save } from "../../src/report/save.ts";
import { ownFolder } from "../folder.ts";

async function write(path: string, page: string): Promise<void> {
  await save(await placeFor(path), page);
}

it("makes a file that only its owner reads, and nothing beside it", async () => {
  const folder = ownFolder();
  await write(join(folder, "r.html"), "page");
  expect(readdirSync(folder)).toEqual(["r.html"]);
  expect([readFileSync(join(folder, "r.html"), "utf8"), statSync(join(folder, "r.html")).mode & 0o777]).toEqual(["page", 0o600]);
});

it("replaces a file and leaves it its mode, also behind a link, which stays one", async () => {
  const folder = ownFolder();
  const [file, link] = [join(folder, "r.html"), join(folder, "link")];
  writeFileSync(file, "old");
  chmodSync(file, 0o644);
  symlinkSync("r.html", link);
  await write(link, "new");
  expect([readFileSync(file, "utf8"), statSync(file).mode & 0o777, lstatSync(link).isSymbolicLink()]).toEqual(["new", 0o644, true]);
});

it.for([
  ["a folder", "folder", /^".*folder" is there and no file$/],
  ["a file in a folder that is not there", "none/r.html", /^cannot write ".*r.html": ENOENT/],
  ["a file below a file", "file/r.html", /^cannot write ".*r.html": ENOTDIR/],
] as const)("refuses %s", async ([, name, message]) => {
  const folder = ownFolder();
  mkdirSync(join(folder, "folder"));
  writeFileSync(join(folder, "file"), "");
  await expect(placeFor(join(folder, name))).rejects.toThrow(message);
  expect(readdirSync(folder).sort()).toEqual(["file", "folder"]);
});

it("refuses a device, which would be replaced by a file", async () => {
  await expect(placeFor("/dev/null")).rejects.toThrow('"/dev/null" is there and no file');
});
