/** `zferry status [JOB…]`: how every dataset stands, from what lies on this host. */
import type { Command } from "commander";
import { formatSize } from "../bytes.ts";
import { readCatalog } from "../catalog.ts";
import { ZferryError } from "../errors.ts";
import { makeTeller } from "../notify/tell.ts";
import { statusDocument } from "../status/document.ts";
import { gather, type GatherRequest, type Standings } from "../status/gather.ts";
import type { Page } from "../status/serve.ts";
import { happeningsOf } from "../status/happenings.ts";
import { ageText, type Standing } from "../status/standing.ts";
import { gatherRequest, publish } from "./gathering.ts";
import { type SharedFlags, withStore } from "./options.ts";
import { momentText } from "./moments.ts";
import { type Line, painted, type Span } from "./paint.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { jobsOfStreams } from "../config/jobs.ts";
import { type Session, useStoreAt } from "./session.ts";
import { impatient, patience, storeSettings } from "./settings.ts";
import { table } from "./table.ts";

interface StatusFlags extends SharedFlags {
  readonly check?: boolean;
  readonly notify?: boolean;
  readonly serve?: string | true;
  readonly allHosts?: boolean;
}

const explanation = `
States: ok; stopped (what hooks stopped was not started again); failed (the last run); damaged (verify has found something, or backups are gone);
drill-failed; overdue; disabled-too-long; copy-failed; copy-behind (lacks what is older than overdue_after);
and, which are no problems: slow, waiting (for the first run), disabled, gone (no longer matched by the job).
Exit status: 0 all is well; 3 something is stopped, has failed, is damaged, has failed its drill, is overdue, disabled for too long, or not copied.`;

export function statusCommand(command: Command, run: RunCommand): void {
  command
    .option("--check", "ask the stores first what is there, and remember it")
    .option("--all-hosts", "say which host each dataset is of, and show what other machines have stored; with --store of all hosts below it")
    .option("--notify", "tell the notifiers of what is overdue or disabled for too long, each once a day; for a timer")
    .option("--serve [address]", "answer on HTTP instead: the page of report at /, /api/v1/backup/status, /metrics, /healthz (default 127.0.0.1:9909)")
    .addHelpText("after", explanation);
  withStore(command, "requests", patience.text).action(run(status));
}

async function status(session: Session, names: readonly string[], flags: StatusFlags): Promise<void> {
  if (flags.serve !== undefined) {
    await serveStatus(session, names, flags);
    return;
  }
  const { report } = session;
  if (flags.allHosts === true) {
    const { statusOfHosts } = await import("./status-hosts.ts");
    judge(await statusOfHosts(session, names, flags));
    return;
  }
  const request = gatherRequest(session, names, flags.store ?? null);
  if (flags.check === true) await check(session, request);
  const standings = await gather(request);
  if (flags.notify === true) await tell(session, standings);
  await publish(session, names.length === 0 && flags.store === undefined ? standings : null);
  report.json(statusDocument(standings));
  report.text(toText(standings, report.columns));
  for (const { notifier, at, why } of standings.undelivered) {
    report.warn(`notifier "${notifier}" did not get the last message (${at.toISOString()}): ${why}`);
  }
  judge(standings);
}

/** Reads the manifests of every store of the jobs, which the state file remembers. */
async function check(session: Session, { config, stateDir }: GatherRequest): Promise<void> {
  const { flags, report, terminal } = session;
  const stores = new Set(jobsOfStreams(config.jobs.values()).map(({ store }) => store));
  for (const named of stores) {
    const settings = impatient(flags, storeSettings(flags, session.settings.config, named));
    await useStoreAt(session, settings, "read", async ({ store }) => {
      const { damaged } = await readCatalog(store, { dataset: null, stateDir, warn: report.warn, signal: terminal.signal });
      for (const { key, error } of damaged) report.warn(`"${key}" in "${store.url}" cannot be used: ${error.message}`);
    });
  }
}

async function tell({ settings, terminal, report }: Session, standings: Standings): Promise<void> {
  const { environment, now, signal } = terminal;
  const teller = makeTeller(settings.config.notify, { stateDir: settings.stateDir, environment, warn: report.warn, now, signal });
  for (const happening of happeningsOf(standings)) await teller.tell(happening);
  await teller.end();
}

