import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";

const verdict = fileURLToPath(new URL("../../.ci/verdict.mjs", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "zf-verdict-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A report of one file with tests of these statuses. */
function reportOf(fileStatus: string, ...statuses: readonly string[]): string {
  const assertionResults = statuses.map((status, index) => ({ status, fullName: `test ${index}` }));
  return JSON.stringify({ testResults: [{ name: "a.test.ts", status: fileStatus, message: "boom", assertionResults }] });
}

it.for([
  ["all passed", reportOf("passed", "passed", "passed"), ["0", "0"], "2 passed, 0 failed"],
  ["one failed", reportOf("failed", "passed", "failed"), ["1", "0"], "1 passed, 1 failed"],
  ["one was skipped", reportOf("passed", "passed", "skipped"), ["0", "0"], "1 passed, 1 failed"],
  ["one is to be written", reportOf("passed", "passed", "todo"), ["0", "0"], "1 passed, 1 failed"],
  ["a file could not be loaded", reportOf("failed"), ["1", "0"], "0 passed, 2 failed"],
  ["no test ran", JSON.stringify({ testResults: [] }), ["0", "0"], "0 passed, 1 failed"],
  ["there is no report", "", ["1", "0"], "0 passed, 1 failed"],
  ["an error was outside of every test", reportOf("passed", "passed"), ["1", "0"], "1 passed, 1 failed"],
  ["types or lint are not clean", reportOf("passed", "passed"), ["0", "2"], "1 passed, 1 failed"],
] as const)("closes with the count, and fails unless it is clean: %s", ([, report, statuses, line]) => {
  const path = join(folder, "report.json");
  writeFileSync(path, report);
  const { stdout, status } = spawnSync(process.execPath, [verdict, path, ...statuses], { encoding: "utf8" });
  expect(stdout.trimEnd().split("\n").at(-1)).toBe(line);
  expect(status).toBe(line.endsWith(" 0 failed") ? 0 : 1);
});
