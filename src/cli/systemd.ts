/** `zferry systemd`: writes the services and timers of the configuration, or prints them. */
import { dirname, resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { parseSize } from "../bytes.ts";
import type { Config } from "../config/config.ts";
import { jobsOfStreams } from "../config/jobs.ts";
import { ZferryError } from "../errors.ts";
import { longestWaitMs } from "../notify/tell.ts";
import { word } from "../shell.ts";
import { parseStoreUrl } from "../store/url.ts";
import { installUnits } from "../units/install.ts";
import type { ChoreGround } from "../units/chores.ts";
import { unitsFor } from "../units/units.ts";
import { durationFlag, type SharedFlags } from "./options.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import type { Session } from "./session.ts";
import { storeSettings } from "./settings.ts";

interface SystemdFlags extends SharedFlags {
  readonly output?: string;
  readonly force?: boolean;
  readonly calendar?: string;
  readonly randomDelay?: number;
  readonly prune?: boolean;
  readonly verifyBudget: string;
  readonly encryptedCredentials?: boolean;
  readonly program?: string;
}

const defaultBudget = "50GiB";
/** What the system's services have when the configuration names none. */
const systemStateDir = "/var/lib/zferry";

const explanation = `
For each job, or group of jobs, a service and a timer; for each store a weekly verify and a weekly removal of strays; an hourly
look at what is overdue; a monthly drill of the jobs that have a \`drill\`; a service that after a reset starts what hooks had
stopped. docs/timers.md says more. Then:
  systemctl daemon-reload && systemctl enable --now zferry-recover.service 'zferry-….timer' …
The words for that are printed when the units are written. Changes of your own belong into drop-ins: systemctl edit UNIT.`;

export function systemdCommand(command: Command, run: RunCommand): void {
  command
    .option("--output <folder>", "write the units there, as into /etc/systemd/system; without it they are printed")
    .option("--force", "replace units that are there and say something else")
    .option("--calendar <spec>", "when backups begin, as systemd.time(7) has it (default by the `every` of each job)", oneLine)
    .option("--random-delay <time>", "move each start by up to this (default a tenth of `every`, 1h at most)", durationFlag)
    .option("--prune", "a daily prune of all jobs by their retention policies, for where no job says prune: after_backup")
    .option("--verify-budget <size>", "how much the weekly verify reads of each store", budget, defaultBudget)
    .option("--encrypted-credentials", "credentials are files of /etc/credstore.encrypted (systemd-creds), not of /etc/credstore")
    .option("--program <path>", "the zferry to run (default this one)")
    .addHelpText("after", explanation)
    .action(run(systemd));
}

function oneLine(text: string): string {
  if (/^[\x20-\x7e]{1,200}$/.test(text)) return text;
  throw new InvalidArgumentError('write it as "*-*-* 04:00:00" or "Sun 04:00".');
}

function budget(text: string): string {
  try {
    parseSize(text);
    return text;
  } catch {
    throw new InvalidArgumentError("write it as 50GiB.");
  }
}

async function systemd(session: Session, _words: readonly string[], flags: SystemdFlags): Promise<void> {
  const { report, settings: { config, configFile }, terminal } = session;
  if (configFile === null || config.jobs.size === 0) {
    throw new ZferryError("usage", "there are no jobs to make timers for", {
      hint: "write some into the configuration; `zferry init` makes one, --config names another",
    });
  }
  const jobs = [...config.jobs.values()];
  const units = unitsFor({
    ...groundOf(session, configFile, flags),
    jobs,
    calendar: flags.calendar ?? null,
    randomDelayMs: flags.randomDelay ?? null,
    isPruning: flags.prune === true,
    tellingMs: longestWaitMs(config.notify),
  });
  for (const { name, isEnabled } of jobs) if (!isEnabled) report.info(`job "${name}" is disabled: no timer is made for it`);
  for (const name of flags.prune === true ? [] : unpruned(config)) {
    report.warn(`nothing acts on "keep" of job "${name}": set prune: after_backup, or give --prune`);
  }
  if (flags.output === undefined) {
    report.json({ type: "systemd", units, folder: null });
    report.text(units.flatMap(({ name, text }) => [`# ==> ${name}`, ...text.split("\n")]));
    return;
  }
  const folder = resolve(terminal.workingDirectory, flags.output);
  const installed = await installUnits(folder, units, { isForced: flags.force === true });
  report.json({ type: "systemd", units, folder, ...installed });
  report.done(installed.written.map((name) => `wrote ${folder}/${name}`));
  report.info(`${counted(installed.written.length, "unit")} written, ${installed.unchanged.length} unchanged`);
  for (const name of installed.replaced) report.warn(`replaced ${name}`);
  for (const name of installed.leftOver) report.warn(`${name} is of an earlier run and made no more: systemctl disable --now ${word(name)}, and remove it`);
  const toEnable = units.map(({ name }) => name).filter((name) => name.endsWith(".timer") || name === "zferry-recover.service");
  report.info(`next: systemctl daemon-reload && systemctl enable --now ${toEnable.map(word).join(" ")}`);
}

/** Jobs with a policy that neither they themselves nor a timer carry out. */
function unpruned({ jobs }: Config): string[] {
  const hasPolicy = [...jobs.values()].filter(({ keep, prune }) => (keep.local !== null || keep.store !== null) && prune === "never");
  return hasPolicy.map(({ name }) => name);
}

function groundOf(session: Session, configFile: string, flags: SystemdFlags): ChoreGround {
  const { settings: { config }, terminal } = session;
  const { encryption, notify } = config;
  const workingDirectory = dirname(configFile);
  const stores = jobsOfStreams(config.jobs.values()).flatMap(({ store, copies }) => [store, ...copies.map((copy) => copy.store)].map((name) => storeSettings({ logLevel: "info" }, config, name)));
  const folders = new Set<string>();
  for (const { url } of stores) {
    const location = parseStoreUrl(url, terminal.environment);
    if (location.kind === "directory") folders.add(resolve(workingDirectory, location.path));
  }
  if (config.metrics.textfile !== null) folders.add(dirname(resolve(workingDirectory, config.metrics.textfile)));
  return {
    program: flags.program === undefined ? terminal.program : [resolve(terminal.workingDirectory, flags.program)],
    configFile,
    workingDirectory,
    stateDir: resolve(workingDirectory, config.stateDir ?? systemStateDir),
    writable: [...folders],
    credentials: [...new Set([encryption.passphraseCredential ?? [], credentialsOf(stores), credentialsOf(notify)].flat())],
    tellingCredentials: credentialsOf(notify),
    isEncrypted: flags.encryptedCredentials === true,
    runsOthers:
      encryption.passphraseCommand !== null ||
      stores.some(({ credentials }) => credentials?.kind === "command") ||
      notify.some(({ type }) => type === "command" || type === "mail"),
    verifyBudget: flags.verifyBudget,
  };
}

/** Every `{credential: NAME}` of the settings, each once. */
function credentialsOf(settings: unknown): string[] {
  if (typeof settings !== "object" || settings === null) return [];
  if ("kind" in settings && settings.kind === "credential" && "name" in settings) return [String(settings.name)];
  const values = settings instanceof Map ? [...settings.values()] : Object.values(settings);
  return [...new Set(values.flatMap(credentialsOf))];
}
