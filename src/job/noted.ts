/**
 * What is noted of a run (`history.ts`). A history that cannot be written fails no backup.
 */
import type { JobSettings } from "../config/jobs.ts";
import { appendRun, type RunRecord } from "../history.ts";
import { type TaskEnd, titleOf, toldError, type World } from "./task.ts";

type Noting = Pick<World, "stateDir" | "warn">;

/** Notes how a task ended. */
export function noteEnd(end: TaskEnd, world: Noting): Promise<void> {
  return note(titleOf(end.task), recordOf(end), world);
}

/** Notes that a job could not tell its datasets, so that there was no task of which anything could be noted. */
export function noteNoDatasets(job: JobSettings, error: unknown, { startedAt, world }: { readonly startedAt: Date; readonly world: Noting & Pick<World, "now"> }): Promise<void> {
  const run = { job: job.name, dataset: null, storeUrl: job.store, startedAt, endedAt: world.now(), downtimeMs: null };
  return note(job.name, { ...run, outcome: "failed", ...nothingMade, error: toldError(error) }, world);
}

const nothingMade = { kind: null, backup: null, streamBytes: null, storedBytes: null } as const;

async function note(title: string, record: RunRecord, { stateDir, warn }: Noting): Promise<void> {
  try {
    await appendRun(stateDir, record);
  } catch (error) {
    warn(`${title}: the history could not be written: ${toldError(error).message}`);
  }
}

function recordOf({ task, storeUrl, startedAt, endedAt, downtimeMs, result }: TaskEnd): RunRecord {
  const common = { job: task.job.name, dataset: task.dataset, storeUrl, startedAt, endedAt, downtimeMs };
  if (result.kind === "files") {
    return { ...common, outcome: "stored", kind: null, backup: null, streamBytes: null, storedBytes: null, error: null };
  }
  if (result.kind !== "backed-up") {
    return { ...common, outcome: result.kind, ...nothingMade, error: toldError(result.error) };
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
