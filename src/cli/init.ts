/** `zferry init`: writes a commented configuration and checks it. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { parseConfig } from "../config/config.ts";
import { ZferryError } from "../errors.ts";
import { writeNew } from "../files.ts";
import { readRecipients } from "../secrets.ts";
import { starterConfig, type StarterValues } from "../config/starter.ts";
import { parseStoreUrl } from "../store/url.ts";
import { parseDatasetName } from "../zfs/names.ts";
import { canAsk } from "./confirm.ts";
import type { SharedFlags } from "./options.ts";
import { Report, reportOptions } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import type { Terminal } from "./terminal.ts";

interface InitFlags extends SharedFlags {
  readonly dataset?: string;
}

/** What an empty answer takes, and a flag that was not given. */
const defaults = { store: "/var/backups/zferry", datasets: ["tank/data"], isRecursive: false, passphraseFile: "/etc/zferry/passphrase", keep: null };

export function initCommand(command: Command, run: RunCommand): void {
  command
    .option("--store <url>", `where backups go (default ${defaults.store})`)
    .option("--dataset <name>", `the first dataset to back up (default ${defaults.datasets.join("")})`)
    .option("--passphrase-file <file>", `file with the passphrase (default ${defaults.passphraseFile})`)
    .addHelpText("after", "\nOn a terminal it asks, unless --store, --dataset, --passphrase-file or --json is given.")
    .action(run.bare(init));
}

async function init(terminal: Terminal, flags: InitFlags): Promise<void> {
  const report = new Report(terminal, reportOptions(flags));
  const file = resolve(terminal.workingDirectory, flags.config ?? "zferry.yaml");
  await refuseOverwriting(file);
  const values = await valuesFor(terminal, flags);
  const text = starterConfig(values);
  const config = parseConfig(text, file);
  await writeConfig(file, text);
  const obstacle = await obstacleOf(async () => readRecipients(config.encryption, terminal.environment));
  report.json({ type: "init", file, store: values.store, jobs: [...config.jobs.keys()], obstacle: obstacle?.message ?? null });
  report.done([`wrote ${file}`]);
  if (obstacle !== null) report.warn(`${obstacle.message}${obstacle.hint === null ? "" : `: ${obstacle.hint}`}`);
  report.info("next: look through the file, then run `zferry doctor` and `zferry backup --dry-run`");
}

/** Asked of a person where one sits there and has said nothing yet. */
async function valuesFor(terminal: Terminal, { store, dataset, passphraseFile, json }: InitFlags): Promise<StarterValues> {
  const isSaid = [store, dataset, passphraseFile].some((flag) => flag !== undefined) || json === true;
  if (!isSaid && canAsk(terminal)) return (await import("./interview.ts")).interview(terminal, defaults);
  if (store !== undefined) parseStoreUrl(store, terminal.environment);
  const datasets = dataset === undefined ? defaults.datasets : [parseDatasetName(dataset)];
  return { ...defaults, store: store ?? defaults.store, datasets, passphraseFile: passphraseFile ?? defaults.passphraseFile };
}

/** Before anybody is asked anything; the writing itself refuses too. */
async function refuseOverwriting(file: string): Promise<void> {
  if (await stat(file).then(() => true, () => false)) throw unwritable(file, "EEXIST");
}

async function writeConfig(file: string, text: string): Promise<void> {
  try {
    await writeNew(file, text);
  } catch (error) {
    throw unwritable(file, (error as NodeJS.ErrnoException).code, error);
  }
}

function unwritable(file: string, code: string | undefined, cause?: unknown): ZferryError {
  return new ZferryError("config-invalid", `cannot write "${file}": ${code === "EEXIST" ? "it exists" : (code ?? "unknown")}`, {
    hint: code === "EEXIST" ? "edit it, or name another with --config" : "check its folder",
    cause,
  });
}

/** What keeps the configuration from working as it stands; not a failure of `init`. */
async function obstacleOf(check: () => Promise<unknown>): Promise<ZferryError | null> {
  try {
    await check();
    return null;
  } catch (error) {
    if (error instanceof ZferryError) return error;
    throw error;
  }
}
