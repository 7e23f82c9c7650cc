/** `zferry bench`: how fast a backup would be here, or what one of a given size takes. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { bench, type BenchResult, type BenchStore } from "../bench/bench.ts";
import type { Figures, Trial } from "../bench/stages.ts";
import { type BenchSource, parseSource, readySource } from "../bench/source.ts";
import { formatSize, GiB } from "../bytes.ts";
import type { StoreSettings } from "../config/config.ts";
import { defaultSettings } from "../config/schema.ts";
import { ZferryError } from "../errors.ts";
import { parseChange, parseLink, parsePlanSize } from "../bench/scale-text.ts";
import { embeddedLimits } from "../store/memory.ts";
import { storeLimits } from "../store/open.ts";
import { checkSizes } from "../store/sizes.ts";
import { parseStoreUrl } from "../store/url.ts";
import { plan, type PlanFlags } from "./bench-plan.ts";
import { durationFlag, size, withSizes, withStore, withThreads, withZfs } from "./options.ts";
import { counted, rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStoreAt, zfsFor } from "./session.ts";
import { impatient, patience, storeSettings } from "./settings.ts";
import { table } from "./table.ts";
import { type Line, painted } from "./paint.ts";

const dayMs = 24 * 60 * 60 * 1000;
const defaultMaxBytes = 4 * GiB;

const explanation = `
Sources: synthetic:SIZE is a valid stream of random bytes; file:PATH a stored one; zfs:DATASET@SNAPSHOT a full send, made
anew for each trial. What goes to --store is sealed with keys that are thrown away, lies under a random prefix in bench/
and is removed again; no backup is read or made. What a run that was killed left in bench/ can be removed at any time. Each
stage is measured with those before it. Without --store, or with --store none, no store is measured, whatever the
configuration names.`;

interface BenchFlags extends PlanFlags {
  readonly source?: BenchSource;
  readonly limit?: number;
  readonly plan?: number;
}

export function benchCommand(command: Command, run: RunCommand): void {
  command
    .addOption(new Option("--source <source>", "synthetic:SIZE, file:PATH or zfs:DATASET@SNAPSHOT (default synthetic:1GiB)").argParser(said(parseSource)))
    .option("--limit <size>", "read no more of a file or a send than this in each trial (default 4GiB)", size)
    .addOption(new Option("--plan <size>", "compute requests, costs and hours for a backup of 10TB, and measure nothing").argParser(said(parsePlanSize)).conflicts(["source", "store", "limit", "threads", "packet", "zfs"]))
    .addOption(new Option("--link <speed>", "with --plan: speed of the line, as 100Mbit; may be repeated").argParser(said(links)))
    .addOption(new Option("--change <percent>", "with --plan: what is new each day, as 1%, for a month of nightly backups").argParser(said(parseChange)))
    .option("--full-every <time>", 'with --change: days from one full to the next, or "never" (default 30d)', fullEvery)
    .addHelpText("after", explanation);
  withZfs(withThreads(withSizes(withStore(command, "parts", patience.text)))).action(run(measureOrPlan));
}

/** Our refusals, as commander wants to hear them. */
function said<T>(parse: (text: string, before: T | undefined) => T): (text: string, before: T | undefined) => T {
  return (text, before) => {
    try {
      return parse(text, before);
    } catch (error) {
      if (!(error instanceof ZferryError)) throw error;
      throw new InvalidArgumentError(`${error.message}: ${error.hint ?? ""}.`);
    }
  };
}

function links(text: string, before: readonly number[] | undefined): readonly number[] {
  return [...(before ?? []), parseLink(text)];
}

function fullEvery(text: string): number | "never" {
  if (text === "never") return text;
  const days = durationFlag(text) / dayMs;
  if (days >= 1 && Number.isInteger(days)) return days;
  throw new InvalidArgumentError('write it in whole days, as 30d, or "never".');
}

async function measureOrPlan(session: Session, _words: readonly string[], flags: BenchFlags): Promise<void> {
  refuseOddFlags(flags);
  if (flags.plan === undefined) await measure(session, flags);
  else plan(session, flags, flags.plan);
}

function refuseOddFlags({ plan: size, link, change, fullEvery: every }: BenchFlags): void {
  const hint = "as in: zferry bench --plan 10TB --link 1Gbit --change 1% --full-every 30d";
  if (size === undefined && (link ?? change ?? every) !== undefined) {
    throw new ZferryError("usage", "--link, --change and --full-every need --plan", { hint });
  }
  if (change === undefined && every !== undefined) throw new ZferryError("usage", "--full-every needs --change", { hint });
}

