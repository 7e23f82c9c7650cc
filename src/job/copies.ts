/**
 * One dataset of a job into one of its further stores: opened, copied, noted, shown and told.
 *
 * What fails here fails one copy: neither the backup nor another copy.
 */
import type { CopySettings } from "../config/copies.ts";
import type { JobSettings } from "../config/jobs.ts";
import { appendCopy } from "../copy-history.ts";
import type { CopyingProgress, CopyOutcome, CopyRequest } from "../copy/copy.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import type { Tell } from "../events.ts";
import type { Teller } from "../notify/tell.ts";
import type { Keyring } from "../openpgp/session.ts";
import type { Store } from "../store/store.ts";
import type { DatasetName } from "../zfs/names.ts";
import { titleOf, toldError } from "./task.ts";
import { tellCopyFailure } from "./told.ts";

/** A further store, open. */
export interface CopyPlace {
  readonly store: Store;
  readonly leaseMs: number | null;
  close(): Promise<void>;
}

/** One dataset of a job on its way into one of its copies. */
export interface CopyTask {
  readonly job: JobSettings;
  readonly dataset: DatasetName;
  readonly copy: CopySettings;
  readonly from: Store;
}

export interface CopyEnd {
  readonly task: CopyTask;
  /** As the store calls itself; as the configuration calls it when it was never open. */
  readonly storeUrl: string;
  readonly startedAt: Date;
  readonly endedAt: Date;
  /** Null when it came to nothing, for the reason in `error`. */
  readonly outcome: CopyOutcome | null;
  /** The first thing that failed; null when all is well. */
  readonly error: unknown;
  /** Another is at work there, as a first copy may be for days: it does what is to be done. */
  readonly isBusy: boolean;
}

/** How the progress of one copy is shown. */
export interface CopyProgress extends Omit<CopyingProgress, "onBegin" | "warn"> {
  /** No more of it. */
  end(): void;
}

/** What copies work with: a part of what a run does. */
export interface CopyWorld {
  readonly stateDir: string;
  /** Only decide: nothing is stopped, taken, stored or noted. */
  readonly isDryRun: boolean;
  readonly teller: Teller;
  readonly info: (text: string) => void;
  readonly warn: (text: string) => void;
  readonly tell: Tell;
  readonly now: () => Date;
  readonly signal: AbortSignal;
  readonly openCopy: (copy: CopySettings) => Promise<CopyPlace>;
  readonly keyring: () => Promise<Keyring>;
  readonly allowUnauthenticated: boolean;
  /** Ranges fetched at a time. */
  readonly concurrency: number;
  readonly copyProgressOf: (task: CopyTask) => CopyProgress;
  /** False where no job asks: then it is not in the history. */
  readonly isNoted: boolean;
  /** Called once for each copy, as soon as it has come to its end. */
  readonly copied: (end: CopyEnd) => void;
}

/** The further stores of one run: each is opened once. */
export class CopyPlaces {
  readonly #world: CopyWorld;
  readonly #open = new Map<string, CopyPlace>();

  constructor(world: CopyWorld) {
    this.#world = world;
  }

  /** @throws whatever opening throws */
  async of(copy: CopySettings): Promise<CopyPlace> {
    const place = this.#open.get(copy.store) ?? (await this.#world.openCopy(copy));
    this.#open.set(copy.store, place);
    return place;
  }

  async close(): Promise<void> {
    for (const place of this.#open.values()) await place.close();
  }
}

/** Copies, notes what it came to, and tells of a failure. @throws the signal's reason, and nothing else */
export async function runCopy(task: CopyTask, places: CopyPlaces, world: CopyWorld): Promise<CopyEnd> {
  const startedAt = world.now();
  const progress = world.copyProgressOf(task);
  let storeUrl = task.copy.store;
  let hasBegun = false;
  const onBegin = (): void => {
    hasBegun = true;
  };
  const ended = (outcome: CopyOutcome | null, error: unknown): CopyEnd => {
    return { task, storeUrl, startedAt, endedAt: world.now(), outcome, error, isBusy: !hasBegun && isZferryError(error, "locked") };
  };
  let end: CopyEnd;
  try {
    world.signal.throwIfAborted();
    const place = await places.of(task.copy);
    storeUrl = place.store.url;
    const { copy, failuresOf } = await import("../copy/copy.ts");
    const outcome = await copy(await requestFor(task, place, { ...progress, onBegin, warn: world.warn, tell: world.tell }, world));
    end = ended(outcome, failuresOf(outcome)[0] ?? null);
  } catch (error) {
    world.signal.throwIfAborted();
    end = ended(null, error);
  } finally {
    progress.end();
  }
  world.copied(end);
  if (world.isDryRun || end.isBusy || !world.isNoted) return end;
  await noteCopy(end, world);
  if (end.error !== null) await tellCopyFailure(end, world);
  return end;
}

async function requestFor(
  { copy, dataset, from }: CopyTask,
  { store, leaseMs }: CopyPlace,
  progress: CopyRequest["progress"],
  world: CopyWorld,
): Promise<CopyRequest> {
  const { stateDir, isDryRun, now, signal, concurrency, allowUnauthenticated } = world;
  return {
    from,
    to: store,
    dataset,
    keep: copy.keep,
    reading: { keyring: await world.keyring(), allowUnauthenticated, concurrency },
    stateDir,
    leaseMs,
    isDryRun,
    now,
    progress,
    signal,
  };
}

/** A history that cannot be written fails no copy. */
async function noteCopy({ task: { job, dataset }, storeUrl, startedAt, endedAt, outcome, error }: CopyEnd, { stateDir, warn }: CopyWorld): Promise<void> {
  const done = outcome?.backups.filter(({ fate }) => fate === "copied" || fate === "mended") ?? [];
  const came = error !== null ? "failed" : done.length > 0 ? "copied" : "nothing";
  const sentBytes = done.reduce((sum, one) => sum + one.sentBytes, 0);
  const record = { job: job.name, dataset, storeUrl, startedAt, endedAt, outcome: came, copiedCount: done.length, sentBytes, error: error === null ? null : toldError(error) } as const;
  try {
    await appendCopy(stateDir, record);
  } catch (failure) {
    warn(`${job.name}: the history could not be written: ${toldError(failure).message}`);
  }
}

/** A copy's failure as that of a run whose backups are all made: exit status 3. */
export function copyFailure({ task, error }: Pick<CopyEnd, "task" | "error">): ZferryError {
  const { message, hint } = toldError(error);
  return new ZferryError("findings", `${titleOf(task)}: the copy in "${task.copy.store}" failed: ${message}`, {
    hint: hint ?? "the backup itself is made; the next run copies what is missing",
    cause: error,
  });
}
