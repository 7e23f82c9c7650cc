/**
 * One command of a hook, from started to ended: no shell reads it, what it prints is drained, and it has a time limit.
 *
 * It is started at a gate (`gate.ts`), so that its process number is on disk before it does anything.
 *
 * There is no signal to end one: a `docker stop` that is cut off goes on stopping, and what is started meanwhile is
 * stopped by it. Whoever is in a hurry waits for the end of the hook, which its time limit bounds.
 */
import type { Readable } from "node:stream";
import type { ChildExit } from "../child-exit.ts";
import { describeEnd, lastWords, startAtGate } from "./gate.ts";
import { endGroup } from "./group.ts";

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
  const gated = await startAtGate({ ...run, workingDirectory: "/" });
  if ("why" in gated) return { why: gated.why, tail: "" };
  const { pid, exit, output } = gated;
  const tail = tailOf(output);
  await gated.open(run.onStarted);
  const stopped = await untilEnd(pid, exit, run);
  const [status, killedBy] = await exit.known;
  if (status === 0 && !stopped) return null;
  await lastWords(output, lingerMs);
  return { why: stopped ? `it took longer than ${run.timeoutMs / 1000} s` : describeEnd(status, killedBy), tail: tail() };
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

/** Reads everything, for as long as this process lives, and keeps the end of it. */
function tailOf(streams: readonly Readable[]): () => string {
  let tail = Buffer.alloc(0);
  for (const stream of streams) {
    stream.on("error", () => undefined);
    stream.on("data", (piece: Buffer) => {
      tail = Buffer.concat([tail, piece]).subarray(-tailBytes);
    });
  }
  return () => tail.toString("utf8").trim();
}
