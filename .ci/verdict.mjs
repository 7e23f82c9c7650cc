// verdict.mjs REPORT: reads vitest's JSON report, names what is not as it must be, prints `N passed, N failed` as the last
// line, and exits 0 only if tests ran, all of them, and none failed.
//
// A file that could not be loaded and a report that is not there count as one failure each: neither has a test to count.
import { readFileSync } from "node:fs";

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    console.log(`no test report: ${error.message}`);
    return { success: false, testResults: [] };
  }
}

const { success, testResults } = readReport(process.argv[2]);
const tests = testResults.flatMap((file) => file.assertionResults.map((test) => ({ ...test, file: file.name })));
const passed = tests.filter((test) => test.status === "passed");
const failed = tests.filter((test) => test.status === "failed");
const missing = tests.filter((test) => test.status !== "passed" && test.status !== "failed");
const broken = testResults.filter((file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"));

for (const test of missing) console.log(`${test.status}: ${test.file}: ${test.fullName}`);
for (const file of broken) console.log(`could not run: ${file.name}: ${file.message}`);
if (tests.length === 0) console.log("no test ran");

const known = failed.length + missing.length + broken.length;
// Vitest also fails for errors outside every test; then there is a failure that belongs to none of them.
const failures = known === 0 && !(success && passed.length > 0) ? 1 : known;
console.log(`${passed.length} passed, ${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;
