/**
 * A program of the user's behind a gate: `sh` waits for a word and then becomes the program (`exec "$@"`). So its process
 * number is on disk before it does anything, and whoever is killed between the two leaves a gate that closes by itself.
 *
 * It has a session and a process group of its own: the terminal's Ctrl-C is not for it, and what it has started can be ended
 * with it (`group.ts`).
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { type ChildExit, exitOf } from "../child-exit.ts";

const gate = 'read -r go <&3 && exec 3<&- && exec "$@"';

export interface GateRequest {
  readonly argv: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
}

/** It waits until `open` is called. */
export interface Gated {
  readonly pid: number;
  readonly exit: ChildExit;
  /** Its stdout and stderr, which are to be read from now on. */
  readonly output: readonly Readable[];
  /** Lets it begin when `onStarted` is done; when that rejects it never does, and is gone when this rejects with the same. */
  readonly open: (onStarted: (pid: number) => Promise<void>) => Promise<void>;
}

/** @returns why it cannot be run, where it cannot */
export async function startAtGate({ argv, environment, workingDirectory }: GateRequest): Promise<Gated | { readonly why: string }> {
  let child: ChildProcess;
  try {
    child = spawn("/bin/sh", ["-c", gate, "sh", ...argv], { cwd: workingDirectory, env: environment, detached: true, stdio: ["ignore", "pipe", "pipe", "pipe"] });
  } catch (error) {
    return { why: cannotRun(error) }; // E2BIG
  }
  const exit = exitOf(child);
  const failed = new Promise<Error>((resolve) => child.on("error", resolve));
  if (child.pid === undefined) return { why: cannotRun(await failed) };
  const { pid } = child;
  const word = child.stdio[3] as Writable;
  word.on("error", () => undefined); // the gate was killed: its exit tells
  return {
    pid,
    exit,
    output: [child.stdout, child.stderr].filter((stream): stream is Readable => stream !== null),
    open: async (onStarted) => {
      try {
        await onStarted(pid);
      } catch (error) {
        word.destroy();
        await exit.known;
        throw error;
      }
      word.end("go\n");
    },
  };
}

/** Waits for the last words; what the program started may hold its output open for ever, so no longer than this. */
export async function lastWords(streams: readonly Readable[], lingerMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const open = streams.filter((stream) => !stream.closed);
  const closed = Promise.all(open.map((stream) => new Promise((resolve) => stream.once("close", resolve))));
  await Promise.race([closed, new Promise((resolve) => (timer = setTimeout(resolve, lingerMs)))]);
  clearTimeout(timer);
}

/** How it ended, as people say it; `status` and `killedBy` are null for one that was given up. */
export function describeEnd(status: number | null, killedBy: NodeJS.Signals | null): string {
  if (killedBy !== null) return `it was killed by ${killedBy}`;
  if (status === null) return "it could not be ended";
  return status === 127 ? "exit 127, as of a program that is not there" : `exit ${status}`;
}

function cannotRun(error: unknown): string {
  return `it cannot be run: ${error instanceof Error && "code" in error ? String(error.code) : "unknown reason"}`;
}
