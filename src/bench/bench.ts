/**
 * `zferry bench`: how fast a backup would be here, which stage limits it, and which setting would change that.
 *
 * Each stage is measured together with those before it, on the engine's own code: what it costs is the difference. Then
 * the alternatives are tried on less data. What is stored goes under a throw-away name and away again
 * (`scratch.ts`).
 */
import { type Advice, adviceFor, type BenchFigures, type Limit, limitOf } from "./advice.ts";
import type { ProcessUsage } from "./meter.ts";
import { inScratch } from "./scratch.ts";
import { type OpenSource, synthetic } from "./source.ts";
import { type Figures, type Layout, runTrial, type Trial } from "./stages.ts";
import { MiB } from "../bytes.ts";
import { type PacketName, packetNames } from "../format/layout.ts";
import { maxThreads } from "../packing.ts";
import type { Store } from "../store/store.ts";

/** A store that can be opened, each time with as many parts in flight. */
export interface BenchStore {
  readonly kind: "s3" | "directory";
  readonly concurrency: number;
  readonly use: <T>(concurrency: number, work: (store: Store) => Promise<T>) => Promise<T>;
}

export interface BenchRequest {
  readonly open: OpenSource;
  /** Not more of the source than this in one trial; `Infinity` for all of it. */
  readonly maxBytes: number;
  readonly packet: PacketName;
  readonly threads: number;
  readonly layout: Layout;
  readonly store: BenchStore | null;
  readonly coreCount: number;
  readonly usage: () => ProcessUsage;
  /** Called before each trial. */
  readonly onTrial: (trial: Trial) => void;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

export interface BenchResult extends BenchFigures {
  readonly peakRssBytes: number;
  readonly limit: Limit;
  readonly advice: readonly Advice[];
}

/** What a comparison needs: enough for the threads and connections to be under way. */
const sampleBytes = 256 * MiB;
/** Parts a store is given per place in flight. */
const sampleRounds = 4;
const maxConcurrency = 64;
const warmUpBytes = 16 * MiB;

const nothing = { packet: null, threads: null, concurrency: null };

/** @throws ZferryError the codes of the source, `stream-invalid`, the store's codes; the signal's reason */
export async function bench(request: BenchRequest): Promise<BenchResult> {
  const { packet, threads, store, coreCount, maxBytes, usage } = request;
  await warmUp(request);
  const source = await measure(request, { ...nothing, stage: "source" }, maxBytes);
  const inspect = await measure(request, { ...nothing, stage: "inspect" }, maxBytes);
  const seal = await measure(request, { ...nothing, stage: "seal", packet, threads }, maxBytes);
  const sealed: BenchFigures = { ladder: [source, inspect, seal], comparisons: [], coreCount };
  const { ladder, comparisons } = store === null ? sealed : await stored(request, store, sealed, source.bytes);
  const others: Figures[] = [];
  for (const other of [...alternatives(request), { packet, threads }]) {
    others.push(await measure(request, { ...nothing, stage: "seal", ...other }, Math.min(source.bytes, sampleBytes)));
  }
  const figures = { ladder, comparisons: [...comparisons, ...others], coreCount };
  const limit = limitOf(figures);
  return { ...figures, peakRssBytes: usage().peakRssBytes, limit, advice: adviceFor(figures, limit) };
}

/** Everything put together, and the store alone; once more with twice the parts in flight where that may help. */
async function stored(request: BenchRequest, store: BenchStore, sealed: BenchFigures, sourceBytes: number): Promise<BenchFigures> {
  const { packet, threads, layout, maxBytes } = request;
  const { kind, concurrency } = store;
  const whole = await measure(request, { stage: "store", packet, threads, concurrency }, maxBytes);
  const bytes = Math.min(sourceBytes, Math.max(sampleBytes, sampleRounds * concurrency * layout.partBytes));
  const upload = (inFlight: number): Promise<Figures> => measure(request, { ...nothing, stage: "upload", concurrency: inFlight }, bytes);
  const figures = { ...sealed, ladder: [...sealed.ladder, whole], comparisons: [await upload(concurrency)] };
  const wide = Math.min(2 * concurrency, maxConcurrency);
  if (kind !== "s3" || wide === concurrency || limitOf(figures).stage !== "store") return figures;
  return { ...figures, comparisons: [...figures.comparisons, await upload(wide)] };
}

/** The other packets, and the packet in question with no threads or, where there is a second core, with all of them. */
function alternatives({ packet, threads, coreCount }: BenchRequest): { packet: PacketName; threads: number }[] {
  const packets = packetNames.filter((other) => other !== packet).map((other) => ({ packet: other, threads }));
  const counts = coreCount > 1 ? [0, maxThreads] : [0];
  return [...packets, ...counts.filter((count) => count !== threads).map((count) => ({ packet, threads: count }))];
}

/** Lets the compiler see the code before anything is timed. */
async function warmUp({ packet, layout, usage, signal }: BenchRequest): Promise<void> {
  const trial = { stage: "seal", packet, threads: 0, concurrency: null } as const;
  const open: OpenSource = (runSignal) => synthetic(warmUpBytes, runSignal);
  await runTrial(trial, { open, maxBytes: warmUpBytes, layout, destination: null, usage, signal });
}

async function measure(request: BenchRequest, trial: Trial, maxBytes: number): Promise<Figures> {
  const { open, layout, store, usage, onTrial, warn, signal } = request;
  signal.throwIfAborted();
  onTrial(trial);
  const work = (destination: { store: Store; prefix: string } | null): Promise<Figures> =>
    runTrial(trial, { open, maxBytes, layout, destination, usage, signal });
  if (trial.concurrency === null || store === null) return work(null);
  return store.use(trial.concurrency, (opened) => inScratch(opened, warn, (prefix) => work({ store: opened, prefix })));
}
