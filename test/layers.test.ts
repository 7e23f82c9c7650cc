import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { complaintsAbout } from "./layers.ts";

const src = fileURLToPath(new URL("../src", import.meta.url));

it("holds for every file under src", () => {
  const files = readdirSync(src, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => relative(src, join(entry.parentPath, entry.name)));
  expect(paths).toContain("errors.ts");
  expect(paths.toSorted().flatMap((path) => complaintsAbout(path, readFileSync(join(src, path), "utf8")))).toEqual([]);
});

it.for([
  ["a lower row", "plan.ts", 'import { x } from "./errors.ts";'],
  ["the same folder", "openpgp/ocb.ts", 'import { x } from "./packets.ts";'],
  ["the row of the verbs among themselves", "restore.ts", 'import { x } from "./get.ts";'],
  ["a folder that is listed as natural", "stream/inspect.ts", 'import { x } from "../replay/records.ts";'],
  ["a digest, by name", "stream/digest.ts", 'import { createHash } from "node:crypto";'],
  ["a cipher, in openpgp", "openpgp/cfb.ts", 'import { createCipheriv } from "node:crypto";'],
  ["a process, on the zfs side", "zfs/child.ts", 'import { spawn } from "node:child_process";'],
  ["process, in main", "main.ts", "process.exitCode = 1;"],
  ["a property called process", "plan.ts", "worker.process.start();"],
  ["three hundred lines", "plan.ts", "\n".repeat(300)],
] as const)("allows %s", ([, file, text]) => {
  expect(complaintsAbout(file, text)).toEqual([]);
});

it.for([
  ["a higher row", "plan.ts", 'import { x } from "./backup.ts";', "row 3 must not know row 5"],
  ["a higher row in the same folder", "zfs/names.ts", 'import { x } from "./command.ts";', "row 1 must not know row 4"],
  ["another folder of the row", "openpgp/ocb.ts", 'import { x } from "../stream/cut.ts";', "sideways"],
  ["a file of the row, from a folder", "format/layout.ts", 'import { x } from "../config/config.ts";', "sideways"],
  ["a type from a higher row", "plan.ts", 'import type { X } from "./backup.ts";', "row 3 must not know row 5"],
  ["a re-export from a higher row", "plan.ts", 'export { x } from "./backup.ts";', "row 3 must not know row 5"],
  ["a dynamic import from a higher row", "plan.ts", 'await import("./backup.ts");', "row 3 must not know row 5"],
  ["a worker from a higher row", "plan.ts", 'new URL("./backup.ts", import.meta.url);', "row 3 must not know row 5"],
  ["an import of a file without a row", "backup.ts", 'import { x } from "./helpers.ts";', "no row in test/layers.ts"],
  ["a file without a row", "helpers.ts", "", "give it one"],
  ["a default export", "plan.ts", "export default 1;", "default export"],
  ["a default function", "plan.ts", "export default function plan() {}", "default export"],
  ["a default by renaming", "plan.ts", "const x = 1;\nexport { x as default };", "plan.ts:2: has a default export"],
  ["three hundred and one lines", "plan.ts", "\n".repeat(301), "301 lines"],
  ["a child process elsewhere", "store/s3.ts", 'import { spawn } from "node:child_process";', "belongs to zfs/"],
  ["openpgp elsewhere", "backup.ts", 'import * as openpgp from "openpgp";', "belongs to openpgp/"],
  ["a cipher elsewhere", "format/manifest.ts", 'import { createDecipheriv as d } from "node:crypto";', "createDecipheriv"],
  ["all of node:crypto elsewhere", "format/manifest.ts", 'import * as crypto from "node:crypto";', "imported by name"],
  ["the environment elsewhere", "cli/program.ts", "const x = process.env.HOME;", "touches process"],
  ["the process by import", "config/config.ts", 'import { env } from "node:process";', "the process belongs to main"],
] as const)("refuses %s", ([, file, text, part]) => {
  const complaints = complaintsAbout(file, text);
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toContain(part);
});
