/** `zferry notify --unit UNIT`: what systemd starts when a unit of ours failed, in whatever way. */
import type { Command } from "commander";
import { makeTeller } from "../notify/tell.ts";
import { crewsOf } from "../units/crews.ts";
import type { SharedFlags } from "./options.ts";
import { counted, Report, reportOptions } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { settleTelling } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

interface NotifyFlags extends SharedFlags {
  readonly unit: string;
}

const explanation = `
For OnFailure= of systemd, as the units of \`zferry systemd\` have it. A run that ends by itself tells of its failure; this is
for one that could not: killed, or out of memory. Of a configuration with a mistake in it those notifiers are told that can
be read themselves. A notifier that has been told of the same job within its min_interval is not told again.`;

export function notifyCommand(command: Command, run: RunCommand): void {
  command.requiredOption("--unit <name>", "the unit that failed").addHelpText("after", explanation).action(run.bare(notify));
}

async function notify(terminal: Terminal, { unit, ...flags }: NotifyFlags): Promise<void> {
  const report = new Report(terminal, reportOptions(flags));
  const { environment, now, signal } = terminal;
  let refused = "";
  const { notify: notifiers, jobs, stateDir } = await settleTelling(flags, terminal, ({ message }) => {
    report.warn(message);
    refused = "; and the configuration is refused, so nothing is backed up";
  });
  const crew = crewsOf(jobs).find((one) => `${one.unit}.service` === unit);
  const why = reasonOf(environment);
  const text = `the unit "${unit}" failed${why === null ? "" : ` (${why})`}: see \`journalctl -u ${unit}\`${refused}`;
  if (notifiers.length === 0) report.warn(`nobody is told: ${text}`);
  const teller = makeTeller(notifiers, { stateDir, environment, warn: report.warn, now, signal });
  for (const job of crew?.jobs.map(({ name }) => name) ?? [null]) {
    await teller.tell({ kind: "failure", job, dataset: null, at: now(), text, details: { unit, reason: why } });
  }
  await teller.end();
  if (notifiers.length > 0) report.remark(`passed on to ${counted(notifiers.length, "notifier")}; one that is not for this job, or was told of it within its min_interval, stays silent`);
}

/** What systemd says of the unit to whatever it starts for its failure, from version 251 on; null when it says nothing. */
function reasonOf(environment: Readonly<Record<string, string | undefined>>): string | null {
  const { MONITOR_SERVICE_RESULT: result = "", MONITOR_EXIT_STATUS: status = "" } = environment;
  if (!/^[a-z-]{1,40}$/.test(result)) return null;
  return /^[A-Z0-9]{1,10}$/.test(status) ? `${result}, ${status}` : result;
}
