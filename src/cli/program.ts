/**
 * The command line: one file per command in this folder, found by the table of `commands.ts` and loaded when it is given.
 */
import { Command, CommanderError } from "commander";
import { exitStatus, isZferryError, ZferryError } from "../errors.ts";
import { commandTable, fullNameOf, nameOf } from "./commands.ts";
import { description, exitCodes, withGlobals } from "./globals.ts";
import { fittedHelp } from "./help-text.ts";
import { logFormats, Report, reportOptions } from "./report.ts";
import type { Terminal } from "./terminal.ts";

/** @param onCommand - told which command it is, before it runs */
function programFor(terminal: Terminal, onCommand: (name: string) => void): Command {
  const program = withGlobals(new Command("zferry").description(description))
    .addHelpText("after", exitCodes)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(fittedHelp(text, terminal.stdoutColumns)),
      getOutHelpWidth: () => terminal.stdoutColumns ?? 80,
      writeErr: (text) => terminal.stderr.write(text),
      outputError: () => undefined, // told by `runToExit`, in the voice of all failures
    });
  for (const { usage, summary, isHidden } of commandTable) program.command(usage, { hidden: isHidden === true }).description(summary);
  addHelp(program, terminal);
  return program
    .hook("preSubcommand", (_program, command) => declare(command, terminal))
    .hook("preAction", (_program, command) => {
      onCommand(fullNameOf(command));
    });
}

/** Commander's own help command would show a command that has no options yet. */
function addHelp(program: Command, terminal: Terminal): void {
  const names = program.commands.map((command) => command.name());
  program
    .helpCommand(false)
    .command("help [command]")
    .description("show what a command takes, or a topic (zferry help topics)")
    .action(async (name?: string) => {
      if (name === undefined || names.includes(name)) await program.parseAsync(name === undefined ? ["--help"] : [name, "--help"], { from: "user" });
      else await (await import("./topics.ts")).showTopic(name, terminal);
    });
}

/** Gives the command on the command line its options and its action; commander parses its arguments after that. */
async function declare(command: Command, terminal: Terminal): Promise<void> {
  const entry = commandTable.find((one) => nameOf(one) === command.name());
  if (entry === undefined) return; // `help` is complete
  const [declareOn, { runCommandOn }] = await Promise.all([entry.load(), import("./run-command.ts")]);
  declareOn(command, runCommandOn(terminal));
}

/**
 * Runs one command line to its end. A failure is told on stderr, with a hint.
 *
 * @param words - the arguments, without node and script
 * @returns the exit status
 */
export async function runToExit(words: readonly string[], terminal: Terminal): Promise<number> {
  let command = "";
  const lost: Error[] = [];
  const onLoss = (error: Error): void => {
    lost.push(error);
  };
  terminal.stdout.on("error", onLoss);
  try {
    await programFor(terminal, (name) => (command = name)).parseAsync(words, { from: "user" }).catch(passShown);
    await refuseLoss(terminal, lost);
    return 0;
  } catch (error) {
    const failure = error instanceof CommanderError ? usageOf(error) : await interrupted(error, command, terminal);
    reportOf(words, terminal).failure(failure);
    return exitStatus(failure);
  } finally {
    terminal.stdout.removeListener("error", onLoss);
  }
}

/** Commander ends a run that has shown its help or its version by throwing. @throws all else as it is */
function passShown(error: unknown): void {
  if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
}

/** What was asked for and arrived nowhere is a failure; a reader who has seen enough (`| head`) is none. @throws ZferryError `usage` */
async function refuseLoss({ stdout }: Terminal, seen: readonly Error[]): Promise<void> {
  const late = await new Promise<Error | null>((resolve) => {
    stdout.write("", (error) => {
      resolve(error ?? null); // whatever was written before has left, or failed
    });
  });
  const lost: NodeJS.ErrnoException | null = seen[0] ?? late;
  if (lost === null || lost.code === "EPIPE") return;
  throw new ZferryError("usage", `what was asked for could not be written to stdout: ${lost.message}`, { hint: "see where stdout goes; what was done is done", cause: lost });
}

/** A signal's error with what it leaves of this command, and how to go on; any other as it is. */
async function interrupted(error: unknown, command: string, { signal }: Terminal): Promise<unknown> {
  if (!isZferryError(error, "interrupted", "terminated") || error !== signal.reason) return error;
  const hint = (await import("./interruptions.ts")).interruptionOf(command, error.code);
  return hint === null ? error : new ZferryError(error.code, error.message, { hint, cause: error });
}

/** What commander complains of, as one of our errors. */
function usageOf({ code, message }: CommanderError): ZferryError {
  const text = message.replace(/^error: /, "").replaceAll("'", '"').replaceAll("\n", " ").replace(/\.$/, "");
  return new ZferryError("usage", code === "commander.help" ? "no command is given" : text, {
    hint: "`zferry --help` shows the commands, `zferry COMMAND --help` what each of them takes",
  });
}

/** The flags that shape how a failure is told, read again here because they may be what is wrong. */
function reportOf(words: readonly string[], terminal: Terminal): Report {
  const has = (flag: string, value: string): boolean => words.some((word, at) => word === `${flag}=${value}` || (word === flag && words[at + 1] === value));
  const logFormat = logFormats.find((format) => has("--log-format", format));
  return new Report(terminal, reportOptions({ json: words.includes("--json"), logLevel: has("--log-level", "debug") ? "debug" : "info", ...(logFormat === undefined ? {} : { logFormat }) }));
}
