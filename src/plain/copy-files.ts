/**
 * Mode `files`: the files of one snapshot, in front of an engine that copies them (docs/files-mode.md).
 *
 *   withView: view of the snapshot → engine, to its end → view gone, whatever happened
 *
 * Engine `s3` is zferry itself (`store-files.ts`); the others are programs.
 */
import type { FilesEngine, FilesSettings, ProgramEngine } from "../config/files.ts";
import { targetOf } from "../config/files.ts";
import { ZferryError } from "../errors.ts";
import { endingOf, runProgram } from "./program.ts";
import { beat } from "./pulse.ts";
import { type FilesPlace, storeFiles, type Stored } from "./store-files.ts";
import { subjectOf, surroundingsOf } from "./surroundings.ts";
import type { DatasetName } from "../zfs/names.ts";
import { type View, type ViewRequest, withView } from "./view.ts";

export interface FilesRequest extends Omit<ViewRequest, "view" | "passEnvironment"> {
  readonly files: FilesSettings;
  readonly dataset: DatasetName;
  /** The job's store, open; null where the engine is a program. */
  readonly place: FilesPlace | null;
  /** What the engine prints, line by line, and that it is still at work. */
  readonly info: (text: string) => void;
}

export interface FilesOutcome {
  readonly engine: FilesEngine["kind"];
  /** What they went to, as people call it. */
  readonly target: string;
  /** A status of `warning_exits` is a success; null before it ran, and where it is no program. */
  readonly exitStatus: number | null;
  /** What engine `s3` has stored; null for all others, and in a dry run. */
  readonly stored: Stored | null;
}

/**
 * The caller has taken the snapshot, holds the dataset's local lock, and destroys the snapshot afterwards.
 *
 * @throws ZferryError `view-failed`, `engine-failed`; of engine `s3` what `storeTree` throws
 */
export function copyFiles({ files, ...request }: FilesRequest): Promise<FilesOutcome> {
  const { view, passEnvironment, engine } = files;
  const { place, dataset } = request;
  return withView({ ...request, view, passEnvironment }, async (made) => {
    if (engine.kind !== "s3") return runEngine({ ...request, files, engine }, made);
    if (place === null) throw new Error("engine s3 without a store");
    const stored = await storeFiles({ ...request, dataset, place, engine, root: made.path, heartbeatMs: files.heartbeatMs, timeoutMs: files.timeoutMs });
    return { engine: "s3", target: place.store.url, exitStatus: null, stored };
  });
}

interface ProgramRequest extends Omit<FilesRequest, "place" | "dataset"> {
  readonly engine: ProgramEngine;
}

async function runEngine({ files, engine, job, snapshot, environment, info, warn, signal }: ProgramRequest, { path, noteProcess }: View): Promise<FilesOutcome> {
  const { warningExits, timeoutMs, passEnvironment } = files;
  const argv = argvOf(engine, { path, heartbeatMs: files.heartbeatMs });
  const name = argv[0].split("/").at(-1) ?? "";
  const handed = engine.kind === "rclone" ? ["RCLONE_*", ...passEnvironment] : passEnvironment;
  const pulse = beat(files.heartbeatMs, (forMs) => {
    info(`${name} has been at work for ${Math.floor(forMs / 60_000)} min`);
  });
  let lastWords = "";
  try {
    const end = await runProgram({
      argv,
      environment: { ...surroundingsOf(environment, handed), ...subjectOf({ job, snapshot, view: path }) },
      workingDirectory: path,
      timeoutMs,
      onStarted: noteProcess,
      onLine: (line) => {
        pulse.seen();
        lastWords = line;
        info(`${name}: ${line}`);
      },
      signal,
    });
    const isWarning = end.status !== null && warningExits.includes(end.status);
    if (isWarning) warn(`${name} ended with ${endingOf(end)}, which the job takes for a warning`);
    else if (end.status !== 0) throw engineFailed(name, `${endingOf(end)}${lastWords === "" ? "" : `; it said "${lastWords.slice(0, maxWordsChars)}"`}`);
    return { engine: engine.kind, target: targetOf(files, ""), exitStatus: end.status, stored: null };
  } finally {
    pulse.stop();
  }
}

/** How much of an engine's last line goes into a message. */
const maxWordsChars = 300;

function engineFailed(name: string, why: string): ZferryError {
  return new ZferryError("engine-failed", `"${name}", which was to copy the files, failed: ${why}`, {
    hint: "its own words are above; exit statuses that are no failure go into warning_exits",
  });
}

/**
 * Without these rclone leaves out symbolic links and empty folders, and of two names that differ in how an accent is written
 * one (1.60 ends with 0 all the same). Never --metadata: on a local remote 1.60 changes the mode of what a link points to.
 */
const wholeTree = ["--links", "--create-empty-src-dirs", "--no-unicode-normalization"];

/** The command line of an engine; the view is its working directory too. */
export function argvOf(engine: ProgramEngine, { path, heartbeatMs }: { readonly path: string; readonly heartbeatMs: number }): readonly [string, ...string[]] {
  if (engine.kind === "command") return engine.command;
  // One line of its own figures at each heartbeat, at a level that is shown without -v.
  const stats = ["--stats", `${Math.ceil(heartbeatMs / 1000)}s`, "--stats-one-line", "--stats-log-level", "NOTICE"];
  return ["rclone", engine.operation, ...wholeTree, ...stats, ...engine.args, "--", path, engine.remote];
}
