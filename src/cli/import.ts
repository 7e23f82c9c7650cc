/** `zferry import SOURCE`: takes over what ZFS2Cloud has stored. */
import type { Command } from "commander";
import { formatSize } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { type ImportedMessage, importMessages } from "../import/import.ts";
import { readKeyring } from "../secrets.ts";
import { type SharedFlags, withKeyring, withStore } from "./options.ts";
import { Progress } from "./progress.ts";
import { counted, rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { leaseMsFor, type Session, useStore, useStoreAt } from "./session.ts";
import { storeSettings } from "./settings.ts";

const explanation = `
SOURCE is the folder that ZFS2Cloud exports to (intermediate_basedir), a copy of it, or its remote as a store's URL; one folder of
it will do too. Each message is opened with the passphrase, read to its end and checked, and then copied as it is into --store,
where it is a backup like any other. The source is only read. What is there already is passed over, and an import that was cut
off goes on. docs/guides/from-zfs2cloud.md is the way from there to here.
Exit status: 0 all is imported; otherwise that of the first failure, after the others were imported.`;

interface ImportFlags extends SharedFlags {
  readonly dryRun?: boolean;
}

export function importCommand(command: Command, run: RunCommand): void {
  command.option("--dry-run", "open the messages and say what they are, and write nothing").addHelpText("after", explanation);
  withKeyring(withStore(command, "parts")).action(run(importFolder));
}

async function importFolder(session: Session, [from = ""]: readonly string[], flags: ImportFlags): Promise<void> {
  const { report, terminal, settings } = session;
  const keyring = await readKeyring(settings.encryption, terminal.environment);
  const isDryRun = flags.dryRun === true;
  const progress = new Progress(report, "read");
  const messages = await useStoreAt(session, storeSettings({ ...flags, store: from }, settings.config, null), "read", ({ store: source }) =>
    useStore(session, { access: isDryRun ? "read" : "write", named: null }, ({ store: to, settings: opened }) =>
      importMessages({
        source,
        to,
        keyring,
        concurrency: opened.concurrency,
        stateDir: settings.stateDir,
        leaseMs: leaseMsFor(session, opened),
        isDryRun,
        progress: {
          onFound: (bytes) => {
            progress.expect(2 * bytes);
          },
          onRead: progress.count,
          warn: report.warn,
        },
        signal: terminal.signal,
      }),
    ),
  ).finally(() => {
    progress.end();
  });
  const failures = messages.flatMap(({ error }) => error ?? []);
  report.json({ type: "import", dryRun: isDryRun, messages: messages.map(toDocument), seconds: rounded(progress.seconds) });
  const lines = [...messages.map(toText), ...summary(messages)];
  if (isDryRun || failures.length > 0) report.text(lines);
  else report.done(lines);
  if (messages.some(({ fate }) => fate === "imported")) report.next("zferry list with the same --store shows them, zferry restore brings one back");
  for (const error of failures.slice(1)) report.failure(error);
  if (failures[0] !== undefined) throw failures[0];
}

const fates = {
  imported: "imported",
  "would-import": "would import",
  there: "is there already",
  failed: "failed",
} as const;

function toText({ fate, folder, stem, what, sizeBytes, fileCount }: ImportedMessage): string {
  const size = `${formatSize(sizeBytes)} in ${counted(fileCount, "file")}`;
  if (what === null) return `${fates[fate]}: ${folder}${stem}, ${size}`;
  return `${fates[fate]}: ${what.baseGuid === null ? "full" : "incremental"} ${what.backup}, ${size}`;
}

function summary(messages: readonly ImportedMessage[]): string[] {
  const importedCount = messages.filter(({ fate }) => fate === "imported").length;
  if (importedCount === 0) return [];
  return [
    `${counted(importedCount, "message")} imported: each decrypts to its end, and its stream is whole by its own checksums.`,
    "From here on a seal guards them. Nothing shows who made them before: whoever had the passphrase could have.",
  ];
}

function toDocument({ fate, folder, stem, what, sizeBytes, fileCount, error }: ImportedMessage): Record<string, unknown> {
  return {
    backup: what?.backup ?? null,
    kind: what === null ? null : what.baseGuid === null ? "full" : "incremental",
    guid: what?.guid ?? null,
    baseGuid: what?.baseGuid ?? null,
    files: `${folder}${stem}.*`,
    fileCount,
    storedBytes: sizeBytes,
    outcome: fate,
    error: error === null ? null : errorDocument(error),
  };
}

function errorDocument({ code, message, hint }: ZferryError): Record<string, unknown> {
  return { code, message, hint };
}
