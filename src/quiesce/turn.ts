/**
 * One quiesce at a time per state folder, so that no job starts what another has just stopped for its snapshot.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isZferryError } from "../errors.ts";
import { withLockAt } from "../lock.ts";
import { quiesceLockPath, removeDrafts } from "./record.ts";

const pollMs = 50;

export interface TurnOptions {
  /** How long to wait for whoever has the turn. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/**
 * Runs `work` when no other process works on a quiesce of this state folder. A process that was killed has no turn.
 *
 * @throws ZferryError `locked` when that takes longer than `waitMs`; `signal.reason`; what `work` throws
 */
export async function inTurn<T>(stateDir: string, { waitMs, signal }: TurnOptions, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const turn = { hasCome: false };
    try {
      return await withLockAt(quiesceLockPath(stateDir), "the hooks", { signal }, async () => {
        turn.hasCome = true;
        await removeDrafts(stateDir);
        return work();
      });
    } catch (error) {
      if (turn.hasCome || !isZferryError(error, "locked") || performance.now() - startedAt > waitMs) throw error;
    }
    await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }
}
