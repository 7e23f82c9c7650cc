/**
 * A snapshot's files where a program can read them, for as long as that takes: in ZFS's own folder, on a read-only mount of
 * ours, or where two commands of the user's put them. It is taken away again however the run ends (`undo.ts`).
 */
import { mkdir, opendir, readdir, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import type { FilesView } from "../config/files.ts";
import { ZferryError } from "../errors.ts";
import { inStateFolder } from "../files.ts";
import { processAt, thisProcess } from "../lock-holder.ts";
import type { Zfs } from "../zfs/command.ts";
import { type DatasetName, datasetOf, shortNameOf, type SnapshotName } from "../zfs/names.ts";
import { readProperties } from "../zfs/properties.ts";
import { endingOf, runProgram } from "./program.ts";
import { subjectOf, surroundingsOf } from "./surroundings.ts";
import { closeLeft, undoView } from "./undo.ts";
import { type ViewPlace, viewPlace, type ViewRecord, writeViewRecord } from "./view-record.ts";

export interface ViewRequest {
  readonly job: string;
  readonly snapshot: SnapshotName;
  readonly view: FilesView;
  readonly passEnvironment: readonly string[];
  readonly zfs: Zfs;
  readonly stateDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

export interface View {
  /** Absolute; the root of the dataset as it was. */
  readonly path: string;
  /** Notes the process that works on it, so that it can be ended should this one be killed. */
  readonly noteProcess: (pid: number) => Promise<void>;
}

/** For a mount, which is a matter of milliseconds unless something hangs. */
export const mountTimeoutMs = 60_000;

/**
 * Makes the view, does `work` with it and takes it away. The caller holds the dataset's local lock. That the view could not
 * be taken away is a warning: its record stays, and the next run tries before it begins.
 *
 * @throws ZferryError `view-failed` when there is none to be had, or what an earlier run left cannot be taken away; what `work` throws
 */
export async function withView<T>(request: ViewRequest, work: (view: View) => Promise<T>): Promise<T> {
  const { stateDir, job, snapshot, warn } = request;
  const place = viewPlace(stateDir, job, datasetOf(snapshot));
  await closeLeft(place, request);
  const making = new Making(place, request);
  try {
    return await work({ path: await making.make(), noteProcess: making.noteProcess });
  } finally {
    // Whatever stopped the run: this is not to be stopped.
    const undoing = { ...request, signal: new AbortController().signal };
    await undoView(place, making.record, undoing).catch((error: unknown) => {
      warn(`${error instanceof Error ? error.message : String(error)}; the next run, or \`zferry recover\`, tries again`);
    });
  }
}

/** One view coming about; what may have to be undone is on disk before it is done. */
class Making {
  record: ViewRecord;
  readonly #place: ViewPlace;
  readonly #request: ViewRequest;

  constructor(place: ViewPlace, request: ViewRequest) {
    const { job, snapshot, view, passEnvironment, now } = request;
    const unmount = typeof view === "string" ? null : view.unmount;
    const common = { format: 1, job, snapshot, startedAt: now().toISOString(), process: null } as const;
    this.record = { ...common, undo: "none", unmount: unmount === null ? null : [...unmount], passEnvironment: [...passEnvironment] };
    this.#place = place;
    this.#request = request;
  }

  readonly noteProcess = async (pid: number): Promise<void> => {
    await this.#note({ process: await processAt(pid, await thisProcess("/proc"), "/proc") });
  };

  async make(): Promise<string> {
    const { view, zfs, snapshot, signal } = this.#request;
    await this.#note({});
    if (typeof view !== "string") return this.#byCommand(view.mount);
    if (view === "mount") return this.#byMount();
    const found = await snapdirOf(zfs, snapshot, signal);
    if ("path" in found) return found.path;
    if (view === "auto") return this.#byMount(found.why);
    throw failed(snapshot, found.why, "set view: mount, or view: auto");
  }

  /** @param before - why there is no other way */
  async #byMount(before: string | null = null): Promise<string> {
    const { snapshot } = this.#request;
    const { folder } = this.#place;
    await this.#note({ undo: "mount" });
    await this.#makeFolder();
    const why = await this.#run(["mount", "-t", "zfs", "-o", "ro", snapshot, folder]);
    const more = before === null ? "" : `, and ${before}`;
    if (why !== null) throw failed(snapshot, `mount: ${why}${more}`, "mounting takes root and the kernel's ZFS; or give mount and unmount");
    if ((await stat(folder)).dev !== (await stat(dirname(folder))).dev) return folder;
    throw failed(snapshot, `mount has mounted nothing on "${folder}"${more}`, "run it by hand: mount -t zfs -o ro SNAPSHOT FOLDER");
  }

  async #byCommand(mount: readonly [string, ...string[]]): Promise<string> {
    const { snapshot } = this.#request;
    const { folder } = this.#place;
    await this.#note({ undo: "command" });
    await this.#makeFolder();
    const why = await this.#run(mount);
    if (why !== null) throw failed(snapshot, `the mount command failed: ${why}`, "run it by hand with ZFERRY_SNAPSHOT and ZFERRY_VIEW: it must exit 0");
    // A mirror of nothing would be made of it.
    if ((await readdir(folder)).length > 0) return folder;
    throw failed(snapshot, `the mount command has left "${folder}" empty`, "an empty view is refused, because an engine could take it for files that are gone");
  }

  /** @returns why it failed, with its last words; null when it did not */
  async #run(argv: readonly [string, ...string[]]): Promise<string | null> {
    const { environment, passEnvironment, signal, job, snapshot } = this.#request;
    let words = "";
    const end = await runProgram({
      argv,
      environment: { ...surroundingsOf(environment, passEnvironment), ...subjectOf({ job, snapshot, view: this.#place.folder }) },
      workingDirectory: "/",
      timeoutMs: mountTimeoutMs,
      onStarted: this.noteProcess,
      onLine: (line) => (words = `: ${line}`),
      signal,
    });
    return end.status === 0 ? null : `${endingOf(end)}${words}`;
  }

  async #makeFolder(): Promise<void> {
    const { folder } = this.#place;
    await inStateFolder(`make the folder "${folder}"`, () => mkdir(folder, { mode: 0o700 }));
  }

  async #note(news: Partial<ViewRecord>): Promise<void> {
    this.record = { ...this.record, ...news };
    await writeViewRecord(this.#place, this.record);
  }
}

type Found = { readonly path: string } | { readonly why: string };

/**
 * `.zfs/snapshot/NAME`, which the kernel mounts when somebody steps into it. Where it cannot (in containers, say) that fails,
 * or shows an empty folder of the dataset itself: only a file system of its own is believed.
 */
async function snapdirOf(zfs: Zfs, snapshot: SnapshotName, signal: AbortSignal): Promise<Found> {
  const dataset: DatasetName = datasetOf(snapshot);
  const table = await readProperties(zfs, ["type", "mountpoint", "mounted"], dataset, { signal });
  if (table.get("type")?.value !== "filesystem") throw failed(snapshot, "it is one of a volume, which has no files", "leave volumes to mode: stream");
  const mountpoint = table.get("mountpoint")?.value ?? "-";
  if (table.get("mounted")?.value !== "yes" || !isAbsolute(mountpoint)) return { why: `"${dataset}" is not mounted where .zfs could be seen` };
  const path = join(mountpoint, ".zfs", "snapshot", shortNameOf(snapshot));
  try {
    await (await opendir(`${path}/.`)).close();
    if ((await stat(`${path}/.`)).dev !== (await stat(mountpoint)).dev) return { path };
    return { why: `"${path}" is no file system of its own` };
  } catch (error) {
    return { why: `"${path}" cannot be entered: ${(error as NodeJS.ErrnoException).code ?? String(error)}` };
  }
}

function failed(snapshot: SnapshotName, why: string, hint: string): ZferryError {
  return new ZferryError("view-failed", `there is no view of the files of "${snapshot}": ${why}`, { hint });
}
