/**
 * Where the CPU time of `put` and `get` goes, by stage: what V8's profiler sees in the main thread and in the worker
 * threads, each sample counted for the innermost stage at work. What the process used beyond that is node's own: reads and
 * writes of files, the collector's and the compiler's threads. The profiler costs a few percent itself.
 *
 * A sample is taken by the clock, so the machine should do nothing else: a thread that waits for a core counts as working.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { feed, GiB } from "./lines.mjs";
import { needRoom } from "./scratch.mjs";

/** The first whose pattern fits a frame's `function file` names it; frames that fit none belong to their callers. */
const stages = [
  [/^\(idle\)/, null],
  [/^\(garbage collector\)/, "collector, in the thread"],
  [/ node:internal\/crypto\/cipher$/, "cipher"],
  [/ .*dist\/openpgp\/xor\.js$/, "XOR of CFB"],
  [/ .*dist\/openpgp\/passphrase\.js$/, "key from passphrase"],
  [/ .*dist\/openpgp\/cfb\.js$/, "SHA-1 and framing of CFB"],
  [/ .*dist\/openpgp\//, "packets around the cipher"],
  [/ .*dist\/stream\/digest\.js$|^check .*dist\/thread\/station\.js$/, "SHA-256"],
  [/ .*dist\/thread\/|dist\/packing\.js$/, "blocks between threads"],
  [/ .*dist\/cli\/pipe-reader\.js$/, "read stdin"],
  [/ .*dist\/(?:replay|stream\/inspect)/, "inspect"],
  [/ .*dist\/(?:tail|stream\/withhold|cli\/get)\.js$/, "write stdout"],
  [/ .*dist\/store\/|dist\/bytes\.js$|dist\/retrieve\.js$/, "store: read, write, order"],
  [/ .*dist\/stream\/|dist\/(?:ferry|attempt|journal|files)\.js$/, "cut, note marks"],
  [/ node:internal\/(?:modules|bootstrap)|dist\//, "start: load and set up"],
];
const otherwise = "node itself";

const flags = '--log-level error --state-dir "$STATE" --passphrase-file "$PASS" --store "$STORE"';
const node = '"$NODE" --cpu-prof --cpu-prof-dir="$PROFILES" "$ZFERRY"';

export async function* profileSuite(bench) {
  const input = await bench.input(bench.sizeBytes ?? 2 * GiB);
  for (const packet of ["ocb", "cfb"]) {
    needRoom(bench.scratch.folder, input.sizeBytes);
    const extra = { INPUT: input.file, STATE: bench.scratch.empty("state"), PROFILES: bench.scratch.empty("profiles") };
    const kept = bench.scratch.empty("store");
    const put = `${node} put "$BACKUP" ${flags} --packet ${packet}`;
    await bench.line(put, { source: feed, extra: { ...extra, STORE: kept } });
    yield stageTrial(bench, `put ${packet}: stdin → directory`, input.sizeBytes, () => {
      const STORE = bench.scratch.empty("store-profiled");
      return bench.line(put, { source: feed, extra: { ...extra, STORE } }).finally(() => bench.scratch.empty("store-profiled"));
    }, extra.PROFILES);
    const get = `${node} get "$BACKUP" ${flags} > /dev/null`;
    yield stageTrial(bench, `get ${packet}: directory → /dev/null`, input.sizeBytes, () => bench.line(get, { extra: { ...extra, STORE: kept } }), extra.PROFILES);
  }
}

/** The first contender runs the line; the others are the stages of that very run. */
function stageTrial(bench, name, bytes, run, folder) {
  let seen = new Map();
  const perGiB = (seconds) => seconds / (bytes / GiB);
  const whole = {
    name: "all of the process",
    value: ({ cpuSeconds }) => perGiB(cpuSeconds),
    run: async () => {
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      const { seconds, cpuSeconds, peakRssBytes } = await run();
      seen = stageSeconds(folder);
      const inThreads = [...seen.values()].reduce((sum, value) => sum + value, 0);
      seen.set(rest, Math.max(0, cpuSeconds - inThreads));
      return { seconds, cpuSeconds, peakRssBytes };
    },
  };
  const parts = ["main", "worker"].flatMap((thread) => stageNames.map((stage) => `${thread}: ${stage}`));
  const contenders = [...parts, rest].map((part) => ({
    name: part,
    value: ({ stageSeconds }) => perGiB(stageSeconds),
    run: () => ({ seconds: 0, stageSeconds: seen.get(part) ?? 0 }),
  }));
  return { name, bytes, unit: "CPU-s/GiB", warmUp: false, contenders: [whole, ...contenders] };
}

const rest = "node's other threads";
const stageNames = [...new Set(stages.map(([, stage]) => stage)), otherwise].filter((stage) => stage !== null);

/** Seconds by `thread: stage`, of all profiles in the folder. */
function stageSeconds(folder) {
  const seconds = new Map();
  for (const file of readdirSync(folder)) {
    // CPU.DATE.TIME.PID.THREAD.NUMBER.cpuprofile; the main thread is 0
    const thread = file.split(".")[4] === "0" ? "main" : "worker";
    for (const [stage, value] of secondsOf(JSON.parse(readFileSync(join(folder, file), "utf8")))) {
      const part = `${thread}: ${stage}`;
      seconds.set(part, (seconds.get(part) ?? 0) + value);
    }
  }
  return seconds;
}

function secondsOf({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((frame) => [frame.id, frame]));
  const stageOfId = new Map();
  const walk = (id, inherited) => {
    const { callFrame, children = [] } = byId.get(id);
    const stage = stageOf(callFrame, inherited);
    stageOfId.set(id, stage);
    for (const child of children) walk(child, stage);
  };
  walk(nodes[0].id, otherwise);
  const seconds = new Map();
  samples.forEach((id, index) => {
    const stage = stageOfId.get(id);
    if (stage !== null) seconds.set(stage, (seconds.get(stage) ?? 0) + timeDeltas[index] / 1e6);
  });
  return seconds;
}

function stageOf({ functionName, url }, inherited) {
  const found = stages.find(([pattern]) => pattern.test(`${functionName} ${url}`));
  return found === undefined ? inherited : found[1];
}
