/**
 * One trial: contenders that do the same work, run in turn, round after round, so that whatever else the machine does
 * meets all of them. The first contender is the baseline.
 *
 * A trial is `{ name, bytes, contenders, missing?, targets?, unit?, rounds?, warmUp?, notes? }`. A contender is `{ name,
 * run, check?, value?, bytes? }`: `run` does the work once and may return `{ seconds, cpuSeconds, peakRssBytes, … }`, numbers that
 * are kept for every round; `check` takes the place of its warm-up run and throws when what comes out is not right.
 * A contender that is given less or more than the trial's `bytes` has its own.
 * `unit` is `MiB/s` (the default), `ms` (for trials without `bytes`), or anything else with `value` to pick the figure.
 * Targets are `{ contender, against, atLeast | atMost }`, of ratios; without `against`, of the figure itself.
 */
import { setImmediate as turn } from "node:timers/promises";

const MiB = 1048576;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * Measures a trial. A contender that fails is named as missing, with the reason; it wins nothing.
 *
 * @returns the trial as it stands in the JSON file
 */
export async function measure(trial, { rounds: wantedRounds, only, signal, explain }) {
  const rounds = wantedRounds ?? trial.rounds ?? 5;
  const missing = [...(trial.missing ?? [])];
  const samples = new Map(trial.contenders.filter(({ name }) => only.test(name)).map((contender) => [contender, []]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const contender of [...samples.keys()]) {
      if (round === 0 && trial.warmUp === false && contender.check === undefined) continue;
      await turn(); // some contenders never let the event loop turn, and a signal would wait for the last of them
      signal.throwIfAborted();
      try {
        const sample = round === 0 && contender.check !== undefined ? await contender.check() : await timed(contender);
        if (round > 0) samples.get(contender).push(sample);
      } catch (error) {
        signal.throwIfAborted();
        samples.delete(contender);
        missing.push({ name: contender.name, why: `it failed: ${explain(error)}`, failed: true });
      }
    }
  }
  return summary(trial, samples, { rounds, missing });
}

async function timed({ run }) {
  const startedAt = performance.now();
  const sample = await run();
  return { seconds: (performance.now() - startedAt) / 1000, ...sample };
}

function summary(trial, samples, { rounds, missing }) {
  const { name, bytes = null, notes = [] } = trial;
  const unit = trial.unit ?? (bytes === null ? "ms" : "MiB/s");
  const runsOf = (contender) => samples.get(contender).map((sample) => valueOf(sample, { ...trial, unit, contender }));
  const measured = [...samples.keys()];
  const baseline = measured[0];
  const figures = measured.map((contender) => ({
    contender: contender.name,
    ...spread(runsOf(contender)),
    runs: runsOf(contender),
    ratio: paired(runsOf(contender), runsOf(baseline)),
    ...costs(samples.get(contender), contender.bytes ?? bytes),
  }));
  const targets = (trial.targets ?? []).map((target) => judged(target, figures));
  return { name, bytes, unit, rounds, baseline: baseline?.name ?? null, notes, figures, missing, targets };
}

function valueOf(sample, { unit, bytes, contender }) {
  if (contender.value !== undefined) return contender.value(sample);
  return unit === "MiB/s" ? (contender.bytes ?? bytes) / MiB / sample.seconds : sample.seconds * 1000;
}

/** The ratio of each run to the baseline's run of the same round. */
function paired(runs, baselineRuns) {
  return spread(runs.map((value, round) => value / baselineRuns[round]));
}

/** What else was measured: CPU by the GiB, memory, and every other number under its own name. */
function costs(samples, bytes) {
  const { seconds: _seconds, cpuSeconds: _cpu, peakRssBytes: _peak, ...others } = samples[0] ?? {};
  const of = (pick) => {
    const values = samples.map(pick).filter((value) => typeof value === "number");
    return values.length === 0 ? null : spread(values);
  };
  return {
    seconds: of(({ seconds }) => seconds),
    cpuSecondsPerGiB: bytes === null ? null : of(({ cpuSeconds }) => cpuSeconds && cpuSeconds / (bytes / 1024 / MiB)),
    peakRssMiB: of(({ peakRssBytes }) => peakRssBytes && peakRssBytes / MiB),
    ...Object.fromEntries(Object.keys(others).map((name) => [name, of((sample) => sample[name])])),
  };
}

/** `reached` is null when one of the two was not measured. */
function judged(target, figures) {
  const figure = figures.find(({ contender }) => contender === target.contender);
  const other = figures.find(({ contender }) => contender === target.against);
  if (figure === undefined || (target.against !== undefined && other === undefined)) return { ...target, reached: null, met: null };
  const reached = other === undefined ? figure.median : paired(figure.runs, other.runs).median;
  const met = reached >= (target.atLeast ?? -Infinity) && reached <= (target.atMost ?? Infinity);
  return { ...target, reached, met };
}