async function measure(session: Session, flags: BenchFlags): Promise<void> {
  const { report, terminal, settings } = session;
  const source = flags.source ?? { kind: "synthetic", sizeBytes: GiB };
  const isStoring = flags.store !== undefined && flags.store !== "none";
  const wanted = isStoring ? storeSettings(flags, settings.config, null) : null;
  const chunkBytes = flags.chunkSize ?? settings.config.defaults.chunkBytes;
  const partBytes = wanted?.partBytes ?? flags.partSize ?? defaultSettings.partBytes;
  checkSizes({ chunkBytes, partBytes, limits: wanted === null ? embeddedLimits : storeLimits(wanted.url, terminal.environment) });
  const { packet } = settings.encryption;
  if (packet === "none" && wanted !== null && source.kind !== "synthetic") {
    report.warn('packet "none": until it is removed again, the stream lies in the store readable by whoever can read the store');
  }
  const path = source.kind === "file" ? { ...source, path: resolve(terminal.workingDirectory, source.path) } : source;
  const open = await readySource(path, () => zfsFor(session, settings.config.defaults), terminal.signal);
  const result = await bench({
    open,
    maxBytes: source.kind === "synthetic" ? Infinity : (flags.limit ?? defaultMaxBytes),
    packet,
    threads: settings.threads,
    layout: { chunkBytes, partBytes },
    store: wanted === null ? null : benchStore(session, flags, wanted),
    coreCount: terminal.coreCount,
    usage: terminal.usage,
    onTrial: (trial) => {
      if (report.isLive) report.live(`measuring ${nameOf(trial)}`);
    },
    warn: report.warn,
    signal: terminal.signal,
  });
  if (report.isLive) report.live("");
  report.json({ type: "bench", source: nameOfSource(source), store: wanted?.url ?? null, chunkBytes, partBytes, ...document(result) });
  report.text(textOf(result, report.columns));
}

function benchStore(session: Session, flags: BenchFlags, wanted: StoreSettings): BenchStore {
  const opened = impatient(flags, wanted);
  return {
    kind: parseStoreUrl(wanted.url, session.terminal.environment).kind,
    concurrency: wanted.concurrency,
    use: (concurrency, work) => useStoreAt(session, { ...opened, concurrency }, "write", ({ store }) => work(store)),
  };
}

function nameOfSource(source: BenchSource): string {
  switch (source.kind) {
    case "synthetic":
      return `synthetic:${source.sizeBytes}`;
    case "file":
      return `file:${source.path}`;
    case "zfs":
      return `zfs:${source.snapshot}`;
  }
}

function nameOf({ stage, packet, threads, concurrency }: Trial): string {
  const how = [
    ...(packet === null ? [] : [packet === "none" ? "none, hashed only" : packet]),
    ...(threads === null ? [] : [counted(threads, "thread")]),
    ...(concurrency === null ? [] : [`${concurrency} parts in flight`]),
  ];
  const what = stage === "upload" ? "store alone" : stage;
  return how.length === 0 ? what : `${what} (${how.join(", ")})`;
}

function document({ ladder, comparisons, coreCount, peakRssBytes, limit, advice }: BenchResult): Record<string, unknown> {
  const { stage, resource, mibPerSecond, withoutItMibPerSecond } = limit;
  return {
    coreCount,
    stages: ladder.map(roundedAll),
    comparisons: comparisons.map(roundedAll),
    peakRssBytes,
    limit: roundedAll({ stage, resource, mibPerSecond, withoutItMibPerSecond }),
    advice,
  };
}

function roundedAll(figures: object): Record<string, unknown> {
  const entries: [string, unknown][] = Object.entries(figures);
  return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === "number" ? rounded(value) : value]));
}

const where = { processor: "all cores are busy", "main-thread": "the main thread is busy", waiting: "it waits, for the outside or for other programs" } as const;

function textOf({ ladder, comparisons, peakRssBytes, limit, advice }: BenchResult, width: number | null): Line[] {
  const head = ["", "MiB/s", "CPU-s/GiB", "main thread", "memory", "measured with"];
  const cells = (figures: Figures, prefix: string): string[] => [
    `${prefix}${nameOf(figures)}`,
    figures.mibPerSecond.toFixed(0),
    figures.cpuSecondsPerGib.toFixed(2),
    `${(figures.mainThreadShare * 100).toFixed(0)} %`,
    formatSize(figures.peakRssBytes),
    formatSize(figures.bytes),
  ];
  const without = limit.withoutItMibPerSecond === null ? "" : `; without it ${limit.withoutItMibPerSecond.toFixed(0)}`;
  return [
    ...table([head, ...ladder.map((one, index) => cells(one, index === 0 ? "" : "+ ")), ...comparisons.map((one) => cells(one, "  compared: "))], { width, folding: ["measured with", "memory", "main thread"] }),
    [painted("limit:", "strong"), ` ${limit.stage}, ${limit.mibPerSecond.toFixed(0)} MiB/s in all${without}; ${where[limit.resource]}`],
    `peak memory: ${formatSize(ladder.at(-1)?.peakRssBytes ?? 0)} with everything put together, ${formatSize(peakRssBytes)} in all trials`,
    ...advice.map(({ text }) => `advice: ${text}`),
  ];
}
