#!/usr/bin/env node
/**
 * run.mjs [SUITE…] — the benchmarks. Prints a table and writes the raw figures to bench/results/.
 *
 * Each figure is the median of interleaved runs, with its spread, and a ratio to a baseline measured in the same run:
 * single figures mean little on a machine that does other things too. Needs a build (`npm run bench` makes one).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { createRequire } from "node:module";
import { cutSuite } from "./cut.mjs";

const suites = { cut: cutSuite };
const rounds = 5;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Runs every contender once per round, in turn, and returns MiB/s by contender. */
async function measure({ bytes, contenders }) {
  const rates = new Map(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const { name, run } of contenders) {
      const startedAt = performance.now();
      await run();
      const seconds = (performance.now() - startedAt) / 1000;
      if (round > 0) rates.get(name).push(bytes / 1048576 / seconds); // the first round warms up
    }
  }
  return rates;
}

const wanted = process.argv.slice(2).length > 0 ? process.argv.slice(2) : Object.keys(suites);
const { version } = createRequire(import.meta.url)("../package.json");
const machine = { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, memoryBytes: totalmem() };
const results = { zferry: version, node: process.version, machine, at: new Date().toISOString(), rounds, suites: {} };
for (const name of wanted) {
  if (!(name in suites)) throw new Error(`there is no suite "${name}"; there are: ${Object.keys(suites).join(", ")}`);
  console.log(`\n${name}: median of ${rounds} interleaved runs (lowest – highest), MiB/s`);
  for (const trial of await suites[name]()) {
    const rates = await measure(trial);
    const baseline = median(rates.get(trial.contenders[0].name));
    results.suites[name] ??= [];
    for (const [contender, values] of rates) {
      const figure = { trial: trial.name, contender, medianMiBps: median(values), runs: values, ratio: median(values) / baseline };
      results.suites[name].push(figure);
      const spread = `${Math.min(...values).toFixed(0)} – ${Math.max(...values).toFixed(0)}`;
      console.log(`  ${trial.name.padEnd(28)} ${contender.padEnd(28)} ${figure.medianMiBps.toFixed(0).padStart(7)}  (${spread})  × ${figure.ratio.toFixed(2)}`);
    }
  }
}
const folder = new URL("results/", import.meta.url);
mkdirSync(folder, { recursive: true });
const file = new URL(`${results.at.slice(0, 10)}-${wanted.join("-")}.json`, folder);
writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
console.log(`\nwritten to bench/results/${file.pathname.split("/").at(-1)}`);
