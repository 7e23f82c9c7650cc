/**
 * How zfs is called, and the plain call: arguments in, stdout out.
 *
 * Never through a shell of this machine, with names that were parsed (`names.ts`) behind a `--`, in the C locale, and
 * in an environment without secrets: a passphrase that came in a variable does not go to zfs, ssh or sudo.
 */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { gather, MiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { quotedWord } from "../shell.ts";
import { takeCareOf, type Child } from "./child.ts";

/** `["zfs"]`, `["sudo", "-n", "zfs"]` or `["ssh", "host", "zfs"]`. */
export type ZfsCommand = readonly [string, ...string[]];

/** What follows the command: a verb of zfs and its arguments. */
export type ZfsArguments = readonly [verb: string, ...string[]];

/** A zfs to call; made once by {@link zfsThrough}. */
export interface Zfs {
  readonly command: ZfsCommand;
  /** All that children get, besides `LC_ALL=C`. */
  readonly environment: Readonly<Record<string, string>>;
  /** How long a child may take to die of SIGTERM before it gets SIGKILL, and of that before it is given up. */
  readonly graceMs: number;
  /** How long a question may take that moves no data: a pool whose disks are gone answers none, and says nothing. */
  readonly answerMs: number;
}

export interface Cancellable {
  /** Aborting ends the child; the call throws `signal.reason` once it is gone. */
  readonly signal: AbortSignal;
}

/** A send that lets go of a busy pool can take seconds; zrepl waits as long (zrepl/zrepl issue 495). */
const defaultGraceMs = 10_000;

/** A million snapshots, read from cold disks, have been listed in far less. */
const defaultAnswerMs = 30 * 60 * 1000;

/** For finding programs, for ssh's agent, for tuning zfs; the last is how `fixtures/bin/zfs` finds its state. */
const passedOn =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TZ|TMPDIR|XDG_RUNTIME_DIR|SSH_AUTH_SOCK|SSH_AGENT_PID|KRB5CCNAME|LD_LIBRARY_PATH|(ZFS|ZPOOL|LIBZFS)_\w+|ZFERRY_FAKE_ZFS)$/;

/** The zfs behind a command. Of `environment` its children get a short list of variables, none of them a secret's. */
export function zfsThrough(command: ZfsCommand, environment: Readonly<Record<string, string | undefined>>): Zfs {
  const kept = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && passedOn.test(entry[0]),
  );
  return { command, environment: Object.fromEntries(kept), graceMs: defaultGraceMs, answerMs: defaultAnswerMs };
}

/** A million snapshots of one dataset list in about 450 MB; V8 has no string over 512 MiB. */
const maxOutputBytes = 480 * MiB;

/**
 * Runs `zfs ARGS` to its end and returns what it wrote to stdout. Questions have {@link Zfs.answerMs} for that.
 *
 * @throws ZferryError one of the `zfs-…` and `target-…` codes (`complaints.ts`); `zfs-failed` for a question without an answer
 */
export async function runZfs(zfs: Zfs, args: ZfsArguments, { signal }: Cancellable): Promise<string> {
  const child = await startZfs(zfs, args, { signal });
  const wait: { isOver: boolean } = { isOver: false };
  const giveUp = (): void => {
    wait.isOver = true;
    void child.stop();
  };
  const timer = isQuestion(args) ? setTimeout(giveUp, zfs.answerMs) : undefined;
  child.stdin.end();
  try {
    const output = await gather(child.stdout, maxOutputBytes, () => tooLong(args[0]));
    await child.succeeded();
    return output.toString("utf8");
  } catch (error) {
    signal.throwIfAborted();
    throw wait.isOver ? unanswered(zfs, args[0]) : error;
  } finally {
    clearTimeout(timer);
    await child.stop();
  }
}

/** What changes nothing. What does may take its time, and is not cut off: nobody could say what came of it. */
function isQuestion([verb, first]: ZfsArguments): boolean {
  return ["list", "get", "holds"].includes(verb) || (verb === "allow" && first === "--") || (verb === "send" && first === "-nP");
}

function unanswered(zfs: Zfs, verb: string): ZferryError {
  return new ZferryError("zfs-failed", `"${programOf(zfs)} ${verb}" has not answered within ${Math.ceil(zfs.answerMs / 1000)} s`, {
    hint: "the pool may be suspended, its disks gone, or the way to the zfs host cut: see zpool status -v",
  });
}

function tooLong(verb: string): ZferryError {
  return new ZferryError("zfs-failed", `"zfs ${verb}" printed more than ${maxOutputBytes} bytes`, {
    hint: "run the same zfs command by hand to see what it prints",
  });
}

/**
 * Starts `zfs ARGS` with all three streams open to us; the caller stops it.
 *
 * @throws ZferryError `zfs-failed` when there is no such program, or no process to be had
 */
export async function startZfs(zfs: Zfs, args: ZfsArguments, { signal }: Cancellable): Promise<Child> {
  signal.throwIfAborted();
  const spawned = launch(zfs, args);
  if (spawned.pid === undefined) throw cannotRun(zfs, await startErrorOf(spawned));
  return takeCareOf(spawned, { what: `${programOf(zfs)} ${args[0]}`, graceMs: zfs.graceMs, signal });
}

/** As messages call it: `zpool` is called in the same way (`pool.ts`). */
function programOf({ command }: Zfs): "zfs" | "zpool" {
  return /(^|\/)zpool$/.test(command[command.length - 1] ?? "") ? "zpool" : "zfs";
}

function launch(zfs: Zfs, args: ZfsArguments): ChildProcessWithoutNullStreams {
  const [program, ...first] = zfs.command;
  try {
    return spawn(program, [...first, ...quotedFor(program, args)], { env: { ...zfs.environment, LC_ALL: "C" } });
  } catch (error) {
    throw cannotRun(zfs, error);
  }
}

/**
 * ssh joins its arguments with spaces and gives them to a shell on the other side: there a name with a space would
 * become two names, and a property value could be a command. So for ssh each argument is quoted for that shell.
 */
function quotedFor(program: string, args: ZfsArguments): readonly string[] {
  if (!/(^|\/)ssh$/.test(program)) return args;
  return args.map(quotedWord);
}

function startErrorOf(spawned: ChildProcessWithoutNullStreams): Promise<Error> {
  return new Promise((resolve) => spawned.once("error", resolve));
}

function cannotRun(zfs: Zfs, cause: unknown): ZferryError {
  const why = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  return new ZferryError("zfs-failed", `cannot run "${zfs.command[0]}": ${why}`, {
    hint: "install zfs or give its full path: its folder is not in every user's PATH",
    cause,
  });
}
