/**
 * One program of the user's, from started to gone: an engine that copies, or what makes a view and takes it away.
 *
 * It is started at a gate, as hooks are (`quiesce/gate.ts`), so that its process number is on disk before it does anything.
 * Unlike a hook it may be ended: it reads a snapshot, and whatever it had not done it does the next time.
 */
import type { Readable } from "node:stream";
import type { ChildExit } from "../child-exit.ts";
import { describeEnd, type GateRequest, lastWords, startAtGate } from "../quiesce/gate.ts";
import { endGroup } from "../quiesce/group.ts";

/** What it started may hold its output open for ever: wait no longer for its last words than this. */
const lingerMs = 1000;
/** Longer lines are told in pieces. */
const maxLineChars = 2000;
/** How long its processes may take to die of SIGTERM before they get SIGKILL. */
const graceMs = 10_000;

export interface ProgramRun extends GateRequest {
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
  const gated = await startAtGate(run);
  if ("why" in gated) return { status: null, why: gated.why };
  const { pid, exit, output } = gated;
  for (const stream of output) tellLines(stream, run.onLine);
  await gated.open(run.onStarted);
  const why = await untilEnd(pid, exit, run);
  await lastWords(output, lingerMs);
  for (const stream of output) stream.destroy();
  run.signal.throwIfAborted();
  const [status, killedBy] = await exit.known;
  if (why !== null) return { status: null, why };
  return status === null ? { status, why: describeEnd(status, killedBy) } : { status };
}

/** Waits for the exit; ends the whole group when that takes too long, or when the run is stopped. @returns why it did; null when it did not */
async function untilEnd(pid: number, exit: ChildExit, { timeoutMs, signal }: ProgramRun): Promise<string | null> {
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
    const why = await Promise.race([exit.known.then(() => null), cut]);
    if (why === null) return null;
    await endGroup(pid, graceMs);
    exit.giveUp(); // it may be stuck in the kernel
    return why;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

function tellLines(stream: Readable, onLine: (line: string) => void): void {
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
  stream.once("close", () => {
    tell(rest);
  });
}

/** For messages: as people say it. */
export function endingOf(end: ProgramEnd): string {
  return end.status === null ? end.why : describeEnd(end.status, null);
}
