/**
 * All processes that a hook has started and that are still in its process group: ended together, or not at all.
 */
import { kill } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

/** Between two looks whether they are gone. */
const pollMs = 20;

/** SIGTERM to the group, SIGKILL after the grace period; returns when it is gone, or after twice that. */
export async function endGroup(leader: number, graceMs: number): Promise<void> {
  signalGroup(leader, "SIGTERM");
  if (await isGoneWithin(leader, graceMs)) return;
  signalGroup(leader, "SIGKILL");
  await isGoneWithin(leader, graceMs);
}

/** Waits for a process that is no child of ours. @returns whether it ended in time */
export async function awaitEnd(isRunning: () => Promise<boolean>, ms: number): Promise<boolean> {
  const startedAt = performance.now();
  while (await isRunning()) {
    if (performance.now() - startedAt > ms) return false;
    await sleep(pollMs);
  }
  return true;
}

function isGoneWithin(leader: number, ms: number): Promise<boolean> {
  return awaitEnd(() => Promise.resolve(signalGroup(leader, 0)), ms);
}

/** @returns whether there is anybody left in the group; those we may not signal (sudo) count */
function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return kill(-leader, signal);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
