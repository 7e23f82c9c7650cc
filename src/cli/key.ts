/** `zferry key list|add|remove`: who can open the backups there are. */
import { type Command, InvalidArgumentError } from "commander";
import { readCatalog } from "../catalog.ts";
import { ZferryError } from "../errors.ts";
import { type BackupEntry, datasetOfEntry } from "../format/entry.ts";
import { addedKeyName } from "../format/layout.ts";
import { addKey, type HeldKey, type KeyOutcome, keysOf, removeKey } from "../key.ts";
import { readKeyring, readRecipients } from "../secrets.ts";
import type { Store } from "../store/store.ts";
import { parseDatasetName, parseSnapshotName } from "../zfs/names.ts";
import { confirm, isAsking } from "./confirm.ts";
import { more, type SharedFlags, withKeyring, withStore } from "./options.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStore } from "./session.ts";
import { table } from "./table.ts";

const adding = `
NAME is what you will know the key by: lower-case letters, digits and dashes. Without a dataset or snapshot it is added to every
backup in the store; backups that have it are passed over. No data is fetched or sent: the session key of each backup is wrapped
once more and stored beside its chunks. Backups to come are locked for what the configuration says: change that as well. Each copy
of the store has keys of its own. docs/guides/keys.md has the rest.`;

const removing = `
Shows what would go, and acts with --yes, or when somebody on a terminal agrees. Only keys that were added can go; the ones a backup
was made with are part of it (docs/guides/keys.md says why, and what to do instead). A given passphrase or private key must open each
backup without the key that goes. Whoever had that key may have kept what it opened: what is to be secret from now on needs a new
full.`;

export function keyCommand(command: Command, run: RunCommand): void {
  withStore(command.command("list [name]").description("who can open each backup: of all, of a dataset, or of one"), "requests").action(run(listKeys));
  const add = command.command("add <name> [backups]").description("let another passphrase or certificate open the backups of the store, of a dataset, or one").addHelpText("after", adding);
  withKeyring(withStore(add, "requests"))
    .option("--new-passphrase-file <file>", "file with the passphrase to add in its first line, mode 0600")
    .option("--new-passphrase-env <variable>", "environment variable with it")
    .option("--new-passphrase-command <command>", "shell command that prints it")
    .option("--new-recipient <file>", "OpenPGP certificate to add; may be repeated", more)
    .action(run(addKeys));
  const remove = command.command("remove <name> [backups]").description("take an added key away again").addHelpText("after", removing);
  withKeyring(withStore(remove, "requests")).option("--yes", "remove it; without it somebody on a terminal is asked, and anybody else is only told").action(run(removeKeys));
}

/** All backups, those of a dataset, or one. */
async function entriesOf(session: Session, store: Store, word: string | undefined): Promise<readonly BackupEntry[]> {
  const { report, settings, terminal } = session;
  const { backups, damaged } = await readCatalog(store, { dataset: null, stateDir: settings.stateDir, warn: report.warn, signal: terminal.signal });
  for (const { key, error } of damaged) report.warn(`"${key}" cannot be used: ${error.message}`);
  if (word === undefined) return backups;
  const name = word.includes("@") ? parseSnapshotName(word) : parseDatasetName(word);
  const wanted = backups.filter((entry) => entry.backup === name || datasetOfEntry(entry) === name);
  if (wanted.length > 0) return wanted;
  throw new ZferryError("backup-not-found", `there is no backup of "${name}" in "${store.url}"`, { hint: "`zferry list` shows what there is" });
}

async function listKeys(session: Session, [word]: readonly string[]): Promise<void> {
  const { report, terminal } = session;
  const rows = await useStore(session, { access: "read", named: null }, async ({ store }) => {
    const all: { readonly entry: BackupEntry; readonly keys: readonly HeldKey[] }[] = [];
    for (const entry of await entriesOf(session, store, word)) all.push({ entry, keys: await keysOf({ store, signal: terminal.signal }, entry) });
    return all;
  });
  report.json({ type: "key-list", backups: rows.map(({ entry, keys }) => ({ backup: entry.backup, keys: keys.map(toDocument) })) });
  report.text(rows.length === 0 ? ["no backups"] : table([["backup", "made for", "added"], ...rows.map(({ entry, keys }) => toRow(entry, keys))], { width: report.columns, folding: ["made for"] }));
}

function toDocument({ name, holders }: HeldKey): Record<string, unknown> {
  const passphraseCount = holders.filter(({ kind }) => kind === "passphrase").length;
  return { name, passphraseCount, keyIds: holders.flatMap(({ keyIds }) => keyIds) };
}

function toRow(entry: BackupEntry, keys: readonly HeldKey[]): string[] {
  const own = keys.filter(({ name }) => name === null).map(holdersText);
  const added = keys.flatMap((key) => (key.name === null ? [] : [`${key.name} (${holdersText(key)})`]));
  return [entry.backup, own.join(", ") || "nobody: not encrypted", added.join(", ") || "-"];
}

