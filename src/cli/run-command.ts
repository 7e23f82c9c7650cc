/**
 * The frame around every command: opens its session, hands it words and flags, and lets errors through to `program.ts`.
 */
import type { Command } from "commander";
import { exitStatus, isZferryError } from "../errors.ts";
import { fullNameOf } from "./commands.ts";
import { interruptionOf } from "./interruptions.ts";
import { version } from "../version.ts";
import type { SharedFlags } from "./options.ts";
import { rounded } from "./report.ts";
import { openSession, type Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/**
 * What a command does. `words` are its positional arguments, lists flattened; `flags` are what its own options give,
 * which only the command that declared them knows.
 */
export type CommandBody = (session: Session, words: readonly string[], flags: never) => Promise<void>;

/** For the command that writes the configuration and so cannot have read it. */
export type BareBody = (terminal: Terminal, flags: never, words: readonly string[]) => Promise<void>;

type Action = (...args: unknown[]) => Promise<void>;

/** Turns a command's body into a commander action. */
export interface RunCommand {
  (body: CommandBody): Action;
  readonly bare: (body: BareBody) => Action;
}

/** Those that may run for long, so that somebody follows them, by their full names. */
const followed = new Set(["backup", "put", "get", "restore", "verify", "drill", "download", "copy", "prune", "import", "files restore"]);

/** Tells programs that the command has begun, and how it ended. */
async function follow({ report }: Session, command: string, work: () => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  const ended = (exit: number): void => {
    report.event({ event: "ended", command, exit, seconds: rounded((performance.now() - startedAt) / 1000) }, { level: exit === 0 ? "info" : "error" });
  };
  report.tell({ event: "began", command, version });
  try {
    await work();
  } catch (error) {
    ended(exitStatus(error));
    throw error;
  }
  ended(0);
}

export function runCommandOn(terminal: Terminal): RunCommand {
  const run = (body: CommandBody): Action =>
    async (...args) => {
      const command = args.at(-1) as Command;
      const flags = command.optsWithGlobals<SharedFlags>();
      const session = await openSession(flags, terminal);
      const name = fullNameOf(command);
      const silence = announce(session, name);
      const work = (): Promise<void> => body(session, command.args, flags as never).finally(silence);
      await (followed.has(name) ? follow(session, name, work) : work());
    };
  const bare = (body: BareBody): Action =>
    async (...args) => {
      const command = args.at(-1) as Command;
      await body(terminal, command.optsWithGlobals<SharedFlags>() as never, command.args);
    };
  return Object.assign(run, { bare });
}

/** Says at once that a signal was heard, what it leaves, and how to end without the clean-up. @returns what makes it say nothing */
function announce({ report, terminal: { signal } }: Session, command: string): () => void {
  const say = (): void => {
    const left = interruptionOf(command, isZferryError(signal.reason) ? signal.reason.code : "interrupted");
    if (report.isAttended) report.warn(`stopping${left === null ? "" : `: ${left}`}. Ctrl-C again ends it at once, without the clean-up, which the next run then does`);
  };
  signal.addEventListener("abort", say, { once: true });
  return () => {
    signal.removeEventListener("abort", say);
  };
}
