/**
 * Where secrets come from: a file, an environment variable, a command or a credential of systemd, never an argument.
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
import { ZferryError } from "./errors.ts";
import type { SecretSource } from "./config/secret-source.ts";
import type { Keyring, Recipients } from "./openpgp/session.ts";
import { type Credentials, keysIn, keysNamed } from "./store/credentials.ts";

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

/**
 * The keys of a store from where its `credentials` say they are.
 *
 * @throws ZferryError `secret-unusable`
 */
export async function readKeys(source: SecretSource, environment: Environment): Promise<Credentials> {
  const keys = source.kind === "env" ? keysNamed(source.variable, environment) : keysIn(await readPlace(source, "keys", environment));
  if (keys !== null) return keys;
  const names = source.kind === "env" ? [`${source.variable}_ACCESS_KEY_ID`, `${source.variable}_SECRET_ACCESS_KEY`] : ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
  const where = source.kind === "env" ? "the environment" : placeOf(source, "keys");
  throw unusable(`there are no keys for the store in ${where}`, `put ${names.join(" and ")} there, once each`);
}

/** A token, key or URL that a notifier needs, as in `token of notifier "phone"`: the first line of where it is. */
export async function readSecret(source: SecretSource, what: string, environment: Environment): Promise<string> {
  const text = await readPlace(source, what, environment);
  return source.kind === "env" ? text : firstLine(text, placeOf(source, what), what);
}

async function readPassphrases(settings: EncryptionSettings, environment: Environment): Promise<string[]> {
  const { passphraseFile: path, passphraseEnv: variable, passphraseCommand: line, passphraseCredential: name } = settings;
  const sources: SecretSource[] = [
    ...(path === null ? [] : [{ kind: "file", path } as const]),
    ...(variable === null ? [] : [{ kind: "env", variable } as const]),
    ...(line === null ? [] : [{ kind: "command", line } as const]),
    ...(name === null ? [] : [{ kind: "credential", name } as const]),
  ];
  const found: string[] = [];
  for (const source of sources) found.push(await readSecret(source, "passphrase", environment));
  return found;
}

/** All of the text that is in a place. @param what - for messages: `passphrase`, `keys` */
async function readPlace(source: SecretSource, what: string, environment: Environment): Promise<string> {
  switch (source.kind) {
    case "file":
      return readPrivate(source.path, what);
    case "env":
      return fromVariable(source.variable, what, environment);
    case "command":
      return fromCommand(source.line, what, environment);
    case "credential":
      return fromCredential(source.name, what, environment);
  }
}

function placeOf(source: SecretSource, what: string): string {
  switch (source.kind) {
    case "file":
      return `file "${source.path}"`;
    case "env":
      return `the environment variable "${source.variable}"`;
    case "command":
      return `the ${what} command's output`;
    case "credential":
      return `the systemd credential "${source.name}"`;
  }
}

function fromVariable(name: string, what: string, environment: Environment): string {
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (value !== undefined && value !== "") return value;
  const elsewhere = what === "passphrase" ? "set it, or name another with --passphrase-env" : "set it, or name another in the configuration";
  throw unusable(`the environment variable "${name}" for the ${what} is not set`, elsewhere);
}

/** Its folder is open to the service alone; the mode of the file says something else where access is given by an ACL. */
async function fromCredential(name: string, what: string, { CREDENTIALS_DIRECTORY: folder }: Environment): Promise<string> {
  if (folder !== undefined && folder !== "") return readText(join(folder, name), what);
  throw unusable(`there is no credential "${name}" for the ${what}: systemd has handed none over`, `add LoadCredential=${name}:FILE to the unit`);
}

/** What the command prints; it is run by `sh -c`, and its stderr goes nowhere a secret could be kept. */
async function fromCommand(command: string, what: string, environment: Environment): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)("/bin/sh", ["-c", command], {
      env: environment,
      timeout: commandTimeoutMs,
      encoding: "buffer",
    });
    return textOf(stdout, `${what} command's output`);
  } catch (error) {
    if (error instanceof ZferryError) throw error;
    const { code, signal } = error as { code?: unknown; signal?: unknown };
    throw unusable(
      `the ${what} command failed (${typeof signal === "string" ? signal : `exit ${String(code)}`})`,
      `run it by hand: it must print the ${what}`,
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
