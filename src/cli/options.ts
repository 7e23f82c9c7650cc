/**
 * The flags that several commands share, declared once. No flag takes a secret: they say where it is.
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseSize } from "../bytes.ts";
import { parseDuration } from "../config/values.ts";
import { type PacketName, packetNames } from "../format/layout.ts";
import type { LogFormat, LogLevel } from "./report.ts";

/** What the shared flags give; a member is there when the flag was. */
export interface SharedFlags {
  readonly config?: string;
  readonly json?: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat;
  readonly quiet?: boolean;
  readonly store?: string;
  /** Of commands where `--store` may be repeated. */
  readonly stores?: readonly string[];
  readonly stateDir?: string;
  readonly passphraseFile?: string;
  readonly passphraseEnv?: string;
  readonly passphraseCommand?: string;
  readonly recipient?: string[];
  readonly privateKey?: string[];
  readonly packet?: PacketName;
  readonly chunkSize?: number;
  readonly partSize?: number;
  readonly concurrency?: number;
  readonly retryFor?: number;
  readonly threads?: number;
  readonly allowUnauthenticated?: boolean;
  readonly zfs?: string;
}

/** `16MiB` and the like, in bytes. */
export function size(text: string): number {
  try {
    return parseSize(text);
  } catch {
    throw new InvalidArgumentError("write it as 16MiB or 1GiB.");
  }
}

/** `30d` and the like, in milliseconds. */
export function durationFlag(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new InvalidArgumentError("write it as 30d, 12h, 90m or 45s.");
  return ms;
}

function lanes(text: string): number {
  if (/^[1-9]\d?$/.test(text) && Number(text) <= 64) return Number(text);
  throw new InvalidArgumentError("it must be a whole number from 1 to 64.");
}

function threadCount(text: string): number {
  if (/^[0-2]$/.test(text)) return Number(text);
  throw new InvalidArgumentError("it must be 0, 1 or 2.");
}

/** For a flag that may be repeated. */
export function more(word: string, words: readonly string[] | undefined): string[] {
  return [...(words ?? []), word];
}

const places = "s3://bucket/prefix?endpoint=…&region=…, file:///path, a path, or a name from the configuration";

/** `--store` where it may be repeated, as `stores` in the flags. */
class StoresOption extends Option {
  override attributeName(): string {
    return "stores";
  }
}

/** Which stores, in the order they are asked, and how they are talked to. */
export function withStores(command: Command, shortRetryFor: string): Command {
  const option = new StoresOption("--store <url>", `${places}; may be repeated: each further one is asked where those before it fail`);
  return withTalk(command.addOption(option.argParser(more)), "ranges", `1h; ${shortRetryFor} where another store follows`);
}

/**
 * Which store, and how it is talked to.
 *
 * @param inFlight - what a command has several of at a time, for the help
 * @param retryFor - the default of that flag, for the help (`impatient`)
 */
export function withStore(command: Command, inFlight: "parts" | "ranges" | "requests", retryFor = "1h"): Command {
  return withTalk(command.option("--store <url>", places), inFlight, retryFor);
}

function withTalk(command: Command, inFlight: string, retryFor: string): Command {
  return command
    .option("--part-size <size>", "size of an upload part; memory is (concurrency + 1) parts (default 16MiB)", size)
    .option("--concurrency <n>", `${inFlight} in flight (default 4)`, lanes)
    .option("--retry-for <time>", `how long a failing request is tried again (default ${retryFor})`, durationFlag)
    .option("--state-dir <folder>", "folder of the state file, of locks and of journals");
}

/** Where the passphrase is. */
function withKeys(command: Command): Command {
  return command
    .option("--passphrase-file <file>", "file with the passphrase in its first line, mode 0600")
    .option("--passphrase-env <variable>", "environment variable with the passphrase")
    .option("--passphrase-command <command>", "shell command that prints the passphrase");
}

/** How much runs beside the main thread. */
export function withThreads(command: Command): Command {
  return command.option("--threads <n>", "worker threads for ciphers and hashes: 0, 1 or 2 (default 2; 0 on one core)", threadCount);
}

/** How new backups are packed and for whom. */
export function withPacking(command: Command): Command {
  const keyed = withKeys(command).option("--recipient <file>", "OpenPGP certificate that can open the backup too; may be repeated", more);
  return withThreads(withSizes(keyed));
}

/** Into which packet, and into objects of which size. */
export function withSizes(command: Command): Command {
  return command
    .addOption(new Option("--packet <packet>", "OpenPGP packet of the data (default ocb)").choices(packetNames))
    .option("--chunk-size <size>", "size of one object, a multiple of the part size (default 1GiB)", size);
}

/** What opens messages. */
export function withKeyring(command: Command): Command {
  return withKeys(command).option("--private-key <file>", "OpenPGP private key, mode 0600; may be repeated", more);
}

/** How backups are opened. */
export function withOpening(command: Command): Command {
  return withKeyring(withThreads(command)).option("--allow-unauthenticated", "take a backup that is not sealed with any key");
}

/** Which zfs. */
export function withZfs(command: Command): Command {
  return command.option("--zfs <command>", 'the zfs to run, as in "/sbin/zfs" or "ssh host zfs" (split at spaces)');
}
