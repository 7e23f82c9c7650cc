/**
 * From flags, environment and configuration file to what a command works with. Flags win over the file, the file over
 * the defaults.
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Config, emptyConfig, type EncryptionSettings, parseConfig, type StoreSettings } from "../config/config.ts";
import type { JobSettings } from "../config/jobs.ts";
import { type Whom, whomToTell } from "../config/whom-to-tell.ts";
import { defaultSettings } from "../config/schema.ts";
import { ZferryError } from "../errors.ts";
import { doubtOfFile, doubtOfState } from "../ownership.ts";
import { defaultThreads } from "../packing.ts";
import type { SharedFlags } from "./options.ts";
import type { Terminal } from "./terminal.ts";

export interface Settings {
  readonly config: Config;
  /** Where it was read, absolute; null when there is none. */
  readonly configFile: string | null;
  readonly stateDir: string;
  readonly encryption: EncryptionSettings;
  /** Worker threads for ciphers and hashes. */
  readonly threads: number;
}

/** @throws ZferryError `config-invalid` */
export async function settle(flags: SharedFlags, terminal: Terminal): Promise<Settings> {
  const { config, file: configFile } = await readConfig(flags, terminal);
  const { encryption } = config;
  const stateDir = await stateFolder(flags.stateDir ?? config.stateDir, terminal);
  const hasOwnPassphrase = [flags.passphraseFile, flags.passphraseEnv, flags.passphraseCommand].some((flag) => flag !== undefined);
  return {
    config,
    configFile,
    stateDir,
    encryption: {
      packet: flags.packet ?? encryption.packet,
      passphraseFile: hasOwnPassphrase ? (flags.passphraseFile ?? null) : encryption.passphraseFile,
      passphraseEnv: hasOwnPassphrase ? (flags.passphraseEnv ?? null) : encryption.passphraseEnv,
      passphraseCommand: hasOwnPassphrase ? (flags.passphraseCommand ?? null) : encryption.passphraseCommand,
      passphraseCredential: hasOwnPassphrase ? null : encryption.passphraseCredential,
      recipients: flags.recipient ?? encryption.recipients,
      privateKeys: flags.privateKey ?? encryption.privateKeys,
    },
    threads: flags.threads ?? config.defaults.threads ?? defaultThreads(terminal.coreCount),
  };
}

/**
 * The state folder alone: where a flag names it, no configuration is read, so that a broken one is in nobody's way.
 *
 * @throws ZferryError `config-invalid`
 */
export async function settleStateFolder(flags: SharedFlags, terminal: Terminal): Promise<string> {
  return stateFolder(flags.stateDir ?? (await readConfig(flags, terminal)).config.stateDir, terminal);
}

/**
 * Whom to tell when the configuration may be what is wrong: a refused one is looked into for its notifiers.
 *
 * @param onRefused - is given why it was refused
 * @throws ZferryError `config-invalid` when it names nobody, or the state folder cannot be used
 */
export async function settleTelling(flags: SharedFlags, terminal: Terminal, onRefused: (error: ZferryError) => void): Promise<Whom & { readonly stateDir: string }> {
  const read = await readFirst(flags, terminal);
  const { stateDir, ...whom } = whomIn(read, onRefused);
  return { ...whom, stateDir: await stateFolder(flags.stateDir ?? stateDir, terminal) };
}

function whomIn(read: ConfigText | null, onRefused: (error: ZferryError) => void): Whom {
  try {
    const config = read === null ? emptyConfig : parseConfig(read.text, read.file);
    return { ...config, jobs: [...config.jobs.values()] };
  } catch (error) {
    const whom = read === null ? null : whomToTell(read.text);
    if (!(error instanceof ZferryError) || whom === null) throw error;
    onRefused(error);
    return whom;
  }
}

async function stateFolder(named: string | null, terminal: Terminal): Promise<string> {
  const folder = resolve(terminal.workingDirectory, named ?? defaultStateDir(terminal));
  await checkState(folder, terminal);
  return folder;
}

/** The configuration of the working directory, which nobody has to name. */
const found = "zferry.yaml";

async function readConfig(flags: SharedFlags, terminal: Terminal): Promise<{ readonly config: Config; readonly file: string | null }> {
  const read = await readFirst(flags, terminal);
  return read === null ? { config: emptyConfig, file: null } : { config: parseConfig(read.text, read.file), file: read.file };
}

