/** `zferry recover`: what was stopped for a snapshot by runs that were killed is started again. */
import type { Command } from "commander";
import { closeAllLeft, type LeftView } from "../plain/undo.ts";
import { type Recovered, recoverOwed } from "../quiesce/recover.ts";
import { counted, Report, reportOptions } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { settleStateFolder } from "./settings.ts";
import type { SharedFlags } from "./options.ts";
import type { Terminal } from "./terminal.ts";

const explanation = `
A run notes in the state folder what it is about to stop, before it does. When it is killed, a second process starts it
again; after a power cut, or when both were killed, this command does. It runs what is owed and nothing else, so it may be
run at any time and any number of times. What a killed run of mode: files has left at work is ended, and its view unmounted.
Hooks and views of a run that is at work are left to that run. With --state-dir it reads no configuration, so that one with
a mistake in it keeps nothing stopped.`;

interface RecoverFlags extends SharedFlags {
  readonly dryRun?: boolean;
}

export function recoverCommand(command: Command, run: RunCommand): void {
  command
    .option("--dry-run", "print what is owed, and do nothing")
    .option("--state-dir <folder>", "folder of the records")
    .addHelpText("after", explanation)
    .action(run.bare(recover));
}

async function recover(terminal: Terminal, flags: RecoverFlags): Promise<void> {
  const report = new Report(terminal, reportOptions(flags));
  const stateDir = await settleStateFolder(flags, terminal);
  const isDryRun = flags.dryRun === true;
  const { environment, signal } = terminal;
  const found = await recoverOwed({ stateDir, isDryRun, warn: report.warn, signal });
  const views = await closeAllLeft({ stateDir, environment, isDryRun, signal });
  report.json({ type: "recover", dryRun: isDryRun, records: found.map(toldRecord), views: views.map(toldView) });
  const lines = found.length + views.length === 0 ? ["nothing is owed"] : [...found.map(line), ...views.map(viewLine)];
  if (isDryRun) report.text(lines);
  else report.done(lines);
  const [failure] = [...found.flatMap(({ failures }) => failures), ...views.flatMap(({ error }) => error ?? [])];
  if (failure !== undefined) throw failure;
}

function toldRecord({ id, outcome, since, jobs, hooks, failures }: Recovered): Readonly<Record<string, unknown>> {
  const told = failures.map(({ code, message, hint }) => ({ code, message, hint }));
  return { id, outcome, since: since?.toISOString() ?? null, jobs, hooks, failures: told };
}

function line({ id, outcome, since, jobs, hooks }: Recovered): string {
  if (outcome === "damaged") return `${id}: cannot be read`;
  const run = `run of ${jobs.join(", ")} at ${since?.toISOString() ?? ""}`;
  if (outcome === "running") return `${run}: at work, and does it itself`;
  const list = hooks.length === 0 ? "nothing" : `${counted(hooks.length, "after_snapshot hook")} (${hooks.join(", ")})`;
  const did = { recovered: "ran", failed: "could not run all of", owed: "owes" }[outcome];
  return `${run}: ${did} ${list}`;
}

function toldView({ id, record, outcome, error }: LeftView): Readonly<Record<string, unknown>> {
  const told = error === null ? null : { code: error.code, message: error.message, hint: error.hint };
  return { id, outcome, since: record?.startedAt ?? null, job: record?.job ?? null, snapshot: record?.snapshot ?? null, error: told };
}

function viewLine({ id, record, outcome }: LeftView): string {
  if (record === null) return `view ${id}: its record cannot be read; the next run of its job deals with it`;
  const did = { running: "in use by a run", left: "is left, to be taken away", closed: "taken away", failed: "could not be taken away", damaged: "" }[outcome];
  return `view of ${record.snapshot} for ${record.job}: ${did}`;
}
