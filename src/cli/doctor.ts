/** `zferry doctor`: one line for each thing that was looked at here or tried on the real store, and what follows from it. */
import type { Command } from "commander";
import { MiB } from "../bytes.ts";
import type { StoreSettings } from "../config/config.ts";
import { type JobSettings, jobsOfStreams } from "../config/jobs.ts";
import { examine, type Outcome, type ProbeResult } from "../doctor.ts";
import { chunkSizesIn, keptIn } from "../doctor-rules.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { examineMachine } from "../machine/examine.ts";
import { storeLimits } from "../store/open.ts";
import { type SharedFlags, size, withOpening, withStore, withZfs } from "./options.ts";
import { type Line, painted, type Tone } from "./paint.ts";
import type { Report } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStoreAt, zfsFor } from "./session.ts";
import { impatient, patience, storeSettings } from "./settings.ts";
import { wrapped } from "./table.ts";

/** Larger parts would prove no more, and cost more. */
const largestProbePartBytes = 5 * MiB;

const explanation = `
With jobs in the configuration this machine is looked at first: state folder, secrets, what each job's datasets match,
permission, hooks, jobs that overlap or are disabled. Then everything is tried on each store that a job or its copies name, or on
that of --store, under a random prefix in doctor/, which is emptied again. It takes up to 12 MiB of traffic for each. Exit status:
0 all is well; 3 something does not work, and the lines say what follows; 15 backups cannot be stored in one of them.`;

const words: Readonly<Record<Outcome, string>> = { ok: "ok", finding: "finding", failed: "FAILED", skipped: "skipped" };
const tones: Readonly<Record<Outcome, Tone>> = { ok: "good", finding: "bad", failed: "bad", skipped: "faint" };

export function doctorCommand(command: Command, run: RunCommand): void {
  command
    .option("--chunk-size <size>", "the size backups are to be stored with (default 1GiB)", size)
    .option("--restore", "instead: could the newest backups of each job be restored, now? Reads no chunk, changes nothing")
    .option("--into <dataset>", "for --restore: below which one would restore (default drill.into, or the pool it came from)")
    .addHelpText("after", explanation);
  withZfs(withOpening(withStore(command, "requests", patience.text))).action(run(doctor));
}

interface DoctorFlags extends SharedFlags {
  readonly restore?: boolean;
  readonly into?: string;
}

async function doctor(session: Session, _words: readonly string[], flags: DoctorFlags): Promise<void> {
  if (flags.restore === true) {
    await examineRestore(session, flags);
    return;
  }
  if (flags.into !== undefined) throw new ZferryError("usage", "--into is for --restore", { hint: "give both, as in: zferry doctor --restore --into tank" });
  const { report, settings } = session;
  const machine = settings.config.jobs.size === 0 ? [] : await machineProbes(session);
  const { jobs, stores } = settings.config;
  if (flags.store === undefined && stores.size === 0 && jobs.size > 0 && jobsOfStreams(jobs.values()).length === 0) {
    report.json({ type: "doctor", store: null, machine, probes: [], stores: [] }); // jobs of files need none
    judge(machine, []);
    return;
  }
  const wanted = storesToTry(session, flags);
  const tried: Tried[] = [];
  for (const store of wanted) {
    if (wanted.length > 1) report.done([`store "${store.url}"`]);
    tried.push({ store: store.url, probes: await probesOf(session, flags, store, { isOnly: wanted.length === 1 }) });
  }
  report.json({ type: "doctor", store: tried[0]?.store ?? null, machine, probes: tried[0]?.probes ?? [], stores: tried });
  judge(machine, tried);
}

/** What came of one store. */
interface Tried {
  readonly store: string;
  readonly probes: readonly ProbeResult[];
}

/** That of `--store`; otherwise each that a job or its copies name, one place once; the default one where there is no job. */
function storesToTry(session: Session, flags: DoctorFlags): readonly StoreSettings[] {
  const { config } = session.settings;
  const jobs = flags.store === undefined ? jobsOfStreams(config.jobs.values()) : [];
  const names = jobs.flatMap(({ store, copies }) => [store, ...copies.map((copy) => copy.store)]);
  const all = names.length === 0 ? [storeSettings(flags, config, null)] : names.map((name) => storeSettings(flags, config, name));
  return all.filter(({ url }, at) => all.findIndex((other) => other.url === url) === at);
}

