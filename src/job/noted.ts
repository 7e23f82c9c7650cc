/**
 * What is noted of a task's end (`history.ts`).
 */
import { appendRun, type RunRecord } from "../history.ts";
import { type TaskEnd, titleOf, toldError, type World } from "./task.ts";

/** Notes how a task ended. A history that cannot be written fails no backup. */
export async function noteEnd(end: TaskEnd, { stateDir, warn }: Pick<World, "stateDir" | "warn">): Promise<void> {
  try {
    await appendRun(stateDir, recordOf(end));
  } catch (error) {
    warn(`${titleOf(end.task)}: the history could not be written: ${toldError(error).message}`);
  }
}

function recordOf({ task, storeUrl, startedAt, endedAt, downtimeMs, result }: TaskEnd): RunRecord {
  const common = { job: task.job.name, dataset: task.dataset, storeUrl, startedAt, endedAt, downtimeMs };
  if (result.kind !== "backed-up") {
    return { ...common, outcome: result.kind, kind: null, backup: null, streamBytes: null, storedBytes: null, error: toldError(result.error) };
  }
  const { plan, manifest } = result.outcome;
  return {
    ...common,
    outcome: manifest === null ? "nothing" : "stored",
    kind: manifest?.kind ?? (plan.kind === "nothing" ? null : plan.kind),
    backup: manifest?.backup ?? null,
    streamBytes: manifest?.stream.sizeBytes ?? null,
    storedBytes: manifest?.messageBytes ?? null,
    error: null,
  };
}
