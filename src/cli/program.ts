/**
 * The command line: one file per command in this folder, found by the table of `commands.ts` and loaded when it is given.
 */
import { Argument, Command, CommanderError, Option } from "commander";
import { exitStatus, isZferryError, ZferryError } from "../errors.ts";
import { version } from "../version.ts";
import { commandTable } from "./commands.ts";
import { logFormats, logLevels, Report, reportOptions } from "./report.ts";
import type { Terminal } from "./terminal.ts";

const exitCodes = `
Exit status: 0 done, or nothing to do; 1 a bug; 2 usage or configuration; 3 ran to the end and found something;
10 not found; 11 locked; 12 key missing or wrong; 13 integrity; 14 zfs; 15 store; 16 a hook; 17 format too new; 18 files mode; 130/143 interrupted.`;

/** @param onCommand - told which command it is, before it runs */
function programFor(terminal: Terminal, onCommand: (name: string) => void): Command {
  const program = new Command("zferry")
    .description("Ferries ZFS send streams to object storage and back.")
    .version(version, "-V, --version")
    .option("--config <file>", "configuration file (default $ZFERRY_CONFIG, ./zferry.yaml, /etc/zferry/zferry.yaml)")
    .option("--json", "one JSON document on stdout; messages as JSON lines on stderr")
    .option("-q, --quiet", "say nothing but warnings and errors, and print what was asked for or went wrong")
    .addOption(new Option("--log-level <level>", "what to say on stderr").choices(logLevels).default("info"))
    .addOption(new Option("--log-format <format>", "how to say it: text, or events and messages as JSON lines (default json with --json, else text)").choices(logFormats))
    .addHelpText("after", exitCodes)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      outputError: () => undefined, // told by `runToExit`, in the voice of all failures
    });
  for (const { usage, summary } of commandTable) program.command(usage).description(summary);
  addHelp(program);
  return program.hook("preSubcommand", (_program, command) => {
    onCommand(command.name());
    return declare(command, terminal);
  });
}

/** Commander's own help command would show a command that has no options yet. */
function addHelp(program: Command): void {
  const names = program.commands.map((command) => command.name());
  program
    .helpCommand(false)
    .command("help")
    .description("show what a command takes")
    .addArgument(new Argument("[command]").choices(names))
    .action(async (name?: string) => {
      await program.parseAsync(name === undefined ? ["--help"] : [name, "--help"], { from: "user" });
    });
}

/** Gives the command on the command line its options and its action; commander parses its arguments after that. */
async function declare(command: Command, terminal: Terminal): Promise<void> {
  const entry = commandTable.find(({ usage }) => usage.split(" ", 1)[0] === command.name());
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
  try {
    await programFor(terminal, (name) => (command = name)).parseAsync(words, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = error instanceof CommanderError ? usageOf(error) : await interrupted(error, command, terminal);
    reportOf(words, terminal).failure(failure);
    return exitStatus(failure);
  }
}

/** A signal's error with what it leaves of this command, and how to go on; any other as it is. */
async function interrupted(error: unknown, command: string, { signal }: Terminal): Promise<unknown> {
  if (!isZferryError(error, "interrupted", "terminated") || error !== signal.reason) return error;
  const hint = (await import("./interruptions.ts")).interruptionOf(command);
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
