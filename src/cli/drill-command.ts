/** `zferry drill [JOB…]`: a backup by lot is restored, looked at and taken away again; what came of it is kept and told. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Command } from "commander";
import { selectDatasets } from "../config/globs.ts";
import { type DrillOutcome, drill, type DrillPlan, failedDrill } from "../drill/drill.ts";
import { clear, readNotes } from "../drill/notes.ts";
import { appendDrill } from "../drills.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { withLockAt } from "../lock.ts";
import { zfsThrough } from "../zfs/command.ts";
import { type DatasetName, datasetOf, parseDatasetName, parseSnapshotName, type SnapshotName } from "../zfs/names.ts";
import { documentOf, eventOf, linesOf, planText, tellDrills } from "./drill-report.ts";
import { gatherRequest, publish } from "./gathering.ts";
import { type SharedFlags, withOpening, withStore, withZfs } from "./options.ts";
import { Progress } from "./progress.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { readOptions, type Session, useStore, zfsFor } from "./session.ts";
import { type JobSettings, jobsOfStreams } from "../config/jobs.ts";

interface DrillFlags extends SharedFlags {
  readonly dataset?: string;
  readonly backup?: string;
  readonly into?: string;
  readonly seed?: string;
  readonly sample?: string;
}

const explanation = `
Of each job (all that are enabled, when none is named) one backup is tried, by lot. It is received below the dataset of --into or
drill.into, or else into a pool in a file of the state folder, its guid is compared, files are read in it and compared with the
source's snapshot where that still is on the pool, and all of it is destroyed again; what a killed drill left goes first.
Exit status: 0 all passed; 3 a backup cannot be restored as it was; 10 there is none; 12 no key opens it; 14 zfs, or too little
space; 15 the store. Of several drills that failed 3 comes first, then that of the first.`;

export function drillCommand(command: Command, run: RunCommand): void {
  command
    .option("--dataset <dataset>", "backups of this dataset, with the settings of defaults, instead of jobs")
    .option("--backup <dataset@snapshot>", "this backup instead of a lot")
    .option("--into <dataset>", "restore below this dataset, into a new one")
    .option("--seed <seed>", "decides backup and files; each drill tells its own (default random)")
    .option("--sample <count>", "how many files to read in what was restored, 0 for none (default 20)")
    .addHelpText("after", explanation);
  withZfs(withOpening(withStore(command, "ranges"))).action(run(runDrills));
}

/** What one drill is about. */
interface Subject {
  readonly job: string | null;
  readonly settings: Pick<JobSettings, "zfs" | "drill">;
  /** The store as the job names it; null for the default one. */
  readonly store: string | null;
  readonly selects: (datasets: readonly DatasetName[]) => readonly DatasetName[];
}

interface Choices {
  readonly backup: SnapshotName | null;
  readonly into: DatasetName | null;
  readonly seed: string;
  readonly sampleCount: number | null;
}

async function runDrills(session: Session, names: readonly string[], flags: DrillFlags): Promise<void> {
  const { settings, terminal } = session;
  const choices: Choices = {
    backup: flags.backup === undefined ? null : parseSnapshotName(flags.backup),
    into: flags.into === undefined ? null : parseDatasetName(flags.into),
    seed: flags.seed ?? randomBytes(4).toString("hex"),
    sampleCount: sampleCountOf(flags.sample),
  };
  const subjects = subjectsOf(session, names, flags, choices.backup);
  const outcomes = await withLockAt(join(settings.stateDir, "locks", "drill.lock"), "drills", terminal, async () => {
    await removeLeftovers(session);
    const done: DrillOutcome[] = [];
    for (const subject of subjects) done.push(await runDrill(session, subject, choices));
    return done;
  });
  await tellDrills(session, outcomes);
  await publish(session);
  judge(outcomes);
}

function sampleCountOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new ZferryError("usage", `"${text}" is not a number of files`, { hint: "write a number from 0 to 99999, as in --sample 20" });
}