/** @param isOnly - otherwise one that cannot be opened keeps no other from being tried. @throws ZferryError when it cannot be opened */
async function probesOf(session: Session, flags: DoctorFlags, wanted: StoreSettings, { isOnly }: { isOnly: boolean }): Promise<readonly ProbeResult[]> {
  const { report, terminal, settings } = session;
  const tell = (result: ProbeResult): void => {
    show(report, result);
  };
  try {
    const limits = storeLimits(wanted.url, terminal.environment);
    const probePartBytes = Math.max(limits.minPartBytes, Math.min(wanted.partBytes, largestProbePartBytes));
    const jobs = jobsOfStreams(settings.config.jobs.values());
    const urlsOf = (job: JobSettings): readonly string[] => storeUrlsOf(job, session);
    const ofJobs = flags.chunkSize === undefined ? chunkSizesIn(wanted.url, jobs, urlsOf) : [flags.chunkSize];
    const sizes = { chunkBytes: ofJobs.length > 0 ? ofJobs : [settings.config.defaults.chunkBytes], partBytes: wanted.partBytes };
    const request = { probePartBytes, sizes, kept: keptIn(wanted.url, jobs, urlsOf), now: terminal.now, onProbe: tell, signal: terminal.signal };
    return await useStoreAt(session, { ...impatient(flags, wanted), partBytes: probePartBytes }, "write", ({ store }) => examine({ ...request, store }));
  } catch (error) {
    terminal.signal.throwIfAborted();
    if (isOnly || !isZferryError(error)) throw error;
    const result: ProbeResult = { name: "open", outcome: "failed", detail: error.message, consequence: error.hint ?? "backups cannot be stored here" };
    tell(result);
    return [result];
  }
}

async function examineRestore(session: Session, flags: DoctorFlags): Promise<void> {
  const { report } = session;
  const { restoreProbes } = await import("./doctor-restore.ts");
  const restore = await restoreProbes(session, flags, (results) => {
    for (const result of results) show(report, result);
  });
  report.json({ type: "doctor-restore", ready: restore.every(({ outcome }) => outcome !== "finding"), restore });
  judge(restore, []);
}

/** Without jobs there is nothing on the machine that could be missing. */
function machineProbes(session: Session): Promise<readonly ProbeResult[]> {
  const { report, terminal, settings } = session;
  return examineMachine({
    config: settings.config,
    stateDir: settings.stateDir,
    encryption: settings.encryption,
    environment: terminal.environment,
    isRoot: terminal.isRoot,
    zfsFor: (job) => zfsFor(session, job),
    storeUrlsOf: (job) => storeUrlsOf(job, session),
    onResult: (result) => {
      show(report, result);
    },
    signal: terminal.signal,
  });
}

/** Where a job's backups go, whatever store is tried: its own store, and then those of its copies. */
function storeUrlsOf({ store, copies }: JobSettings, { settings: { config }, flags: { logLevel } }: Session): readonly string[] {
  return [store, ...copies.map((copy) => copy.store)].map((named) => storeSettings({ logLevel }, config, named).url);
}

/** What is as it should be is not said with `--quiet`. */
function show(report: Report, result: ProbeResult): void {
  const isBad = result.outcome === "failed" || result.outcome === "finding";
  if (isBad) report.text(linesOf(result, report.columns));
  else report.done(linesOf(result, report.columns));
}

const detailColumn = 28;

function linesOf({ name, outcome, detail, consequence }: ProbeResult, columns: number | null): Line[] {
  const room = columns === null ? Infinity : Math.max(20, columns - detailColumn);
  const [first = "", ...more] = [...wrapped(detail, room), ...(consequence === null ? [] : wrapped(consequence, room))];
  const head = [`${name.padEnd(17)}  `, painted(words[outcome], tones[outcome]), " ".repeat(Math.max(0, 7 - words[outcome].length)), `  ${first}`];
  return [head, ...more.map((text): Line => `${" ".repeat(detailColumn)}${text}`)];
}

/** @throws ZferryError `store-failed` when backups cannot be stored, `findings` when something else is not as it should be */
function judge(others: readonly ProbeResult[], tried: readonly Tried[]): void {
  const told = (outcome: Outcome): { readonly text: string; readonly consequence: string | null }[] =>
    tried.flatMap(({ store, probes }) =>
      probes.filter((one) => one.outcome === outcome).map(({ name, consequence }) => ({ text: tried.length === 1 ? name : `${name} of "${store}"`, consequence })),
    );
  const failed = told("failed");
  const found = [...others.filter(({ outcome }) => outcome === "finding").map(({ name }) => ({ text: name })), ...told("finding")];
  const names = (some: readonly { readonly text: string }[]): string => some.map(({ text }) => text).join(", ");
  if (failed.length > 0) {
    throw new ZferryError("store-failed", `the store cannot be used: ${names(failed)}`, {
      hint: failed[0]?.consequence ?? "read the lines above",
    });
  }
  if (found.length > 0) {
    throw new ZferryError("findings", `not all is as it should be: ${names(found)}`, {
      hint: "read what follows from each of them",
    });
  }
}
