// Writes the man pages of the built program into dist/man.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { manPages } from "../dist/cli/man.js";

const folder = new URL("../dist/man/", import.meta.url);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const { file, text } of await manPages()) writeFileSync(new URL(file, folder), text);
