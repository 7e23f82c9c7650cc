/**
 * One command of a hook, from started to ended: no shell reads it, what it prints is drained, and it has a time limit.
 *
 * It is started at a gate: `sh` waits for a word and then becomes the command (`exec "$@"`). So its process number is
 * on disk before the command does anything, and a guard that is killed between the two leaves a gate that closes by itself.
 *
 * There is no signal to end one: a `docker stop` that is cut off goes on stopping, and what is started meanwhile is
 * stopped by it. Whoever is in a hurry waits for the end of the hook, which its time limit bounds.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { type ChildExit, exitOf } from "../child-exit.ts";
import { endGroup } from "./group.ts";

const gate = 'read -r go <&3 && exec 3<&- && exec "$@"';

/** Of what it printed, stdout and stderr as they came. */
const tailBytes = 8 * 1024;
/** Nothing is waited for longer than a timer of node can count: 24 days. */
const maxTimerMs = 2 ** 31 - 1;
/** What it started may hold its output open for ever: wait no longer for its last words than this. */
const lingerMs = 200;

export interface HookRun {
  readonly argv: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** How long its processes may take to die of SIGTERM before they get SIGKILL. */
  readonly graceMs: number;
  /** Called with the process number before the command begins; when it rejects, the command never does. */
  readonly onStarted: (pid: number) => Promise<void>;
}

/** How a command ended: null for exit status 0, else why that was not so, with its last words. */
export type HookFailure = { readonly why: string; readonly tail: string } | null;

/** @throws what `onStarted` throws */
export async function runHook(run: HookRun): Promise<HookFailure> {
  let spawned: ChildProcess;
  try {
    spawned = spawn("/bin/sh", ["-c", gate, "sh", ...run.argv], {
      cwd: "/",
      env: run.environment,
      detached: true, // a session and a process group of its own
      stdio: ["ignore", "pipe", "pipe", "pipe"],
    });
  } catch (error) {
    return cannotRun(error); // E2BIG
  }
  const output = tailOf(spawned);
  const exit = exitOf(spawned);
  const error = new Promise<Error>((resolve) => spawned.on("error", resolve));
  if (spawned.pid === undefined) return cannotRun(await error);
  return throughGate(spawned, spawned.pid, { exit, output }, run);
}

interface Watched {
  readonly exit: ChildExit;
  readonly output: Output;
}

async function throughGate(spawned: ChildProcess, pid: number, { exit, output }: Watched, run: HookRun): Promise<HookFailure> {
  const open = spawned.stdio[3] as Writable;
  open.on("error", () => undefined); // the gate was killed: its exit tells
  try {
    await run.onStarted(pid);
  } catch (error) {
    open.destroy();
    await exit.known;
    throw error;
  }
  open.end("go\n");
  const stopped = await untilEnd(pid, exit, run);
  const [status, killedBy] = await exit.known;
  if (status === 0 && !stopped) return null;
  return { why: stopped ? `it took longer than ${run.timeoutMs / 1000} s` : describe(status, killedBy), tail: await output.atEnd() };
}

/** Waits for the exit, and ends the whole group when that takes too long. @returns whether it did */
async function untilEnd(pid: number, exit: ChildExit, { timeoutMs, graceMs }: HookRun): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, Math.min(timeoutMs, maxTimerMs), true)));
  const isStopped = await Promise.race([late, exit.known.then(() => false)]);
  clearTimeout(timer);
  if (isStopped) {
    await endGroup(pid, graceMs);
    exit.giveUp(); // it may be stuck in the kernel
  }
  return isStopped;
}

interface Output {
  readonly atEnd: () => Promise<string>;
}

/** Reads everything, for as long as this process lives, and keeps the end of it. */
function tailOf({ stdout, stderr }: ChildProcess): Output {
  let tail = Buffer.alloc(0);
  const streams = [stdout, stderr].filter((stream): stream is Readable => stream !== null);
  for (const stream of streams) {
    stream.on("error", () => undefined);
    stream.on("data", (piece: Buffer) => {
      tail = Buffer.concat([tail, piece]).subarray(-tailBytes);
    });
  }
  const closed = Promise.all(streams.map((stream) => new Promise((resolve) => stream.once("close", resolve))));
  return {
    atEnd: async () => {
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([closed, new Promise((resolve) => (timer = setTimeout(resolve, lingerMs)))]);
      clearTimeout(timer);
      return tail.toString("utf8").trim();
    },
  };
}

function describe(status: number | null, killedBy: NodeJS.Signals | null): string {
  if (killedBy !== null) return `it was killed by ${killedBy}`;
  if (status === null) return "it could not be ended";
  return status === 127 ? "exit 127, as of a program that is not there" : `exit ${status}`;
}

function cannotRun(error: unknown): HookFailure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
  return { why: `it cannot be run: ${code}`, tail: "" };
}
