/**
 * Where secrets come from: a file, an environment variable or a command, never an argument.
 *
 * What was read lives in memory only. Messages name the place and never the content.
 */
import { isUtf8 } from "node:buffer";
import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gather, MiB } from "./bytes.ts";
import type { EncryptionSettings } from "./config/config.ts";
import type { SecretSource } from "./config/notify.ts";
import { ZferryError } from "./errors.ts";
import type { Keyring, Recipients } from "./openpgp/session.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Group and others may not read a secret. */
const openToOthers = 0o077;
const commandTimeoutMs = 60_000;
/** A ring of a thousand certificates; not `/dev/zero`. */
const maxFileBytes = 4 * MiB;

/** The keys to lock new backups for. */
export async function readRecipients(settings: EncryptionSettings, environment: Environment): Promise<Recipients> {
  return {
    passphrases: await readPassphrases(settings, environment),
    certificates: await Promise.all(settings.recipients.map((file) => readText(file, "certificate"))),
  };
}

/** The keys to open backups with. */
export async function readKeyring(settings: EncryptionSettings, environment: Environment): Promise<Keyring> {
  const passphrases = await readPassphrases(settings, environment);
  const armored = await Promise.all(settings.privateKeys.map((file) => readPrivate(file, "private key")));
  return { passphrases, privateKeys: armored.map((key) => ({ armored: key, passphrase: passphrases[0] ?? null })) };
}

/** A token, key or URL that a notifier needs, as in `token of notifier "phone"`; the first line of where it is. */
export async function readSecret(source: SecretSource, what: string, environment: Environment): Promise<string> {
  switch (source.kind) {
    case "file":
      return firstLine(await readPrivate(source.path, what), `file "${source.path}"`, what);
    case "env":
      return fromVariable(source.variable, environment, what);
    case "credential":
      return firstLine(await readText(credentialPath(source.name, what, environment), what), `credential "${source.name}"`, what);
  }
}

/** Where systemd puts it; its mode there is systemd's affair, and an access list makes it look open to a group. */
function credentialPath(name: string, what: string, { CREDENTIALS_DIRECTORY: folder }: Environment): string {
  if (folder !== undefined && folder !== "") return join(folder, name);
  throw unusable(`there is no credential "${name}" for the ${what}: systemd has handed none over`, `add LoadCredential=${name}:FILE to the unit`);
}

async function readPassphrases(settings: EncryptionSettings, environment: Environment): Promise<string[]> {
  const { passphraseFile, passphraseEnv, passphraseCommand } = settings;
  const found: string[] = [];
  if (passphraseFile !== null) found.push(firstLine(await readPrivate(passphraseFile, "passphrase"), `file "${passphraseFile}"`));
  if (passphraseEnv !== null) found.push(fromVariable(passphraseEnv, environment, "passphrase"));
  if (passphraseCommand !== null) found.push(await fromCommand(passphraseCommand, environment));
  return found;
}

function fromVariable(name: string, environment: Environment, what: string): string {
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (value !== undefined && value !== "") return value;
  const elsewhere = what === "passphrase" ? "set it, or name another with --passphrase-env" : "set it, or name another in the configuration";
  throw unusable(`the environment variable "${name}" for the ${what} is not set`, elsewhere);
}

/** What the command prints as its first line; it is run by `sh -c`, and its stderr goes nowhere a secret could be kept. */
async function fromCommand(command: string, environment: Environment): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("/bin/sh", ["-c", command], {
      env: environment,
      timeout: commandTimeoutMs,
      encoding: "buffer",
    });
    return firstLine(textOf(stdout, "passphrase command's output"), "the passphrase command's output");
  } catch (error) {
    if (error instanceof ZferryError) throw error;
    const { code, signal } = error as { code?: unknown; signal?: unknown };
    throw unusable(
      `the passphrase command failed (${typeof signal === "string" ? signal : `exit ${String(code)}`})`,
      "run it by hand: its first line of output must be the passphrase",
    );
  }
}

/** gpg's rule for --passphrase-file: the first line, without its end. */
function firstLine(text: string, where: string, what = "passphrase"): string {
  const line = text.split("\n", 1)[0]?.replace(/\r$/, "") ?? "";
  if (line !== "") return line;
  throw unusable(`the first line of ${where} is empty`, `put the ${what} there, on one line`);
}

/** A file only its owner may read. */
async function readPrivate(file: string, what: string): Promise<string> {
  const text = await readText(file, what);
  const { mode } = await stat(file);
  if ((mode & openToOthers) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, "0");
    throw unusable(`the ${what} file "${file}" can be read by others (mode ${octal})`, `run chmod 600 '${file}'`);
  }
  return text;
}

async function readText(file: string, what: string): Promise<string> {
  let bytes: Buffer;
  try {
    const tooLong = (): Error => unusable(`the ${what} file "${file}" is larger than ${maxFileBytes} bytes`, "name the right file");
    bytes = await gather(createReadStream(file) as AsyncIterable<Buffer>, maxFileBytes, tooLong);
  } catch (error) {
    if (error instanceof ZferryError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? "unknown";
    throw unusable(`cannot read the ${what} file "${file}": ${reason}`, "check its path and owner");
  }
  return textOf(bytes, `${what} file "${file}"`);
}

/** Other bytes would become U+FFFD here and stay what they are in gpg, which then finds another passphrase. */
function textOf(bytes: Buffer, where: string): string {
  if (isUtf8(bytes)) return bytes.toString("utf8");
  throw unusable(`the ${where} is not UTF-8 text`, "convert it with iconv, or choose a passphrase in ASCII");
}

function unusable(message: string, hint: string): ZferryError {
  return new ZferryError("secret-unusable", message, { hint });
}
