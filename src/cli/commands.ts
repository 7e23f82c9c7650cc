/**
 * The commands as `zferry --help` lists them. What a command needs is loaded when it is given, and not before: a table
 * costs a few milliseconds, the engine behind it a few hundred.
 */
import type { Command } from "commander";
import type { RunCommand } from "./run-command.ts";

/** Gives a command of the table its options and its action. */
export type Declare = (command: Command, run: RunCommand) => void;

export interface CommandEntry {
  /** Name and arguments, as commander writes them. */
  readonly usage: string;
  readonly summary: string;
  readonly load: () => Promise<Declare>;
  /** For programs: not shown to people. */
  readonly isHidden?: boolean;
}

export function nameOf({ usage }: CommandEntry): string {
  return usage.split(" ", 1)[0] ?? "";
}

/** As it is given: `list`, or `files list`. */
export function fullNameOf(command: Command): string {
  const before = command.parent?.parent === null || command.parent === null ? "" : `${fullNameOf(command.parent)} `;
  return `${before}${command.name()}`;
}

export const commandTable: readonly CommandEntry[] = [
  {
    usage: "init",
    summary: "write a commented configuration to --config (default ./zferry.yaml) and check it",
    load: async () => (await import("./init.ts")).initCommand,
  },
  {
    usage: "backup [job...]",
    summary: "take a snapshot and store it: a full, or an incremental against the last full",
    load: async () => (await import("./backup.ts")).backupCommand,
  },
  {
    usage: "put <dataset@snapshot>",
    summary: "store the send stream on stdin, as in: ssh host zfs send pool/data@snap | zferry put pool/data@snap",
    load: async () => (await import("./put.ts")).putCommand,
  },
  {
    usage: "get <dataset@snapshot>",
    summary: "write the verified stream of a backup to stdout, as in: zferry get pool/data@snap | zfs recv pool/new",
    load: async () => (await import("./get.ts")).getCommand,
  },
  {
    usage: "list [dataset]",
    summary: "list backups: time, kind, base, size, restorable or why not",
    load: async () => (await import("./list.ts")).listCommand,
  },
  {
    usage: "restore <dataset[@snapshot]>",
    summary: "receive a backup into a pool: the full and then its incremental; the newest one unless a snapshot is named",
    load: async () => (await import("./restore.ts")).restoreCommand,
  },
  {
    usage: "verify [dataset[@snapshot]]",
    summary: "check that backups are whole: all, those of a dataset, or one",
    load: async () => (await import("./verify.ts")).verifyCommand,
  },
  {
    usage: "files",
    summary: "what jobs of mode files have stored by engine s3: list runs and paths, restore one path or all",
    load: async () => (await import("./files.ts")).filesCommand,
  },
  {
    usage: "drill [job...]",
    summary: "restore a backup by lot into a scratch dataset, compare it, take it away again, and keep a report",
    load: async () => (await import("./drill-command.ts")).drillCommand,
  },
  {
    usage: "download <dataset@snapshot> <folder>",
    summary: "copy a backup and the full it needs into a folder, undecrypted; the folder is a store to restore from",
    load: async () => (await import("./download.ts")).downloadCommand,
  },
  {
    usage: "copy [name...]",
    summary: "copy backups into another store, undecrypted: of jobs into their copies, or with --from and --to of datasets",
    load: async () => (await import("./copy.ts")).copyCommand,
  },
  {
    usage: "import <source>",
    summary: "take over what ZFS2Cloud has stored: a folder or a store's URL; ciphertext and passphrase stay as they are",
    load: async () => (await import("./import.ts")).importCommand,
  },
  {
    usage: "key",
    summary: "who can open the backups there are; add a passphrase or certificate to them without sending data again",
    load: async () => (await import("./key.ts")).keyCommand,
  },
  {
    usage: "status [job...]",
    summary: "how every dataset stands: last success, what is overdue, failed or damaged; or serve that on HTTP",
    load: async () => (await import("./status.ts")).statusCommand,
  },
  {
    usage: "report [job...]",
    summary: "draw all that is known of runs and backups as one HTML page: timeline, sizes, what can be restored, costs",
    load: async () => (await import("./report-command.ts")).reportCommand,
  },
  {
    usage: "doctor",
    summary: "look whether this machine has what the configuration needs, try the store, and say what follows",
    load: async () => (await import("./doctor.ts")).doctorCommand,
  },
  {
    usage: "bench",
    summary: "measure how fast a backup would be here and what limits it; or, with --plan, what one of that size takes",
    load: async () => (await import("./bench.ts")).benchCommand,
  },
  {
    usage: "prune [job...]",
    summary: "remove backups and snapshots that a policy does not keep, or (--strays) what failed attempts left; acts with --yes",
    load: async () => (await import("./prune.ts")).pruneCommand,
  },
  {
    usage: "recover",
    summary: "run the after_snapshot hooks that runs which were killed still owe; for the boot, and safe at any time",
    load: async () => (await import("./recover.ts")).recoverCommand,
  },
  {
    usage: "systemd",
    summary: "write services and timers for the configured jobs",
    load: async () => (await import("./systemd.ts")).systemdCommand,
  },
  {
    usage: "notify",
    summary: "tell the configured notifiers that a unit of systemd failed",
    load: async () => (await import("./notify.ts")).notifyCommand,
  },
  {
    usage: "state",
    summary: "the local state file, which is only a cache",
    load: async () => (await import("./state.ts")).stateCommand,
  },
  {
    usage: "completion",
    summary: "print the script that completes commands, options, jobs and stores in bash, zsh or fish",
    load: async () => (await import("./completion.ts")).completionCommand,
  },
  {
    usage: "complete",
    summary: "answer that script",
    load: async () => (await import("./completing.ts")).completeCommand,
    isHidden: true,
  },
];
