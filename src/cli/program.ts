/**
 * The command line: one file per command in this folder, put together here.
 */
import { Command, CommanderError, Option } from "commander";
import { ZferryError } from "../errors.ts";
import { version } from "../version.ts";
import { backupCommand } from "./backup.ts";
import { downloadCommand } from "./download.ts";
import { getCommand } from "./get.ts";
import { initCommand } from "./init.ts";
import { listCommand } from "./list.ts";
import { logLevels } from "./options.ts";
import { putCommand } from "./put.ts";
import { restoreCommand } from "./restore.ts";
import { runCommandOn } from "./run-command.ts";
import { stateCommand } from "./state.ts";
import type { Terminal } from "./terminal.ts";

const commands = [
  initCommand,
  backupCommand,
  putCommand,
  getCommand,
  listCommand,
  restoreCommand,
  downloadCommand,
  stateCommand,
];

const exitCodes = `
Exit status: 0 done, or nothing to do; 1 a bug; 2 usage or configuration; 3 ran to the end and found something;
10 not found; 11 locked; 12 key missing or wrong; 13 integrity; 14 zfs; 15 store; 17 format too new; 130/143 interrupted.`;

function programFor(terminal: Terminal): Command {
  const program = new Command("zferry")
    .description("Ferries ZFS send streams to object storage and back.")
    .version(version, "-V, --version")
    .option("--config <file>", "configuration file (default $ZFERRY_CONFIG, ./zferry.yaml, /etc/zferry/zferry.yaml)")
    .option("--json", "one JSON document on stdout; messages as JSON lines on stderr")
    .addOption(new Option("--log-level <level>", "what to say on stderr").choices(logLevels).default("info"))
    .addHelpText("after", exitCodes)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text.replace(/^error: /, "zferry: error: ")),
    });
  const run = runCommandOn(terminal);
  for (const add of commands) add(program, run);
  for (const command of program.commands) inherit(command, program);
  return program;
}

/** Commander hands neither exit override nor output on to commands that were added before. */
function inherit(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inherit(child, command);
}

/**
 * Runs one command line.
 *
 * @param words - the arguments, without node and script
 * @throws ZferryError; `usage` for a wrong command line, of which everything has been said already
 */
export async function runProgram(words: readonly string[], terminal: Terminal): Promise<void> {
  try {
    await programFor(terminal).parseAsync(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw new UsageAlreadyTold(error.message);
  }
}

/** A wrong command line that commander has complained of. */
export class UsageAlreadyTold extends ZferryError {
  constructor(message: string) {
    super("usage", message);
  }
}