function holdersText({ holders }: HeldKey): string {
  const passphraseCount = holders.filter(({ kind }) => kind === "passphrase").length;
  const certificates = holders.filter(({ kind }) => kind === "private-key").map(({ keyIds }) => `certificate ${keyIds.join(" ")}`);
  return [...(passphraseCount > 0 ? [counted(passphraseCount, "passphrase")] : []), ...certificates].join(", ") || "nothing that opens it";
}

interface AddFlags extends SharedFlags {
  readonly newPassphraseFile?: string;
  readonly newPassphraseEnv?: string;
  readonly newPassphraseCommand?: string;
  readonly newRecipient?: string[];
}

async function addKeys(session: Session, [word = "", which]: readonly string[], flags: AddFlags): Promise<void> {
  const { settings, terminal } = session;
  const { environment, signal } = terminal;
  const name = nameIn(word);
  const recipients = await readRecipients(
    {
      ...settings.encryption,
      passphraseFile: flags.newPassphraseFile ?? null,
      passphraseEnv: flags.newPassphraseEnv ?? null,
      passphraseCommand: flags.newPassphraseCommand ?? null,
      passphraseCredential: null,
      recipients: flags.newRecipient ?? [],
    },
    environment,
  );
  if (recipients.passphrases.length + recipients.certificates.length === 0) {
    throw new ZferryError("usage", "no key to add is given", { hint: "give --new-passphrase-file FILE or --new-recipient CERTIFICATE" });
  }
  const keyring = await readKeyring(settings.encryption, environment);
  const outcomes = await useStore(session, { access: "write", named: null }, async ({ store }) => {
    const all: KeyOutcome[] = [];
    for (const entry of await entriesOf(session, store, which)) all.push(await addKey({ store, name, keyring, recipients, signal }, entry));
    return all;
  });
  tell(session, { type: "key-add", name, outcomes });
  if (outcomes.some(({ outcome }) => outcome === "added")) session.report.next("put it into the configuration too, for backups to come; copies in other stores take it with --store");
}

interface RemoveFlags extends SharedFlags {
  readonly yes?: boolean;
}

async function removeKeys(session: Session, [word = "", which]: readonly string[], flags: RemoveFlags): Promise<void> {
  const { settings, terminal } = session;
  const { environment, signal } = terminal;
  const name = nameIn(word);
  const keyring = await readKeyring(settings.encryption, environment);
  const remove = (isDryRun: boolean): Promise<readonly KeyOutcome[]> =>
    useStore(session, { access: isDryRun ? "read" : "write", named: null }, async ({ store }) => {
      const all: KeyOutcome[] = [];
      for (const entry of await entriesOf(session, store, which)) all.push(await removeKey({ store, name, keyring, isDryRun, signal }, entry));
      return all;
    });
  if (flags.yes !== true) {
    const shown = await remove(true);
    tell(session, { type: "key-remove", name, outcomes: shown });
    if (!(await isAgreed(session, { flags, name, goingCount: shown.filter(({ outcome }) => outcome === "would-go").length }))) return;
  }
  tell(session, { type: "key-remove", name, outcomes: await remove(false) });
}

/** Says so where nothing is to be removed. @throws the signal's reason */
async function isAgreed(session: Session, { flags, name, goingCount }: { readonly flags: RemoveFlags; readonly name: string; readonly goingCount: number }): Promise<boolean> {
  if (goingCount === 0) return false;
  const isAsked = isAsking(session, flags);
  if (isAsked && (await confirm(session, `remove the key "${name}" of ${counted(goingCount, "backup")} for good?`))) return true;
  session.report.info(isAsked ? "nothing was removed" : "nothing was removed: --yes does it");
  return false;
}

function nameIn(word: string): string {
  if (addedKeyName.test(word)) return word;
  throw new InvalidArgumentError(`"${word}" is no name for a key: 1 to 32 lower-case letters, digits and dashes.`);
}

const texts: Readonly<Record<KeyOutcome["outcome"], string>> = {
  added: "added",
  there: "is there already",
  "would-go": "would go",
  removed: "removed",
  nothing: "has no such key",
  failed: "failed",
};

function tell({ report }: Session, { type, name, outcomes }: { readonly type: string; readonly name: string; readonly outcomes: readonly KeyOutcome[] }): void {
  const backups = outcomes.map(({ entry, outcome, error }) => ({
    backup: entry.backup,
    outcome,
    error: error === null ? null : { code: error.code, message: error.message, hint: error.hint },
  }));
  report.json({ type, name, backups });
  const lines = outcomes.map(({ entry, outcome }) => `${texts[outcome]}: ${name}, ${entry.backup}`);
  if (lines.length === 0) report.text(["no backups"]);
  else if (outcomes.some(({ outcome }) => outcome === "failed" || outcome === "would-go")) report.text(lines);
  else report.done(lines);
  const [first, ...others] = outcomes.flatMap(({ error }) => error ?? []);
  for (const error of others) report.failure(error);
  if (first !== undefined) throw first;
}
