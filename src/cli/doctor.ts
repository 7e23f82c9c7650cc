/** `zferry doctor`: one line for each thing that was looked at here or tried on the real store, and what follows from it. */
import type { Command } from "commander";
import { MiB } from "../bytes.ts";
import type { StoreSettings } from "../config/config.ts";
import { type JobSettings, jobsOfStreams } from "../config/jobs.ts";
import { examine, type Outcome, type ProbeResult } from "../doctor.ts";
import type { Kept } from "../doctor-rules.ts";
import { ZferryError } from "../errors.ts";
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
permission, hooks, jobs that overlap or are disabled. Then everything is tried on the store, under a random prefix in
doctor/, which is emptied again. It takes up to 12 MiB of traffic. Exit status: 0 all is well; 3 something does not work, and
the lines say what follows; 15 backups cannot be stored here.`;

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
  const { report, terminal, settings } = session;
  const machine = settings.config.jobs.size === 0 ? [] : await machineProbes(session);
  const { jobs, stores } = settings.config;
  if (flags.store === undefined && stores.size === 0 && jobs.size > 0 && jobsOfStreams(jobs.values()).length === 0) {
    report.json({ type: "doctor", store: null, machine, probes: [] }); // jobs of files need none
    judge(machine, []);
    return;
  }
  const wanted = storeSettings(flags, settings.config, null);
  const limits = storeLimits(wanted.url, terminal.environment);
  const probePartBytes = Math.max(limits.minPartBytes, Math.min(wanted.partBytes, largestProbePartBytes));
  const opened = { ...impatient(flags, wanted), partBytes: probePartBytes };
  const chunkBytes = flags.chunkSize ?? settings.config.defaults.chunkBytes;
  const probes = await useStoreAt(session, opened, "write", ({ store }) =>
    examine({
      store,
      probePartBytes,
      sizes: { chunkBytes, partBytes: wanted.partBytes },
      kept: keptIn(wanted, session),
      now: terminal.now,
      onProbe: (result) => {
        show(report, result);
      },
      signal: terminal.signal,
    }),
  );
  report.json({ type: "doctor", store: wanted.url, machine, probes });
  judge(machine, probes);
}

async function examineRestore(session: Session, flags: DoctorFlags): Promise<void> {
  const { report } = session;
  const { restoreProbes } = await import("./doctor-restore.ts");
  const restore = await restoreProbes(session, flags, (results) => {
    for (const result of results) show(report, result);
  });
  report.json({ type: "doctor-restore", ready: restore.every(({ outcome }) => outcome !== "finding"), restore });
  judge([], restore);
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
    storeUrlOf: (job) => storeUrlOf(job, session),
    onResult: (result) => {
      show(report, result);
    },
    signal: terminal.signal,
  });
}

/** Of the jobs whose backups are in the store. */
function keptIn({ url }: StoreSettings, session: Session): Kept[] {
  const jobs = jobsOfStreams(session.settings.config.jobs.values()).filter((job) => storeUrlOf(job, session) === url);
  return jobs.map(({ name, keep, everyMs, fullEveryMs }) => ({ job: name, policy: keep.store, everyMs, fullEveryMs }));
}

/** Where a job's backups go, whatever store is tried. */
function storeUrlOf({ store }: JobSettings, { settings: { config }, flags: { logLevel } }: Session): string {
  return storeSettings({ logLevel }, config, store).url;
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
function judge(machine: readonly ProbeResult[], probes: readonly ProbeResult[]): void {
  const failed = probes.filter(({ outcome }) => outcome === "failed");
  const found = [...machine, ...probes].filter(({ outcome }) => outcome === "finding");
  const names = (some: readonly ProbeResult[]): string => some.map(({ name }) => name).join(", ");
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
