/**
 * How a child process ended; or that it was given up: one that we may not kill (sudo), or that is stuck in the kernel, keeps
 * nobody waiting for ever.
 */
import type { ChildProcess } from "node:child_process";

export interface ChildExit {
  /** Both null for a child that was given up. */
  readonly known: Promise<[exitStatus: number | null, killedBy: NodeJS.Signals | null]>;
  /** Waits no longer, and does not keep this process alive for it. */
  readonly giveUp: () => void;
}

/** @param spawned - started a moment ago (same tick: no event may be missed) */
export function exitOf(spawned: ChildProcess): ChildExit {
  let giveUp = (): void => undefined;
  const known: ChildExit["known"] = new Promise((resolve) => {
    spawned.once("exit", (exitStatus, killedBy) => {
      resolve([exitStatus, killedBy]);
    });
    giveUp = () => {
      spawned.unref();
      resolve([null, null]);
    };
  });
  return { known, giveUp };
}
