/** Every page leads where it says; that it does so in what is installed, too, is a test of `test/package/`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { ownFolder } from "../folder.ts";
import { deadLinks } from "./links.ts";

it("every link between the pages leads to a file and a heading that are there", () => {
  expect(deadLinks(fileURLToPath(new URL("../../", import.meta.url)))).toEqual([]);
});

it.for([
  ["a file that is there", "[a](docs/a.md)", []],
  ["a heading that is there", "[a](docs/a.md#what-it-is-1)", []],
  ["a file that is not", "[b](docs/b.md)", ["README.md: docs/b.md"]],
  ["a heading that is not", "[a](docs/a.md#none)", ["README.md: docs/a.md#none"]],
  ["what is outside", "[up](../up.md)", ["README.md: ../up.md"]],
  ["nothing, in a block", "```sh\n[b](b.md)\n```", []],
] as const)("a link to %s", ([, text, dead]) => {
  const folder = ownFolder();
  mkdirSync(join(folder, "docs"));
  for (const [name, content] of [["README.md", text], ["CHANGELOG.md", ""], ["docs/a.md", "# A\n\n## What it is: `1`\n"]] as const) writeFileSync(join(folder, name), content);
  expect(deadLinks(folder)).toEqual(dead);
});
