/**
 * The way down and the way up again: before-hooks in order, after-hooks of all that began in reverse.
 *
 * What is about to begin is on disk before it does. The way up does not stop at a hook that fails: the others are run,
 * and then those that failed once more, in the same order.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ZferryError } from "../errors.ts";
import { presenceOf, processAt, type ProcessIdentity, thisProcess } from "../lock-holder.ts";
import { awaitEnd, endGroup } from "./group.ts";
import { type HookFailure, runHook } from "./hook.ts";
import { type HookRecord, isOwed, type Ledger } from "./record.ts";
import { surroundings } from "./surroundings.ts";

const procDir = "/proc";

/** How long is waited for what; tests wait less. */
export interface QuiesceLimits {
  /** For the processes of a hook that took too long to die of SIGTERM. */
  readonly graceMs: number;
  /** Before the second try of an after-hook, the third… */
  readonly pausesMs: readonly number[];
  /** For the snapshot: then the services are started again without it. */
  readonly workMs: number;
  /** For another quiesce on this host to be over. */
  readonly waitMs: number;
}

export const defaultLimits: QuiesceLimits = { graceMs: 5000, pausesMs: [1000, 5000], workMs: 600_000, waitMs: 1_800_000 };

export interface StackOptions {
  readonly limits: Pick<QuiesceLimits, "graceMs" | "pausesMs">;
  readonly warn: (text: string) => void;
  /** Aborting ends the way behind the hook that runs. On the way up the rest is owed for somebody else then. */
  readonly signal: AbortSignal;
}

/** Runs the before-hooks. @throws ZferryError `hook-failed` at the first that fails; `signal.reason` */
export async function goDown(ledger: Ledger, options: StackOptions): Promise<void> {
  for (const [index, hook] of ledger.record.hooks.entries()) {
    options.signal.throwIfAborted();
    if (hook.before === null) {
      await ledger.note(index, { step: "began" });
      continue;
    }
    const failure = await run(ledger, index, "before_snapshot", hook.before, options);
    if (failure !== null) throw failed(hook, "before_snapshot", failure);
  }
}

/**
 * Runs the after-hooks that are owed, and removes the record when all have succeeded.
 *
 * @returns `hook-failed` of each that failed to the last; the record then stays, for `zferry recover`
 * @throws `signal.reason`
 */
export async function goUp(ledger: Ledger, options: StackOptions): Promise<readonly ZferryError[]> {
  const tries = options.limits.pausesMs.length + 1;
  for (let round = 1; ; round += 1) {
    const failures = await roundUp(ledger, options);
    if (failures.length === 0) {
      await ledger.close().catch(tellTo(options));
      return [];
    }
    for (const { message } of failures) options.warn(`${message} (try ${round} of ${tries})`);
    const pauseMs = options.limits.pausesMs[round - 1];
    if (pauseMs === undefined) {
      await ledger.leave().catch(tellTo(options));
      return failures;
    }
    await sleep(pauseMs, undefined, { signal: options.signal }).catch(() => undefined);
    options.signal.throwIfAborted();
  }
}

/** Each that is owed once. A note that cannot be written is told and no more: the way up must not end there. */
async function roundUp(ledger: Ledger, options: StackOptions): Promise<ZferryError[]> {
  const failures: ZferryError[] = [];
  for (const [index, hook] of [...ledger.record.hooks.entries()].reverse()) {
    if (hook.after === null || !isOwed(hook)) continue;
    options.signal.throwIfAborted();
    await awaitLeftover(hook, options);
    const failure = await run(ledger, index, "after_snapshot", hook.after, options);
    if (failure !== null) failures.push(failed(hook, "after_snapshot", failure));
    else await ledger.note(index, { step: "done" }).catch(tellTo(options));
  }
  return failures;
}

type Phase = "before_snapshot" | "after_snapshot";

function run(
  ledger: Ledger,
  index: number,
  phase: Phase,
  argv: readonly [string, ...string[]],
  options: StackOptions,
): Promise<HookFailure> {
  const noted = async (pid: number): Promise<void> => {
    const process = await processAt(pid, await self(), procDir);
    const writing = ledger.note(index, { step: "began", process });
    await (phase === "before_snapshot" ? writing : writing.catch(tellTo(options)));
    options.signal.throwIfAborted();
  };
  return runHook({
    argv,
    environment: surroundings(ledger.record, phase),
    timeoutMs: ledger.record.hooks[index]?.timeoutMs ?? 0,
    graceMs: options.limits.graceMs,
    onStarted: noted,
  });
}

/** A command whose guard was killed may still be stopping what is about to be started: it has its time for that. */
async function awaitLeftover({ process: left, timeoutMs }: HookRecord, { limits }: StackOptions): Promise<void> {
  if (left?.pid == null) return;
  const own = await self();
  const isRunning = async (): Promise<boolean> => (await presenceOf(left, own, procDir)) === "running";
  if (!(await awaitEnd(isRunning, timeoutMs))) await endGroup(left.pid, limits.graceMs);
}

let known: Promise<ProcessIdentity> | null = null;
function self(): Promise<ProcessIdentity> {
  return (known ??= thisProcess(procDir));
}

function tellTo({ warn }: StackOptions): (error: unknown) => void {
  return (error) => {
    warn(error instanceof Error ? error.message : String(error));
  };
}

/** How much of a hook's last words goes into a message: the last line of them. */
const maxWordsChars = 300;

function failed({ name }: HookRecord, phase: Phase, failure: NonNullable<HookFailure>): ZferryError {
  const words = failure.tail.split("\n").at(-1)?.trim().slice(-maxWordsChars) ?? "";
  const said = words === "" ? "" : `; it said "${words}"`;
  return new ZferryError("hook-failed", `the ${phase} hook "${name}" failed: ${failure.why}${said}`, {
    hint: phase === "before_snapshot" ? "run its command by hand: it must exit 0" : "see that what it starts is running; `zferry recover` runs it again",
  });
}
