/** What people read: one table for each trial, what is missing, and how the project's own targets stand. */

export function printMissing(missing) {
  for (const { peer, why } of missing) console.log(`missing: ${peer}: ${why}`);
}

export function printTrial(suite, { name, unit, rounds, baseline, notes, figures, missing }) {
  console.log(`\n${suite}: ${name}; median of ${rounds} interleaved runs (lowest – highest)`);
  if (figures.length > 0) printRow(["", unit, "", `× ${baseline}`, "CPU-s/GiB", "peak MiB"]);
  for (const figure of figures.filter(({ max }) => max > 0)) {
    const { contender, median, min, max, ratio, cpuSecondsPerGiB, peakRssMiB } = figure;
    const ratios = `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} – ${ratio.max.toFixed(2)})`;
    const costs = [cpuSecondsPerGiB?.median.toFixed(2) ?? "", short(peakRssMiB?.median)];
    printRow([contender, short(median), ` (${short(min)} – ${short(max)})`, ` ${ratios}`, ...costs]);
  }
  for (const { name: contender, why } of missing) console.log(`  missing: ${contender}: ${why}`);
  for (const note of notes) console.log(`  note: ${note}`);
}

const widths = [32, 8, 17, 24, 11, 10];

function printRow(cells) {
  console.log(`  ${cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index]))).join("")}`);
}

function short(value) {
  return value == null ? "" : value.toFixed(value < 10 ? 2 : 0);
}

/** The targets of all trials, each with what was reached. */
export function judgement(trials) {
  const lines = trials.flatMap(({ name, unit, targets }) => targets.map((target) => `  ${verdict(target)}  ${name}: ${sentence(target, unit)}`));
  return lines.length === 0 ? "" : `\ntargets\n${lines.join("\n")}\n`;
}

function verdict({ met }) {
  return met === null ? "?     " : met ? "met   " : "missed";
}

function sentence({ contender, against, atLeast, atMost, reached }, unit) {
  const bound = atLeast === undefined ? `≤ ${atMost}` : `≥ ${atLeast}`;
  const what = against === undefined ? `${bound} ${unit}` : `${bound} × ${against}`;
  return `${contender} ${what}: ${reached === null ? "not measured" : reached.toFixed(2)}`;
}
