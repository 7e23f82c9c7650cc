/** `zferry notify --unit UNIT`: what systemd starts when a unit of ours failed, in whatever way. */
import type { Command } from "commander";
import { makeTeller } from "../notify/tell.ts";
import { crewsOf } from "../units/crews.ts";
import type { SharedFlags } from "./options.ts";
import type { RunCommand } from "./run-command.ts";
import type { Session } from "./session.ts";

interface NotifyFlags extends SharedFlags {
  readonly unit: string;
}

const explanation = `
For OnFailure= of systemd, as the units of \`zferry systemd\` have it. A run that ends by itself tells of its failure; this is
for one that could not: killed, or out of memory. Who is to be told stands in the configuration, so when that cannot be read
nobody is. A notifier that has been told of the same job within its min_interval is not told again.`;

export function notifyCommand(command: Command, run: RunCommand): void {
  command.requiredOption("--unit <name>", "the unit that failed").addHelpText("after", explanation).action(run(notify));
}

async function notify({ report, settings, terminal }: Session, _words: readonly string[], { unit }: NotifyFlags): Promise<void> {
  const { config, stateDir } = settings;
  const { environment, now, signal } = terminal;
  const crew = crewsOf([...config.jobs.values()]).find((one) => `${one.unit}.service` === unit);
  const why = reasonOf(environment);
  const text = `the unit "${unit}" failed${why === null ? "" : ` (${why})`}: see \`journalctl -u ${unit}\``;
  if (config.notify.length === 0) report.warn(`nobody is told: ${text}`);
  const teller = makeTeller(config.notify, { stateDir, environment, warn: report.warn, now, signal });
  for (const job of crew?.jobs.map(({ name }) => name) ?? [null]) {
    await teller.tell({ kind: "failure", job, dataset: null, at: now(), text, details: { unit, reason: why } });
  }
  await teller.end();
}

/** What systemd says of the unit to whatever it starts for its failure, from version 251 on; null when it says nothing. */
function reasonOf(environment: Readonly<Record<string, string | undefined>>): string | null {
  const { MONITOR_SERVICE_RESULT: result = "", MONITOR_EXIT_STATUS: status = "" } = environment;
  if (!/^[a-z-]{1,40}$/.test(result)) return null;
  return /^[A-Z0-9]{1,10}$/.test(status) ? `${result}, ${status}` : result;
}
