/**
 * From figures to what they mean: which stage limits a backup, and which setting would change that. Pure.
 *
 * A stage limits when the run is as slow as it is on its way through that stage, and was faster without it. Advice is
 * given only where a trial has shown that it helps; where the trials show that nothing helps, that is said.
 */
import { formatRate, MiB } from "../bytes.ts";
import type { Figures, Stage } from "./stages.ts";

/** What was measured, and on what. */
export interface BenchFigures {
  /** `source`, `inspect`, `seal` and, with a store, `store`: each stage with those before it. */
  readonly ladder: readonly Figures[];
  /** Less data each: other packets, other numbers of threads, the store alone, and the store with twice the parts in flight. */
  readonly comparisons: readonly Figures[];
  readonly coreCount: number;
}

/** What is used up where the limit is. */
export type Resource = "processor" | "main-thread" | "waiting";

export interface Limit {
  readonly stage: Exclude<Stage, "upload">;
  /** All cores busy; the main thread busy; or neither, so that something outside is waited for. */
  readonly resource: Resource;
  /** Of everything put together. */
  readonly mibPerSecond: number;
  /** The same without the stage; null for the source. */
  readonly withoutItMibPerSecond: number | null;
}

export interface Advice {
  readonly code: string;
  readonly text: string;
}

/** Two rates this near to each other are the same: a run differs from the next by as much. */
const tie = 1.1;
/** From here on a core, or all of them, count as busy. */
const busy = 0.85;
/** What a change must bring before it is recommended. */
const worthwhile = 1.15;
/** `rfc9580` is no faster and gpg does not read it; `none` is no question of speed. */
const advisedPacket = "ocb";
/** Shorter than this, starting up is a good part of what was measured. */
const shortSeconds = 0.5;

/** The better of the trials of the packet and threads in question: others must beat that one, not an unlucky run. */
function sealOf(figures: BenchFigures): Figures | null {
  const first = rung(figures, "seal");
  if (first === null) return null;
  const [best = first] = sealings(figures, ({ packet, threads }) => packet === first.packet && threads === first.threads);
  return best.mibPerSecond > first.mibPerSecond ? best : first;
}

function rung({ ladder }: BenchFigures, stage: Stage): Figures | null {
  return ladder.find((figures) => figures.stage === stage) ?? null;
}

function uploads({ comparisons }: BenchFigures): { readonly plain: Figures | null; readonly wide: Figures | null } {
  const [plain = null, wide = null] = comparisons.filter(({ stage }) => stage === "upload");
  return { plain, wide };
}

/** @throws an Error, which is a bug, without figures */
export function limitOf(figures: BenchFigures): Limit {
  const whole = figures.ladder.at(-1);
  if (whole === undefined) throw new Error("nothing was measured");
  const alone: readonly (readonly [Limit["stage"], Figures | null])[] = [
    ["source", rung(figures, "source")],
    ["inspect", rung(figures, "inspect")],
    ["seal", rung(figures, "seal")],
    ["store", uploads(figures).plain],
  ];
  const rates = alone.flatMap(([stage, one]) => (one === null ? [] : [{ stage, rate: one.mibPerSecond, figures: one }]));
  const slowest = Math.min(...rates.map(({ rate }) => rate));
  const found = rates.find(({ rate }) => rate <= slowest * tie);
  if (found === undefined) throw new Error("nothing was measured");
  const { stage } = found;
  return { stage, resource: resourceOf(whole, figures.coreCount), mibPerSecond: whole.mibPerSecond, withoutItMibPerSecond: without(figures, stage) };
}

function resourceOf({ busyCores, mainThreadShare }: Figures, coreCount: number): Resource {
  if (busyCores >= busy * coreCount) return "processor";
  return mainThreadShare >= busy ? "main-thread" : "waiting";
}

function without(figures: BenchFigures, stage: Limit["stage"]): number | null {
  const rate = (name: Stage): number | null => rung(figures, name)?.mibPerSecond ?? null;
  switch (stage) {
    case "source":
      return null;
    case "inspect":
      return rate("source");
    case "seal":
      return Math.min(rate("inspect") ?? Infinity, uploads(figures).plain?.mibPerSecond ?? Infinity);
    case "store":
      return rate("seal");
  }
}

interface View {
  readonly figures: BenchFigures;
  readonly limit: Limit;
  readonly whole: Figures;
  readonly seal: Figures | null;
  readonly plain: Figures | null;
  readonly wide: Figures | null;
}

interface Rule {
  readonly code: string;
  /** The advice, or null when the figures do not support it. */
  readonly say: (view: View) => string | null;
}