function subjectsOf(session: Session, names: readonly string[], { dataset }: DrillFlags, backup: SnapshotName | null): readonly Subject[] {
  const { config } = session.settings;
  if (dataset !== undefined && names.length > 0) throw new ZferryError("usage", "--dataset goes with no job", { hint: "name a job, or a dataset" });
  const own = backup === null || dataset !== undefined ? [] : ownersOf(jobsOfStreams(config.jobs.values()), datasetOf(backup));
  const only = dataset === undefined ? null : parseDatasetName(dataset);
  const single = only ?? (names.length === 0 && backup !== null && own.length !== 1 ? datasetOf(backup) : null);
  if (single !== null) return [{ job: null, settings: config.defaults, store: null, selects: (all) => all.filter((one) => one === single) }];
  const { jobs } = gatherRequest(session, names.length === 0 ? own : names, null).config; // refuses a name there is not
  const wanted = jobsOfStreams(jobs.values()).filter(({ isEnabled }) => isEnabled || names.length + own.length > 0);
  if (wanted.length === 0) {
    throw new ZferryError("usage", "there is no job to drill", { hint: "name a job, or give --dataset and --store" });
  }
  if (backup !== null && wanted.length > 1) throw new ZferryError("usage", "--backup goes with one job", { hint: "name the job the backup is of, or none" });
  return wanted.map((job) => ({ job: job.name, settings: job, store: job.store, selects: (all) => selectDatasets(job, all).datasets.filter((one) => all.includes(one)) }));
}

/** The jobs that back a dataset up, by name. */
function ownersOf(jobs: readonly JobSettings[], dataset: DatasetName): readonly string[] {
  return jobs.filter((job) => job.isEnabled && selectDatasets(job, [dataset]).datasets.includes(dataset)).map(({ name }) => name);
}

/** What drills left that were killed. What cannot be removed stands in the way of none. */
async function removeLeftovers({ settings: { stateDir }, terminal, report }: Session): Promise<void> {
  for (const note of await readNotes(stateDir, report.warn)) {
    try {
      await clear(stateDir, note, zfsThrough(note.command, terminal.environment));
      report.info(`removed what a drill that was killed had left: "${note.into}"`);
    } catch (error) {
      if (!isZferryError(error)) throw error;
      report.warn(`what a drill that was killed has left, "${note.into}", could not be removed: ${error.message}${error.hint === null ? "" : `: ${error.hint}`}`);
    }
  }
}

async function runDrill(session: Session, subject: Subject, { backup, into, seed, sampleCount }: Choices): Promise<DrillOutcome> {
  const { report, settings, terminal } = session;
  const { job, settings: own, selects } = subject;
  const progress = new Progress(report, "read");
  const onPlan = (plan: DrillPlan): void => {
    const { backup: chosen, candidateCount } = plan;
    report.event({ event: "drill-began", job, backup: chosen, candidateCount, seed }, { text: planText(plan, job, seed) });
  };
  const startedAt = terminal.now();
  const outcome = await useStore(session, { access: "read", named: subject.store }, async ({ store, settings: storeSettings }) =>
    drill({
      ...(await readOptions(session, storeSettings, progress.count)),
      ...{ store, zfs: zfsFor(session, own), stateDir: settings.stateDir, job, selects, backup, seed, onPlan },
      into: into ?? own.drill.into,
      sampleCount: sampleCount ?? own.drill.sampleCount,
      now: terminal.now,
    }),
  )
    .catch((error: unknown) => {
      terminal.signal.throwIfAborted();
      if (!isZferryError(error)) throw error;
      return failedDrill({ job, storeUrl: session.flags.store ?? subject.store ?? "", seed, at: startedAt }, error);
    })
    .finally(() => {
      progress.end();
    });
  await appendDrill(settings.stateDir, outcome.report);
  report.event(eventOf(outcome.report), { level: outcome.error === null ? "info" : "error" });
  if (outcome.report.outcome === "passed" && outcome.report.isClean) report.done(linesOf(outcome.report));
  else report.text(linesOf(outcome.report));
  report.json(documentOf(outcome.report));
  return outcome;
}

/** @throws ZferryError what the first one failed with; `findings` before anything else */
function judge(outcomes: readonly DrillOutcome[]): void {
  const errors = outcomes.flatMap(({ error }) => error ?? []);
  const first = errors.find(({ code }) => code === "findings") ?? errors[0];
  if (first === undefined) return;
  if (outcomes.length === 1) throw first;
  throw new ZferryError(first.code, `${errors.length} of ${counted(outcomes.length, "drill")} failed; ${first.message}`, { cause: first, ...(first.hint === null ? {} : { hint: first.hint }) });
}
