/**
 * One child process, from started to gone.
 *
 * Its end of output is not its success: a `zfs send` can close stdout and fail 200 ms later, so whoever reads asks
 * {@link Child.succeeded} afterwards. stderr is always drained (1 MB of it unread would block zfs for ever) and its
 * last 64 KiB kept. Whoever has a child calls {@link Child.stop} in a `finally`; after it the process is gone, or was
 * given up: one that we may not kill (sudo), or that is stuck in the kernel, keeps nobody waiting for ever.
 */
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import type { EventEmitter } from "node:events";
import type { Readable, Writable } from "node:stream";
import { type ChildExit, exitOf } from "../child-exit.ts";
import { complaintOf, type Ending } from "./complaints.ts";

const stderrTailBytes = 64 * 1024;

/** After the exit somebody else may hold stderr open for ever (ssh's ControlPersist master does): wait no longer. */
const stderrLingerMs = 1000;

export interface Child {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Waits for the end. @throws ZferryError what zfs complained of, unless it exited 0 */
  succeeded(): Promise<void>;
  /**
   * Ends the process if it still runs and returns when it is gone, or after twice the grace period. Calling it again is
   * safe, before and after the end.
   */
  stop(): Promise<void>;
}

interface Care {
  /** The command as people say it, for complaints: `zfs send`. */
  readonly what: string;
  /** How long it may take to die of SIGTERM before it gets SIGKILL, and of that before it is given up. */
  readonly graceMs: number;
  /** Aborting stops the child at once. To its reader that is a broken pipe: the reader asks the signal why. */
  readonly signal: AbortSignal;
}

/** Takes charge of a process that was started a moment ago (same tick: no event may be missed). */
export function takeCareOf(spawned: ChildProcessWithoutNullStreams, { what, graceMs, signal }: Care): Child {
  for (const emitter of [spawned, spawned.stdin, spawned.stderr]) ignoreErrorsOf(emitter);
  const exit = exitOf(spawned);
  const stop = stopper(spawned, exit, graceMs);
  const stopNow = (): void => void stop();
  signal.addEventListener("abort", stopNow, { once: true });
  const ended = endOf(spawned, exit).finally(() => {
    signal.removeEventListener("abort", stopNow);
  });
  return {
    stdin: spawned.stdin,
    stdout: spawned.stdout,
    stop: async () => {
      await stop();
      await ended;
    },
    succeeded: async () => {
      const ending = await ended;
      if (ending.exitStatus !== 0) throw complaintOf(what, ending);
    },
  };
}

/** A broken pipe is only the echo of how the child ended, and a signal we may not send (sudo) is no surprise. */
function ignoreErrorsOf(emitter: EventEmitter): void {
  emitter.on("error", () => undefined);
}

/** Never rejects: `once` of node:events would, at the first ignored error. */
async function endOf(spawned: ChildProcessWithoutNullStreams, exit: ChildExit): Promise<Ending> {
  let tail = Buffer.alloc(0);
  spawned.stderr.on("data", (piece: Buffer) => {
    tail = Buffer.concat([tail, piece]).subarray(-stderrTailBytes);
  });
  const closed = new Promise((resolve) => spawned.stderr.once("close", resolve));
  const [exitStatus, killedBy] = await exit.known;
  const linger = setTimeout(() => spawned.stderr.destroy(), stderrLingerMs);
  await closed;
  clearTimeout(linger);
  return { exitStatus, killedBy, stderr: tail.toString("utf8") };
}

/**
 * First our end of the output closes, because some zfs write from a kernel thread or a daemon that no signal reaches
 * (zrepl/zrepl issue 495, zfs-fuse); then SIGTERM; then, after the grace period, SIGKILL; and after another one the child
 * is given up. The input stays open until the child is gone or was killed, so that it never takes our giving up for the end
 * of a stream. Pinned by `test/zfs/receive.test.ts`.
 */
function stopper(spawned: ChildProcessWithoutNullStreams, exit: ChildExit, graceMs: number): () => Promise<void> {
  let stopping: Promise<void> | null = null;
  const stop = async (): Promise<void> => {
    spawned.stdout.destroy();
    if (isRunning(spawned)) {
      if (!spawned.kill("SIGTERM")) spawned.stdin.destroy();
      let next = setTimeout(() => {
        spawned.kill("SIGKILL");
        spawned.stdin.destroy();
        next = setTimeout(exit.giveUp, graceMs);
      }, graceMs);
      await exit.known;
      clearTimeout(next);
    }
    spawned.stdin.destroy();
  };
  return () => (stopping ??= stop());
}

function isRunning(spawned: ChildProcessWithoutNullStreams): boolean {
  return spawned.exitCode === null && spawned.signalCode === null;
}
