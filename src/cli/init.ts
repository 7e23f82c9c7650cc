/** `zferry init`: writes a commented configuration and checks it. */
import { open } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { parseConfig } from "../config/config.ts";
import { ZferryError } from "../errors.ts";
import { readRecipients } from "../secrets.ts";
import { starterConfig } from "../config/starter.ts";
import { parseStoreUrl } from "../store/url.ts";
import { parseDatasetName } from "../zfs/names.ts";
import type { SharedFlags } from "./options.ts";
import { Report } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import type { Terminal } from "./terminal.ts";

interface InitFlags extends SharedFlags {
  readonly store: string;
  readonly dataset: string;
  readonly passphraseFile: string;
}

export function initCommand(command: Command, run: RunCommand): void {
  command
    .option("--store <url>", "where backups go", "/var/backups/zferry")
    .option("--dataset <name>", "the first dataset to back up", "tank/data")
    .option("--passphrase-file <file>", "file with the passphrase", "/etc/zferry/passphrase")
    .action(run.bare(init));
}

async function init(terminal: Terminal, flags: InitFlags): Promise<void> {
  const report = new Report(terminal, { isJson: flags.json === true, level: flags.logLevel });
  const file = resolve(terminal.workingDirectory, flags.config ?? "zferry.yaml");
  parseDatasetName(flags.dataset);
  parseStoreUrl(flags.store, terminal.environment);
  const text = starterConfig(flags);
  const config = parseConfig(text, file);
  await writeNew(file, text);
  const obstacle = await obstacleOf(async () => readRecipients(config.encryption, terminal.environment));
  report.json({ type: "init", file, store: flags.store, jobs: [...config.jobs.keys()], obstacle: obstacle?.message ?? null });
  report.text([`wrote ${file}`]);
  if (obstacle !== null) report.warn(`${obstacle.message}${obstacle.hint === null ? "" : `: ${obstacle.hint}`}`);
  report.info("next: look through the file, then run `zferry backup --dry-run`");
}

async function writeNew(file: string, text: string): Promise<void> {
  try {
    const handle = await open(file, "wx", 0o600);
    try {
      await handle.writeFile(text);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "EEXIST" ? "it exists" : (code ?? "unknown");
    throw new ZferryError("config-invalid", `cannot write "${file}": ${why}`, {
      hint: code === "EEXIST" ? "edit it, or name another with --config" : "check its folder",
      cause: error,
    });
  }
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