const rate = ({ mibPerSecond }: Figures): string => formatRate(mibPerSecond * MiB, 1);

/** Every piece of advice there is, in the order it is given. */
const rules: readonly Rule[] = [
  {
    code: "source",
    say: ({ limit, figures }) => {
      const source = rung(figures, "source");
      if (limit.stage !== "source" || source === null) return null;
      return `the source gives ${rate(source)} and everything else is as fast or faster: nothing to gain in zferry's settings`;
    },
  },
  {
    code: "packet",
    say: ({ limit, seal, figures }) => {
      if (limit.stage !== "seal" || seal === null || seal.packet === "none" || seal.packet === advisedPacket) return null;
      const [best] = sealings(figures, (one) => one.packet === advisedPacket && one.threads === seal.threads);
      if (best === undefined || best.mibPerSecond < seal.mibPerSecond * worthwhile) return null;
      const cost = seal.cpuSecondsPerGib / best.cpuSecondsPerGib;
      if (cost < worthwhile) return null;
      return `packet "${seal.packet ?? ""}" takes ${cost.toFixed(1)} times the processor time of "${advisedPacket}": --packet ${advisedPacket} seals ${rate(best)} instead of ${rate(seal)}`;
    },
  },
  {
    code: "threads",
    say: ({ limit, seal, figures }) => {
      if (limit.stage !== "seal" || seal === null) return null;
      const [best] = sealings(figures, (one) => one.packet === seal.packet && one.threads !== seal.threads);
      if (best === undefined || best.mibPerSecond < seal.mibPerSecond * worthwhile) return null;
      return `--threads ${best.threads ?? 0} seals ${rate(best)} instead of ${rate(seal)}`;
    },
  },
  {
    code: "concurrency",
    say: ({ limit, plain, wide }) => {
      if (limit.stage !== "store" || plain === null || wide === null) return null;
      if (wide.mibPerSecond < plain.mibPerSecond * worthwhile) return null;
      return `the store takes ${rate(plain)} with ${plain.concurrency ?? 0} parts in flight and ${rate(wide)} with ${wide.concurrency ?? 0}: --concurrency ${wide.concurrency ?? 0}, for ${wide.concurrency ?? 0} + 1 parts of memory`;
    },
  },
  {
    code: "line",
    say: ({ limit, plain, wide }) => {
      if (limit.stage !== "store" || plain === null || wide === null) return null;
      if (wide.mibPerSecond >= plain.mibPerSecond * worthwhile) return null;
      return `the store takes ${rate(plain)}, and no more with twice the parts in flight: the line or the store itself is the limit`;
    },
  },
  {
    code: "store",
    say: ({ limit, plain, wide }) => {
      if (limit.stage !== "store" || plain === null || wide !== null || limit.resource !== "waiting") return null;
      return `the store takes ${rate(plain)} by itself: nothing to gain before it`;
    },
  },
  {
    code: "processor",
    say: ({ limit, whole, figures: { coreCount } }) => {
      if (limit.resource !== "processor" || limit.stage === "source") return null;
      const cores = coreCount === 1 ? "the one core is" : `${coreCount} cores are`;
      return `${cores} busy: faster cores or less other work would help (${whole.cpuSecondsPerGib.toFixed(2)} CPU-s/GiB here)`;
    },
  },
  {
    code: "unsteady",
    say: ({ figures: { ladder } }) => {
      const odd = ladder.find((one, index) => ladder.slice(0, index).some((before) => one.mibPerSecond > before.mibPerSecond * worthwhile));
      if (odd === undefined) return null;
      return `"${odd.stage}" was faster than a trial with less to do: the machine was busy, or the source came from memory the second time; measure again`;
    },
  },
  {
    code: "short",
    say: ({ whole }) => {
      if (whole.seconds >= shortSeconds) return null;
      return `measured in ${whole.seconds.toFixed(2)} s, of which starting up is a good part: take a larger --source`;
    },
  },
];

/** Trials that seal, the fastest first. */
function sealings({ comparisons }: BenchFigures, isWanted: (one: Figures) => boolean): Figures[] {
  return comparisons.filter((one) => one.stage === "seal" && isWanted(one)).sort((a, b) => b.mibPerSecond - a.mibPerSecond);
}

export function adviceFor(figures: BenchFigures, limit: Limit): Advice[] {
  const whole = figures.ladder.at(-1);
  if (whole === undefined) throw new Error("nothing was measured");
  const view: View = { figures, limit, whole, seal: sealOf(figures), ...uploads(figures) };
  return rules.flatMap(({ code, say }) => {
    const text = say(view);
    return text === null ? [] : [{ code, text }];
  });
}
