#!/usr/bin/env node
/**
 * run.mjs [SUITE…] [--size 2GiB] [--rounds 5] [--only PATTERN] [--json FILE] [--scratch FOLDER] [--disk FOLDER] [--tls]
 *
 * The benchmarks. README.md beside this file says what each suite tells and how to read it. Needs a build (`npm run bench`
 * makes one).
 *
 * A suite is a function that gives trials (trial.mjs), one after the other or all at once; to add one, add it here.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parseSize } from "../dist/bytes.js";
import { cutSuite } from "./cut.mjs";
import { listSuite } from "./list.mjs";
import { machine } from "./machine.mjs";
import { openpgpSuite } from "./openpgp.mjs";
import { pipelineSuite } from "./pipeline.mjs";
import { profileSuite } from "./profile.mjs";
import { restoreSuite } from "./restore.mjs";
import { rssSuite } from "./rss.mjs";
import { fastFolder } from "./scratch.mjs";
import { startupSuite } from "./startup.mjs";
import { judgement, printMissing, printTrial } from "./table.mjs";
import { measure } from "./trial.mjs";
import { openWorkbench } from "./workbench.mjs";

const suites = {
  openpgp: openpgpSuite,
  cut: cutSuite,
  pipeline: pipelineSuite,
  restore: restoreSuite,
  profile: profileSuite,
  rss: rssSuite,
  list: listSuite,
  startup: startupSuite,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: "string" },
    rounds: { type: "string" },
    only: { type: "string", default: "" },
    json: { type: "string" },
    scratch: { type: "string" },
    disk: { type: "string" },
    tls: { type: "boolean", default: false },
  },
});
const wanted = positionals.length > 0 ? [...new Set(positionals)] : Object.keys(suites);
const unknown = wanted.find((name) => !Object.hasOwn(suites, name));
if (unknown !== undefined) fail(`there is no suite "${unknown}"; there are: ${Object.keys(suites).join(", ")}`);
const rounds = values.rounds === undefined ? null : Number(values.rounds);
if (rounds !== null && !(Number.isInteger(rounds) && rounds >= 1)) fail("--rounds is a whole number from 1");

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
const only = new RegExp(values.only);
const cancel = new AbortController();
for (const [name, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
  process.on(name, () => {
    if (cancel.signal.aborted) process.exit(status); // asked twice: what is left to tidy is tidied on the way out
    process.exitCode = status;
    cancel.abort(new Error(name));
  });
}

try {
  await main();
} catch (error) {
  if (!cancel.signal.aborted) throw error;
  if (error !== cancel.signal.reason && error.name !== "AbortError") console.error(`while tidying up: ${error.message}`);
  console.error(`stopped by ${cancel.signal.reason.message}`);
}
process.exit();

async function main() {
  const { version } = createRequire(import.meta.url)("../package.json");
  const sizeBytes = values.size === undefined ? null : parseSize(values.size);
  const bench = openWorkbench({ base: values.scratch ?? fastFolder(), sizeBytes, signal: cancel.signal, options: values });
  const { versions: peers, missing } = bench.peers;
  const asked = { at: new Date().toISOString(), sizeBytes, rounds, only: values.only };
  const results = { zferry: version, node: process.version, peers, missing, machine: machine(), ...asked, suites: {} };
  printMissing(missing);
  for (const name of wanted) {
    results.suites[name] = { trials: [] };
    for await (const trial of await suites[name](bench)) {
      const measured = await measure(trial, { rounds, only, signal: cancel.signal, explain: bench.explain });
      results.suites[name].trials.push(measured);
      printTrial(name, measured);
    }
  }
  const trials = Object.values(results.suites).flatMap((suite) => suite.trials);
  console.log(judgement(trials));
  write(results);
  if (trials.some((trial) => trial.missing.some(({ failed }) => failed === true))) process.exitCode = 1;
}

function write(results) {
  const folder = fileURLToPath(new URL("results/", import.meta.url));
  const name = `${results.at.slice(0, 10)}-${wanted.join("-")}.json`;
  if (values.json === undefined) mkdirSync(folder, { recursive: true });
  writeFileSync(values.json ?? `${folder}${name}`, `${JSON.stringify(results, null, 1)}\n`);
  console.log(`written to ${values.json ?? `bench/results/${name}`}`);
}

function fail(text) {
  console.error(text);
  process.exit(2);
}
