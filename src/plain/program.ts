/**
 * One program of the user's, from started to gone: an engine that copies, or what makes a view and takes it away.
 *
 * It is started at a gate, as hooks are (`quiesce/hook.ts`), so that its process number is on disk before it does anything.
 * Unlike a hook it may be ended: it reads a snapshot, and whatever it had not done it does the next time.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { endGroup } from "../quiesce/group.ts";

const gate = 'read -r go <&3 && exec 3<&- && exec "$@"';

/** What it started may hold its output open for ever: wait no longer for its last words than this. */
const lingerMs = 1000;
/** Longer lines are told in pieces. */
const maxLineChars = 2000;
/** How long its processes may take to die of SIGTERM before they get SIGKILL. */
const graceMs = 10_000;

export interface ProgramRun {
  readonly argv: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Null for no limit. */
  readonly timeoutMs: number | null;
  /** Called with the process number before the program begins; when it rejects, the program never does. */
  readonly onStarted: (pid: number) => Promise<void>;
  /** Called with each line it prints, to stdout or stderr; lines end at CR too, as those of progress bars do. */
  readonly onLine: (line: string) => void;
  /** Aborting ends all of its processes; the call then throws the signal's reason. */
  readonly signal: AbortSignal;
}

/** How a program ended: its exit status, or why it has none. */
export type ProgramEnd = { readonly status: number } | { readonly status: null; readonly why: string };

/** @throws the signal's reason, once its processes are gone; what `onStarted` throws */
export async function runProgram(run: ProgramRun): Promise<ProgramEnd> {
  run.signal.throwIfAborted();
  const { argv, environment, workingDirectory } = run;
  let child: ChildProcess;
  try {
    // A session and a process group of its own: the terminal's Ctrl-C is for zferry, which ends all of the group.
    const stdio = ["ignore", "pipe", "pipe", "pipe"] as const;
    child = spawn("/bin/sh", ["-c", gate, "sh", ...argv], { cwd: workingDirectory, env: environment, detached: true, stdio: [...stdio] });
  } catch (error) {
    return { status: null, why: cannotRun(error) }; // E2BIG
  }
  const failed = new Promise<Error>((resolve) => child.on("error", resolve));
  if (child.pid === undefined) return { status: null, why: cannotRun(await failed) };
  return throughGate(child, child.pid, run);
}

async function throughGate(child: ChildProcess, pid: number, run: ProgramRun): Promise<ProgramEnd> {
  const exit = new Promise<ProgramEnd>((resolve) => {
    child.once("exit", (status, killedBy) => {
      resolve(status === null ? { status: null, why: `it was killed by ${killedBy ?? "a signal"}` } : { status });
    });
  });
  const told = tellLines(child, run.onLine);
  const open = child.stdio[3] as Writable;
  open.on("error", () => undefined); // the gate was killed: its exit tells
  try {
    await run.onStarted(pid);
  } catch (error) {
    open.destroy();
    await exit;
    throw error;
  }
  open.end("go\n");
  const end = await untilEnd(pid, exit, run);
  await told();
  run.signal.throwIfAborted();
  return end;
}

/** Waits for the exit; ends the whole group when that takes too long, or when the run is stopped. */
async function untilEnd(pid: number, exit: Promise<ProgramEnd>, { timeoutMs, signal }: ProgramRun): Promise<ProgramEnd> {
  let timer: NodeJS.Timeout | undefined;
  let stop = (): void => undefined;
  const cut = new Promise<string>((resolve) => {
    stop = () => {
      resolve("it was stopped");
    };
    if (timeoutMs !== null) timer = setTimeout(resolve, timeoutMs, `it took longer than ${timeoutMs / 1000} s`);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
  });
  try {
    const first = await Promise.race([exit, cut]);
    if (typeof first !== "string") return first;
    await endGroup(pid, graceMs);
    return { status: null, why: first };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

/** @returns what waits for its last words, for as long as somebody holds the output open, and not for ever */
function tellLines({ stdout, stderr }: ChildProcess, onLine: (line: string) => void): () => Promise<void> {
  const streams = [stdout, stderr].filter((stream): stream is Readable => stream !== null);
  const closed = Promise.all(streams.map((stream) => linesOf(stream, onLine)));
  return async () => {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([closed, new Promise((resolve) => (timer = setTimeout(resolve, lingerMs)))]);
    clearTimeout(timer);
    for (const stream of streams) stream.destroy();
  };
}

function linesOf(stream: Readable, onLine: (line: string) => void): Promise<unknown> {
  let rest = "";
  const tell = (line: string): void => {
    if (line.trim() !== "") onLine(line.trimEnd());
  };
  stream.setEncoding("utf8");
  stream.on("error", () => undefined);
  stream.on("data", (piece: string) => {
    const lines = `${rest}${piece}`.split(/[\r\n]/);
    rest = lines.pop() ?? "";
    lines.forEach(tell);
    if (rest.length > maxLineChars) {
      tell(rest);
      rest = "";
    }
  });
  return new Promise((resolve) => {
    stream.once("close", () => {
      tell(rest);
      resolve(undefined);
    });
  });
}

function cannotRun(error: unknown): string {
  return `it cannot be run: ${error instanceof Error && "code" in error ? String(error.code) : "unknown reason"}`;
}

/** For messages: as people say it. */
export function endingOf(end: ProgramEnd): string {
  if (end.status === null) return end.why;
  return end.status === 127 ? "exit 127, as of a program that is not there" : `exit ${end.status}`;
}
