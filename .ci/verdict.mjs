// verdict.mjs REPORT TEST-STATUS CHECK-STATUS: prints `N passed, N failed` as the last line and exits 0 only if types and lint
// are clean, tests ran, every one of them, and none failed. What is not as it must be is named above that line.
//
// REPORT is vitest's JSON report, the others are exit statuses. A skipped test, a file that could not be loaded, a report
// that is not there and an unclean check count as one failure each, so that the line never says less than the status.
import { readFileSync } from "node:fs";

const [path, testStatus, checkStatus] = process.argv.slice(2);

function readReport() {
  try {
    return JSON.parse(readFileSync(path, "utf8")).testResults;
  } catch {
    return [];
  }
}

const files = readReport();
const tests = files.flatMap((file) => file.assertionResults.map((test) => ({ ...test, file: file.name })));
const passed = tests.filter((test) => test.status === "passed");
const failed = tests.filter((test) => test.status === "failed");
const missing = tests.filter((test) => test.status !== "passed" && test.status !== "failed");
const broken = files.filter((file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"));

const problems = [
  ...failed.map((test) => `failed: ${test.file}: ${test.fullName}`),
  ...missing.map((test) => `not run (${test.status}): ${test.file}: ${test.fullName}`),
  ...broken.map((file) => `could not run: ${file.name}: ${file.message}`),
  ...(tests.length === 0 ? ["no test ran"] : []),
];
// Vitest also fails for an error outside of every test, of which its report says nothing.
if (testStatus !== "0" && problems.length === 0) problems.push(`the tests ended with status ${testStatus}`);
if (checkStatus !== "0") problems.push(`types or lint: the check ended with status ${checkStatus}`);

for (const problem of problems) console.log(problem);
console.log(`${passed.length} passed, ${problems.length} failed`);
process.exitCode = problems.length === 0 ? 0 : 1;
