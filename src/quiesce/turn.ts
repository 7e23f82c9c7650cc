/**
 * One quiesce at a time per state folder, so that no job starts what another has just stopped for its snapshot.
 */
import { type TurnOptions, withLockInTurn } from "../lock-turn.ts";
import { quiesceLockPath, removeDrafts } from "./record.ts";

/**
 * Runs `work` when no other process works on a quiesce of this state folder. A process that was killed has no turn.
 *
 * @throws ZferryError `locked` when that takes longer than `waitMs`; `signal.reason`; what `work` throws
 */
export function inTurn<T>(stateDir: string, options: TurnOptions, work: () => Promise<T>): Promise<T> {
  return withLockInTurn(quiesceLockPath(stateDir), "the hooks", options, async () => {
    await removeDrafts(stateDir);
    return work();
  });
}
