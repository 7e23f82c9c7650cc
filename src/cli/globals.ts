/** What every command takes, and what every command ends with: for `--help`, completions and man pages alike. */
import { type Command, Option } from "commander";
import { version } from "../version.ts";
import { logFormats, logLevels } from "./report.ts";

export const description = "Ferries ZFS send streams to object storage and back.";

export const exitCodes = `
Exit status: 0 done, or nothing to do; 1 a bug; 2 usage or configuration; 3 ran to the end and found something;
10 not found; 11 locked; 12 key missing or wrong; 13 integrity; 14 zfs; 15 store; 16 a hook; 17 format too new; 18 files mode; 130/143 interrupted.`;

export function withGlobals(program: Command): Command {
  return program
    .version(version, "-V, --version")
    .option("--config <file>", "configuration file (default $ZFERRY_CONFIG, ./zferry.yaml, /etc/zferry/zferry.yaml)")
    .option("--json", "one JSON document on stdout; messages as JSON lines on stderr")
    .option("-q, --quiet", "say nothing but warnings and errors, and print what was asked for or went wrong")
    .addOption(new Option("--log-level <level>", "what to say on stderr").choices(logLevels).default("info"))
    .addOption(new Option("--log-format <format>", "how to say it: text, or events and messages as JSON lines (default json with --json, else text)").choices(logFormats));
}
