/**
 * Services down for the moment of the snapshot only, and always up again (docs/quiesce.md).
 *
 * The hooks are run by a guard, a process of its own that notices when this one dies. When the guard dies, this process
 * does what is still owed; when both do, `zferry recover` does.
 */
import { randomBytes } from "node:crypto";
import type { HookSettings } from "../config/hooks.ts";
import { ZferryError } from "../errors.ts";
import { thisProcess } from "../lock-holder.ts";
import type { DatasetName, SnapshotName } from "../zfs/names.ts";
import { type Guard, type Over, startGuard } from "./guarding.ts";
import { Ledger, type QuiesceRecord, readRecord, recordPath } from "./record.ts";
import { damagedRecord } from "./recover.ts";
import { defaultLimits, goUp, type QuiesceLimits } from "./stack.ts";
import { handedOn } from "./surroundings.ts";
import type { ToldError } from "./talk.ts";
import { inTurn } from "./turn.ts";

/** What is about to be snapshotted, told to the hooks. */
export interface QuiesceSubject {
  readonly jobs: readonly string[];
  readonly datasets: readonly DatasetName[];
  readonly snapshots: readonly SnapshotName[];
}

export interface QuiesceRequest {
  /** In the order in which they are gone through before the snapshot; the way back is the reverse. */
  readonly hooks: readonly HookSettings[];
  readonly subject: QuiesceSubject;
  readonly stateDir: string;
  /** Of which the hooks get a short list of variables, none of them a secret's. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  /** Aborting ends the way down behind the hook that runs; the after-hooks that are owed are run all the same. */
  readonly signal: AbortSignal;
  /** For tests, which wait less. */
  readonly limits?: Partial<QuiesceLimits>;
}

/** That services came up again, or did not, is one thing, and what came of the work another. */
export interface Quiesced<T> {
  readonly worked: Settled<T>;
  /** From the start of the first before-hook to the end of the last after-hook; null when no hook was begun. */
  readonly downtimeMs: number | null;
  /** Why services may be down still: `hook-failed` of each after-hook that failed to the last; `zferry recover` goes on trying. */
  readonly failures: readonly unknown[];
}

/** What the work came to. An error too when it was never begun. */
export type Settled<T> = { readonly value: T } | { readonly error: unknown };

/**
 * Runs the before-hooks, then `work`, then the after-hooks of all that began, in reverse order; returns when they are done.
 * Only one quiesce of a state folder is at work at a time: another one waits, before it stops anything.
 *
 * @param work - takes the snapshot. Its signal aborts with the request's, and when the services were started again
 * without waiting for it any longer
 * @returns as the error of `worked`: `hook-failed` when a before-hook failed or timed out (`work` was not begun), or when
 * `work` took so long that the services were started without it; `locked` when another quiesce does not end;
 * `config-invalid` when nothing can be noted; `signal.reason`; whatever `work` throws
 * @throws `signal.reason` when it was aborted before
 */
export async function quiesced<T>(request: QuiesceRequest, work: (signal: AbortSignal) => Promise<T>): Promise<Quiesced<T>> {
  request.signal.throwIfAborted();
  if (request.hooks.length === 0) return { worked: await settled(work(request.signal)), downtimeMs: null, failures: [] };
  const path = recordPath(request.stateDir, idOf(request.now()));
  const record = await recordOf(request);
  const limits = { ...defaultLimits, ...request.limits };
  const guard = startGuard({ kind: "order", stateDir: request.stateDir, path, record, limits }, record.environment, request.warn);
  try {
    return await guarded(guard, { request, path, limits }, work);
  } finally {
    await guard.dismiss();
  }
}

interface Guarded {
  readonly request: QuiesceRequest;
  readonly path: string;
  readonly limits: QuiesceLimits;
}

async function guarded<T>(guard: Guard, { request, path, limits }: Guarded, work: (signal: AbortSignal) => Promise<T>): Promise<Quiesced<T>> {
  const { signal } = request;
  const worked = (await isQuiet(guard, signal)) ? await inTime(guard, signal, work) : null;
  guard.release();
  const over = await guard.over;
  const failures = over === null ? await takeOver(path, request, limits).catch((error: unknown) => [error]) : over.failures.map(asError);
  const begunAt = guard.begunAt();
  const downtimeMs = begunAt === null ? null : performance.now() - begunAt;
  return { worked: worked ?? { error: refusalOf(over, signal) }, downtimeMs, failures };
}

/** Why the work was not begun. */
function refusalOf(over: Over | null, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  if (over?.refusal != null) return asError(over.refusal);
  return new ZferryError("hook-failed", "the process that runs the hooks ended before all was stopped", {
    hint: "see what killed it; what it had stopped was started again",
  });
}

/** Waits for it; aborting lets the guard go back up at once. */
async function isQuiet(guard: Guard, signal: AbortSignal): Promise<boolean> {
  signal.addEventListener("abort", guard.release, { once: true });
  if (signal.aborted) guard.release();
  try {
    return await guard.quiet;
  } finally {
    signal.removeEventListener("abort", guard.release);
  }
}

async function settled<T>(work: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await work };
  } catch (error) {
    return { error };
  }
}

/** What came of the work; an error when the guard did not wait for it, whatever it came to. */
async function inTime<T>(guard: Guard, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<Settled<T>> {
  const late = new AbortController();
  let isSettled = false;
  void guard.over.then((over) => {
    if (over !== null && !isSettled) late.abort(tooLate());
  });
  const worked = await settled(work(AbortSignal.any([signal, late.signal])));
  isSettled = true;
  return late.signal.aborted ? { error: late.signal.reason } : worked;
}

function tooLate(): ZferryError {
  return new ZferryError("hook-failed", "the snapshot took so long that the after_snapshot hooks were run without it", {
    hint: "see why `zfs snapshot` hangs: `zpool status`, and the kernel's messages",
  });
}

/** The guard is dead: what it owes is done here. */
async function takeOver(path: string, { stateDir, warn }: QuiesceRequest, limits: QuiesceLimits): Promise<readonly ZferryError[]> {
  const { signal } = new AbortController(); // there is no reason to leave services down
  return inTurn(stateDir, { waitMs: limits.waitMs, signal }, async () => {
    const record = await readRecord(path);
    if (record === null) return [];
    warn("the process that runs the hooks has died; what is owed is done without it");
    if (record === "damaged") return [damagedRecord(path)];
    return goUp(new Ledger(path, record), { limits, warn, signal });
  });
}

function asError({ code, message, hint }: ToldError): ZferryError {
  return new ZferryError(code, message, hint === null ? {} : { hint });
}

function idOf(now: Date): string {
  return `${now.toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${randomBytes(4).toString("hex")}`;
}

async function recordOf({ hooks, subject, environment, now }: QuiesceRequest): Promise<QuiesceRecord> {
  return {
    format: 1,
    startedAt: now().toISOString(),
    run: await thisProcess("/proc"),
    subject: { jobs: [...subject.jobs], datasets: [...subject.datasets], snapshots: [...subject.snapshots] },
    environment: handedOn(environment),
    hooks: hooks.map(({ name, before, after, timeoutMs }) => ({
      name,
      before: before === null ? null : [...before],
      after: after === null ? null : [...after],
      timeoutMs,
      step: "waiting",
      process: null,
    })),
  };
}