interface ConfigText {
  readonly text: string;
  readonly file: string;
}

/** The file that is named, or the first of those that need no name; null when there is none. */
async function readFirst(flags: SharedFlags, terminal: Terminal): Promise<ConfigText | null> {
  const { environment, workingDirectory } = terminal;
  const named = flags.config ?? unlessEmpty(environment.ZFERRY_CONFIG);
  const files = named === undefined ? [found, "/etc/zferry/zferry.yaml"] : [named];
  for (const file of files.map((name) => resolve(workingDirectory, name))) {
    try {
      const text = await readFile(file, "utf8");
      if (named === undefined && file === resolve(workingDirectory, found)) await checkFound(file, terminal);
      return { text, file };
    } catch (error) {
      if (error instanceof ZferryError) throw error;
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" && named === undefined) continue;
      throw new ZferryError("config-invalid", `cannot read the configuration "${file}": ${code ?? "unknown"}`, {
        hint: "`zferry init` writes a new one; --config names another",
      });
    }
  }
  return null;
}

/** A configuration names programs to run: one that lies about where we happen to be must be ours. */
async function checkFound(file: string, { userId }: Terminal): Promise<void> {
  const doubt = await doubtOfFile(file, userId);
  if (doubt === null) return;
  throw new ZferryError("config-invalid", `the configuration found here is not used because of "${doubt.path}": ${doubt.why}`, {
    hint: `see that it is yours: chmod go-w, or chown; --config '${file}' uses it on purpose`,
  });
}

/** A journal decides the session key, and what is gone on with. */
async function checkState(stateDir: string, { userId }: Terminal): Promise<void> {
  const doubt = await doubtOfState(stateDir, userId).catch((error: unknown) => {
    throw new ZferryError("config-invalid", `cannot look into the state folder "${stateDir}": ${(error as Error).message}`, {
      hint: "give the user zferry runs as access to its state folder, or name another with --state-dir",
      cause: error,
    });
  });
  if (doubt === null) return;
  throw new ZferryError("config-invalid", `the state folder is not used because of "${doubt.path}": ${doubt.why}`, {
    hint: "look what put it there, then run chmod o-w or chown; or name another folder with --state-dir",
  });
}

function defaultStateDir({ environment, isRoot }: Terminal): string {
  if (isRoot) return "/var/lib/zferry";
  const home = unlessEmpty(environment.HOME) ?? "/";
  return join(unlessEmpty(environment.XDG_STATE_HOME) ?? join(home, ".local", "state"), "zferry");
}

/** A variable set to nothing is one that is not set. */
function unlessEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

/** The store a name or URL means, with the flags' values over the configured ones. */
export function storeSettings(flags: SharedFlags, config: Config, named: string | null): StoreSettings {
  const wanted = flags.store ?? named ?? config.defaults.store ?? onlyName(config);
  if (wanted === null) {
    throw new ZferryError("usage", "no store is named", {
      hint: "give --store URL, or set defaults.store in the configuration",
    });
  }
  const { partBytes, concurrency, retryMs } = defaultSettings;
  const known = config.stores.get(wanted) ?? { url: wanted, partBytes, concurrency, retryMs, leaseMs: null, credentials: null };
  return {
    url: known.url,
    partBytes: flags.partSize ?? known.partBytes,
    concurrency: flags.concurrency ?? known.concurrency,
    retryMs: flags.retryFor ?? known.retryMs,
    leaseMs: known.leaseMs,
    credentials: known.credentials,
  };
}

/** How long a failing request is tried again where a person waits for the answer. */
export const patience = { text: "30s", ms: 30_000 };

/** The store's settings for such a command: the patience of a nightly run only when it is asked for. */
export function impatient(flags: SharedFlags, settings: StoreSettings): StoreSettings {
  return { ...settings, retryMs: flags.retryFor ?? Math.min(settings.retryMs, patience.ms) };
}

function onlyName(config: Config): string | null {
  const [first, second] = config.stores.keys();
  return first !== undefined && second === undefined ? first : null;
}

/** The zfs to run: the flag's, the job's, or the default one. */
export function zfsCommand(flags: SharedFlags, job: Pick<JobSettings, "zfs">): readonly [string, ...string[]] {
  const [program, ...rest] = flags.zfs?.split(" ").filter((word) => word !== "") ?? [];
  return program === undefined ? job.zfs : [program, ...rest];
}