async function serveStatus(session: Session, names: readonly string[], { serve: where, check: isChecking, notify }: StatusFlags): Promise<void> {
  if (isChecking === true || notify === true) {
    throw new ZferryError("usage", "--serve goes with neither --check nor --notify", { hint: "run those by a timer, and leave the server to answer" });
  }
  const { defaultAddress, isLoopback, parseAddress, serve } = await import("../status/serve.ts");
  const { report, terminal } = session;
  const address = typeof where === "string" ? parseAddress(where) : defaultAddress;
  const request = gatherRequest(session, names, session.flags.store ?? null);
  await serve({
    address,
    standings: () => gather(request),
    page: () => drawPage(session, names),
    onListening: (url) => {
      report.info(`answers on ${url}/ (for browsers), ${url}/api/v1/backup/status, ${url}/metrics and ${url}/healthz`);
      if (!isLoopback(address)) report.warn(`${url} can be reached from other hosts: whoever does reads the names of jobs and datasets, unencrypted`);
    },
    warn: report.warn,
    signal: terminal.signal,
  });
}

/** The engine of the plots is loaded by whoever asks for the page first. */
async function drawPage(session: Session, names: readonly string[]): Promise<Page> {
  const [{ gatherEvidence }, { pagePolicy, reportPage }] = await Promise.all([import("./evidence.ts"), import("../report/page.ts")]);
  const { store } = session.flags;
  const evidence = await gatherEvidence(session, names, store === undefined ? {} : { store });
  return { text: await reportPage(evidence, session.terminal.signal), policy: pagePolicy };
}

export const heading = ["job", "dataset", "last success", "kind", "size", "next", "downtime", "verified", "drilled", "copies", "state"];

/** What a narrow terminal shows below the row, the first ones first. */
export const folding = ["downtime", "drilled", "copies", "verified", "kind", "size", "next"];

function toText({ at, standings }: Standings, width: number | null): Line[] {
  if (standings.length === 0) return ["no jobs"];
  return table([heading, ...standings.map((one) => rowOf(one, at, width !== null))], { width, folding });
}

export function rowOf({ job, dataset, lastSuccessAt, lastStored, nextExpectedAt, downtimeMs, held, drill, copying, state, why, isProblem }: Standing, at: Date, isLocal: boolean): Span[] {
  const verified = held?.verified ?? null;
  const sizeBytes = lastStored?.storedBytes ?? held?.newest?.messageBytes ?? null;
  return [
    job,
    dataset ?? "-",
    lastSuccessAt === null ? "never" : `${momentText(lastSuccessAt, "minute", isLocal)} (${ageText(at.getTime() - lastSuccessAt.getTime())})`,
    lastStored?.kind ?? held?.newest?.kind ?? "-",
    sizeBytes === null ? "-" : formatSize(sizeBytes),
    nextExpectedAt === null ? "-" : momentText(nextExpectedAt, "minute", isLocal),
    downtimeMs === null ? "-" : `${(downtimeMs / 1000).toFixed(1)}s`,
    verified === null ? "never" : verdict(`${verified.level} ${momentText(verified.at, "day", isLocal)}`, verified.ok ? "" : " BAD"),
    drill === null ? "never" : verdict(`${momentText(drill.endedAt, "day", isLocal)}${drill.outcome === "failed" ? "" : ` in ${ageText((drill.restoreSeconds ?? 0) * 1000)}`}`, drill.outcome === "failed" ? " FAILED" : ""),
    copying.length === 0 ? "-" : copying.map((copy) => copyText(copy, at)).join(", "),
    painted(why === null ? state : `${state}: ${why}`, isProblem ? "bad" : state === "ok" ? "good" : "doubtful"),
  ];
}

function verdict(text: string, bad: string): Span {
  return bad === "" ? text : painted(`${text}${bad}`, "bad");
}

function copyText({ store, lastRun, waitingSince }: Standing["copying"][number], at: Date): string {
  if (lastRun?.outcome === "failed") return `${store} FAILED`;
  return waitingSince === null ? store : `${store} ${ageText(at.getTime() - waitingSince.getTime())} behind`;
}

/** @throws ZferryError `findings` when there is a problem */
function judge({ standings }: Standings): void {
  const bad = standings.filter(({ isProblem }) => isProblem);
  const [first] = bad;
  if (first === undefined) return;
  throw new ZferryError("findings", `${bad.length} of ${counted(standings.length, "dataset")} need attention: "${first.dataset ?? first.job}" is ${first.state}`, {
    hint: "the last column says why and what to do",
  });
}
