/**
 * What a run tells to those who asked to be told (`notify/tell.ts`). The teller never fails and never makes a run wait.
 */
import { formatSize } from "../bytes.ts";
import type { JobSettings } from "../config/jobs.ts";
import type { Happening } from "../notify/tell.ts";
import type { CopyEnd } from "./copies.ts";
import { type TaskEnd, titleOf, toldError, type World } from "./task.ts";

type Telling = Pick<World, "teller" | "warn" | "now">;

function tell({ teller, now }: Telling, happening: Omit<Happening, "at">): Promise<void> {
  return teller.tell({ ...happening, at: now() });
}

export function tellStart({ name }: JobSettings, world: Telling): Promise<void> {
  return tell(world, { kind: "start", job: name, dataset: null, text: `${name}: the backup begins`, details: {} });
}

/** The job as a whole went well. */
export function tellSuccess({ name }: JobSettings, world: Telling): Promise<void> {
  return tell(world, { kind: "success", job: name, dataset: null, text: `${name}: all is backed up`, details: {} });
}

/** The job failed before it came to its datasets, or because a service did not start again. */
export function tellFailure({ name }: JobSettings, error: unknown, world: Telling): Promise<void> {
  return tell(world, { kind: "failure", job: name, dataset: null, text: textOf(name, error), details: toldError(error) });
}

/** A copy failed. It is told of the job: that the dataset itself is backed up again does not end it. */
export async function tellCopyFailure({ task, storeUrl, error }: CopyEnd, world: Telling): Promise<void> {
  const { message, hint } = toldError(error);
  const text = `${titleOf(task)}: the copy in "${task.copy.store}" failed: ${message}${hint === null ? "" : ` (${hint})`}`;
  await tell(world, { kind: "failure", job: task.job.name, dataset: null, text, details: { ...toldError(error), dataset: task.dataset, store: storeUrl } });
}

/** How one dataset ended. One that was skipped is no news: whoever waits for it hears when it is overdue. */
export async function tellEnd({ task, storeUrl, downtimeMs, result }: TaskEnd, world: Telling): Promise<void> {
  const { name } = task.job;
  const common = { job: name, dataset: task.dataset };
  if (result.kind === "files") {
    const { engine, target, exitStatus } = result.outcome;
    await tell(world, { kind: "success", ...common, text: `${titleOf(task)}: files copied, ${target}`, details: { store: storeUrl, engine, exitStatus } });
    return;
  }
  if (result.kind !== "backed-up") {
    if (result.kind === "skipped") return;
    const details = { ...toldError(result.error), store: storeUrl };
    await tell(world, { kind: "failure", ...common, text: textOf(titleOf(task), result.error), details });
    return;
  }
  const { plan, manifest } = result.outcome;
  const stored = manifest === null ? plan.reason : `${manifest.kind} backup ${manifest.backup}, ${formatSize(manifest.messageBytes)}`;
  const details = {
    store: storeUrl,
    kind: manifest?.kind ?? null,
    backup: manifest?.backup ?? null,
    streamBytes: manifest?.stream.sizeBytes ?? null,
    storedBytes: manifest?.messageBytes ?? null,
    downtimeSeconds: downtimeMs === null ? null : downtimeMs / 1000,
  };
  await tell(world, { kind: "success", ...common, text: `${titleOf(task)}: ${stored}`, details });
}

/** Services were down for longer than the job allows. */
export async function tellDowntime({ name, maxDowntimeMs }: JobSettings, downtimeMs: number, world: Telling): Promise<void> {
  const limitSeconds = maxDowntimeMs === null ? null : maxDowntimeMs / 1000;
  const text = `${name}: services were down for ${(downtimeMs / 1000).toFixed(1)} s, and max_downtime is ${String(limitSeconds)} s`;
  world.warn(text);
  await tell(world, { kind: "downtime", job: name, dataset: null, text, details: { downtimeSeconds: downtimeMs / 1000, limitSeconds } });
}

function textOf(title: string, error: unknown): string {
  const { message, hint } = toldError(error);
  return `${title}: ${message}${hint === null ? "" : ` (${hint})`}`;
}
