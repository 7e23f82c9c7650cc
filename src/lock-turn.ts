/**
 * Waiting for a lock whose holders soon let go of it. Runs, which keep theirs for hours, wait elsewhere (`job/overlap.ts`).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isZferryError } from "./errors.ts";
import { withLockAt } from "./lock.ts";

const pollMs = 50;

export interface TurnOptions {
  /** How long to wait for whoever has the lock. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Runs `work` when no other process has the lock at `path`. A process that was killed has none.
 *
 * @param what - what it is the lock of, for messages
 * @throws ZferryError `locked` when that takes longer than `waitMs`, `config-invalid` when the state folder cannot be
 * written; `signal.reason`; what `work` throws
 */
export async function withLockInTurn<T>(path: string, what: string, { waitMs, signal }: TurnOptions, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const turn = { hasCome: false };
    try {
      return await withLockAt(path, what, { signal }, () => {
        turn.hasCome = true;
        return work();
      });
    } catch (error) {
      if (turn.hasCome || !isZferryError(error, "locked") || performance.now() - startedAt > waitMs) throw error;
    }
    await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}
