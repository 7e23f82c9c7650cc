/**
 * Views taken away: at the end of a run, or after one that was killed. Doing it twice does nothing the second time.
 *
 * A folder is only ever removed when it is empty (rmdir), so that no mistake here can delete a file.
 */
import { rmdir } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isZferryError, ZferryError } from "../errors.ts";
import { takeLocalLock } from "../lock.ts";
import { presenceOf, thisProcess } from "../lock-holder.ts";
import { endGroup } from "../quiesce/group.ts";
import { datasetOf } from "../zfs/names.ts";
import { endingOf, runProgram } from "./program.ts";
import { subjectOf, surroundingsOf } from "./surroundings.ts";
import { readViewRecord, removeViewRecord, type ViewPlace, viewPlaces, type ViewRecord } from "./view-record.ts";

/** How long what was left of an engine may take to die of SIGTERM. */
const graceMs = 10_000;
const unmountTimeoutMs = 60_000;
/** Somebody may look into it at this moment. */
const [tries, pauseMs] = [10, 300];

export interface UndoRequest {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** One view that was found. */
export interface LeftView {
  readonly id: string;
  /** Null for one whose record cannot be read: the next run of its job deals with it. */
  readonly record: ViewRecord | null;
  /** `running`: its run is at work; `left`: a dry run; `closed`, `failed`; `damaged`: nobody knows whose it is. */
  readonly outcome: "running" | "left" | "closed" | "failed" | "damaged";
  readonly error: ZferryError | null;
}

/** Takes away what runs of this host have left behind. @throws ZferryError `config-invalid`; the signal's reason */
export async function closeAllLeft(request: UndoRequest & { readonly stateDir: string; readonly isDryRun: boolean }): Promise<readonly LeftView[]> {
  const found: LeftView[] = [];
  for (const place of await viewPlaces(request.stateDir)) {
    const id = basename(place.folder);
    const record = await readViewRecord(place);
    if (record === "damaged") found.push({ id, record: null, outcome: "damaged", error: null });
    else if (record !== null) found.push({ id, record, ...(await closeOne(place, record, request)) });
  }
  return found;
}

/** Whoever makes or uses a view holds its dataset's lock, so one that is free has no run. */
async function closeOne(
  place: ViewPlace,
  record: ViewRecord,
  { stateDir, isDryRun, ...request }: UndoRequest & { readonly stateDir: string; readonly isDryRun: boolean },
): Promise<Pick<LeftView, "outcome" | "error">> {
  try {
    const lock = await takeLocalLock(stateDir, datasetOf(record.snapshot), request);
    try {
      if (!isDryRun) await closeLeft(place, request);
      return { outcome: isDryRun ? "left" : "closed", error: null };
    } finally {
      await lock.release();
    }
  } catch (error) {
    if (isZferryError(error, "locked")) return { outcome: "running", error: null };
    if (isZferryError(error, "view-failed")) return { outcome: "failed", error };
    throw error;
  }
}

/** For whoever has the dataset's lock: whatever there is at a place was left. @throws ZferryError `view-failed` */
export async function closeLeft(place: ViewPlace, request: UndoRequest): Promise<void> {
  const record = await readViewRecord(place);
  if (record === null) return;
  if (record !== "damaged") await endLeftProcess(record);
  await undoView(place, record, request);
}

/** The engine that outlived its zferry reads a snapshot that is about to go. */
async function endLeftProcess({ process: left }: ViewRecord): Promise<void> {
  if (left?.pid == null) return;
  if ((await presenceOf(left, await thisProcess("/proc"), "/proc")) === "running") await endGroup(left.pid, graceMs);
}

/** @throws ZferryError `view-failed`, and the record stays */
export async function undoView(place: ViewPlace, record: ViewRecord | "damaged", request: UndoRequest): Promise<void> {
  if (record === "damaged" || record.undo === "mount") await untilGone(place, () => run(["umount", place.folder], {}, request));
  else if (record.undo === "command" && record.unmount !== null) {
    const environment = { ...surroundingsOf(request.environment, record.passEnvironment), ...subjectOf({ ...record, view: place.folder }) };
    const { unmount } = record;
    await untilGone(place, () => run(unmount, environment, request));
  }
  await removeViewRecord(place);
}

/** Removes the folder; where that cannot be done undoes first what is in the way. */
async function untilGone({ folder }: ViewPlace, undo: () => Promise<string>): Promise<void> {
  if ((await removeEmpty(folder)) === null) return;
  for (let left = tries; ; left -= 1) {
    const words = await undo();
    const why = await removeEmpty(folder);
    if (why === null) return;
    if (left > 1 && why === "EBUSY") await sleep(pauseMs);
    else {
      throw new ZferryError("view-failed", `the view in "${folder}" cannot be taken away: ${words === "" ? why : words}`, {
        hint: "see what is at work in it (fuser -m), unmount it, and remove the empty folder",
      });
    }
  }
}

/** Never more than an empty folder. @returns why it cannot be removed; null when it is gone */
async function removeEmpty(folder: string): Promise<string | null> {
  try {
    await rmdir(folder);
    return null;
  } catch (error) {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? null : code;
  }
}

/** @returns what it complained of; empty when it did not */
async function run(argv: readonly [string, ...string[]], environment: Readonly<Record<string, string>>, request: UndoRequest): Promise<string> {
  let words = "";
  const end = await runProgram({
    argv,
    environment: { ...surroundingsOf(request.environment, []), ...environment },
    workingDirectory: "/",
    timeoutMs: unmountTimeoutMs,
    onStarted: () => Promise.resolve(),
    onLine: (line) => (words = `: ${line}`),
    signal: request.signal,
  });
  return end.status === 0 ? "" : `"${argv[0]}": ${endingOf(end)}${words}`;
}
