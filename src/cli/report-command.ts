/** `zferry report --html FILE [JOB…]`: all that is known of runs and backups, drawn as one page (`docs/report.md`). */
import { resolve } from "node:path";
import type { Command } from "commander";
import { formatSize } from "../bytes.ts";
import { type SharedFlags, withStore } from "./options.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import type { Session } from "./session.ts";
import { patience } from "./settings.ts";

interface ReportFlags extends SharedFlags {
  readonly html: string;
  readonly check?: boolean;
  readonly allHosts?: boolean;
}

const explanation = `
The page stands in one file, has no script and asks no network. What it says is what this host remembers, as with status; --check asks the stores first.
Exit status: 0 when it was written, whatever is on it: zferry status is what judges.`;

export function reportCommand(command: Command, run: RunCommand): void {
  command
    .requiredOption("--html <file>", "write the page there, whole or not at all; the mode of a file that is there stays, a new one gets 0600")
    .option("--check", "ask the stores first what is there, and remember it; one that does not answer is noted on the page")
    .option("--all-hosts", "say which host each dataset is of, and show what other machines have stored; with --store of all hosts below it")
    .addHelpText("after", explanation);
  withStore(command, "requests", patience.text).action(run(writeReport));
}

async function writeReport(session: Session, names: readonly string[], flags: ReportFlags): Promise<void> {
  const { report, terminal } = session;
  const file = resolve(terminal.workingDirectory, flags.html);
  const [{ placeFor, save }, { reportPage }, { gatherEvidence }] = await Promise.all([import("../report/save.ts"), import("../report/page.ts"), import("./evidence.ts")]);
  const place = await placeFor(file); // before the stores are asked
  const evidence = await gatherEvidence(session, names, flags);
  const page = await reportPage(evidence, terminal.signal);
  await save(place, page);
  report.info(`wrote "${file}": ${counted(evidence.chapters.length, "dataset")}, ${formatSize(Buffer.byteLength(page))}`);
}
