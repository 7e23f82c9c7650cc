/**
 * What a zferry and its guard left undone: killed both, or a power cut. Run at boot, and before every backup.
 *
 * Nothing is remembered but the records, so doing it twice does nothing the second time.
 */
import { basename } from "node:path";
import { ZferryError } from "../errors.ts";
import { presenceOf, thisProcess } from "../lock-holder.ts";
import { hasNoRecords, isOwed, Ledger, type QuiesceRecord, readRecord, recordPaths } from "./record.ts";
import { defaultLimits, goUp, type QuiesceLimits } from "./stack.ts";
import { inTurn } from "./turn.ts";

export interface RecoverRequest {
  readonly stateDir: string;
  /** Only tells what is owed. */
  readonly isDryRun: boolean;
  readonly warn: (text: string) => void;
  /** Aborting ends this behind the after-hook that runs; the others stay owed. */
  readonly signal: AbortSignal;
  /** For tests, which wait less. */
  readonly limits?: Partial<QuiesceLimits>;
}

/** One record that was found. */
export interface Recovered {
  /** Its file's name, less `.json`. */
  readonly id: string;
  /**
   * `recovered`: all that was owed has been run. `failed`: some of it failed, and the record stays. `owed`: a dry run.
   * `running`: the zferry it belongs to is at work, and will do it. `damaged`: nobody knows what is owed.
   */
  readonly outcome: "recovered" | "failed" | "owed" | "running" | "damaged";
  /** When the first before-hook was begun. Null for a damaged record, as are the next two empty. */
  readonly since: Date | null;
  readonly jobs: readonly string[];
  /** Names of the hooks whose after-hook was owed, in the order in which they are run. */
  readonly hooks: readonly string[];
  readonly failures: readonly ZferryError[];
}

/**
 * Runs the after-hooks that records in the state folder say are owed, of the newest first.
 *
 * Whoever works on a quiesce is waited for; a record whose zferry is still running is left to it.
 *
 * @throws ZferryError `locked` when another process is at it for half an hour; `config-invalid` when the state folder
 * cannot be read; `signal.reason`
 */
export async function recoverOwed(request: RecoverRequest): Promise<readonly Recovered[]> {
  const { stateDir, signal, isDryRun } = request;
  if (await hasNoRecords(stateDir)) return [];
  const { waitMs } = { ...defaultLimits, ...request.limits };
  const work = async (): Promise<readonly Recovered[]> => {
    const found: Recovered[] = [];
    for (const path of await recordPaths(stateDir)) {
      const recovered = await recoverOne(path, request);
      if (recovered !== null) found.push(recovered);
    }
    return found;
  };
  return isDryRun ? work() : inTurn(stateDir, { waitMs, signal }, work);
}

/** What {@link recoverOwed} would find. */
export function findOwed({ stateDir, warn }: Pick<RecoverRequest, "stateDir" | "warn">): Promise<readonly Recovered[]> {
  return recoverOwed({ stateDir, isDryRun: true, warn, signal: new AbortController().signal });
}

async function recoverOne(path: string, { isDryRun, warn, signal, limits }: RecoverRequest): Promise<Recovered | null> {
  const record = await readRecord(path);
  if (record === null) return null;
  const id = basename(path, ".json");
  if (record === "damaged") return { id, outcome: "damaged", since: null, jobs: [], hooks: [], failures: [damagedRecord(path)] };
  const found = { id, since: new Date(record.startedAt), jobs: record.subject.jobs, hooks: owedBy(record), failures: [] };
  if (await isRunning(record)) return { ...found, outcome: "running" };
  if (isDryRun) return { ...found, outcome: "owed" };
  const failures = await goUp(new Ledger(path, record), { limits: { ...defaultLimits, ...limits }, warn, signal });
  return { ...found, outcome: failures.length === 0 ? "recovered" : "failed", failures };
}

function owedBy({ hooks }: QuiesceRecord): readonly string[] {
  return hooks.filter(isOwed).map(({ name }) => name).reverse();
}

/** One that cannot be looked up (another container) had its guard's lock to be there by, and we have that. */
async function isRunning({ run }: QuiesceRecord): Promise<boolean> {
  return run !== null && (await presenceOf(run, await thisProcess("/proc"), "/proc")) === "running";
}

/** Why a record that cannot be read needs a person. */
export function damagedRecord(path: string): ZferryError {
  return new ZferryError("hook-failed", `the record "${path}" cannot be read, so nobody knows which after_snapshot hooks are owed`, {
    hint: "see that everything the hooks stop is running, then remove the file",
  });
}
