import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { installUnits } from "../../src/units/install.ts";
import { unitFile } from "../../src/units/unit-text.ts";
import { ownFolder } from "../folder.ts";

const [a, b] = ["zferry-a.service", "zferry-b.timer"].map((name) => unitFile(name, [], [["Unit", [["Description", name]]]])) as [
  ReturnType<typeof unitFile>,
  ReturnType<typeof unitFile>,
];
const gently = { isForced: false };

it("writes units that everybody may read into a folder that it makes", async () => {
  const folder = join(ownFolder(), "system");
  expect(await installUnits(folder, [a, b], gently)).toEqual({ written: [a.name, b.name], unchanged: [], replaced: [], leftOver: [] });
  expect(readFileSync(join(folder, b.name), "utf8")).toBe(b.text);
  expect(statSync(join(folder, a.name)).mode & 0o777).toBe(0o644);
  expect(readdirSync(folder).sort()).toEqual([a.name, b.name]);
});

it("leaves alone what is there already, byte for byte", async () => {
  const folder = ownFolder();
  await installUnits(folder, [a], gently);
  const before = statSync(join(folder, a.name)).ino;
  expect(await installUnits(folder, [a, b], gently)).toMatchObject({ written: [b.name], unchanged: [a.name] });
  expect(statSync(join(folder, a.name)).ino).toBe(before);
});

it("refuses to replace what a person has changed, and then writes nothing at all", async () => {
  const folder = ownFolder();
  writeFileSync(join(folder, b.name), "mine");
  await expect(installUnits(folder, [a, b], gently)).rejects.toMatchObject({ code: "usage", message: `"${join(folder, b.name)}" is there and says something else` });
  expect(readdirSync(folder)).toEqual([b.name]);
});

it("replaces it when it is told to, and says so", async () => {
  const folder = ownFolder();
  writeFileSync(join(folder, b.name), "mine");
  expect(await installUnits(folder, [a, b], { isForced: true })).toEqual({ written: [a.name, b.name], unchanged: [], replaced: [b.name], leftOver: [] });
  expect(readFileSync(join(folder, b.name), "utf8")).toBe(b.text);
});

it("names what an earlier run wrote and this one does not, and nothing of anybody else", async () => {
  const folder = ownFolder();
  await installUnits(folder, [a, b], gently);
  for (const name of ["zferry-own.service", "other.service"]) writeFileSync(join(folder, name), "[Unit]\n");
  mkdirSync(join(folder, "zferry-a.service.d"));
  expect(await installUnits(folder, [b], gently)).toMatchObject({ leftOver: [a.name] });
  expect(readdirSync(folder)).toContain(a.name);
});

it("tells what keeps it from writing", async () => {
  const folder = ownFolder();
  writeFileSync(join(folder, "file"), "");
  await expect(installUnits(join(folder, "file"), [a], gently)).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("cannot write units into") as string });
});
