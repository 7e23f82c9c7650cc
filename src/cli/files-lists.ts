/** Which files a command of `zferry files` is about: job, dataset and run, as words, flags and configuration name them. */
import type { JobSettings } from "../config/jobs.ts";
import { ZferryError } from "../errors.ts";
import type { FilesPlace, RunId } from "../format/file-layout.ts";
import type { Keyring } from "../openpgp/session.ts";
import type { Store } from "../store/store.ts";
import type { ListFile } from "../tree/list-file.ts";
import { FilesMemory, withFetched } from "../tree/memory.ts";
import { fetchList, listsIn } from "../tree/runs.ts";
import { believe, throwUnlessMade } from "../tree/store-tree.ts";
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";
import type { SharedFlags } from "./options.ts";
import { type Session, useStoreAt } from "./session.ts";
import { impatient, storeSettings } from "./settings.ts";

export interface FilesFlags extends SharedFlags {
  readonly run?: string;
  readonly dataset?: string;
}

/** The jobs of the configuration whose files zferry stores itself. */
export function jobsOfFiles({ settings }: Session): readonly JobSettings[] {
  return [...settings.config.jobs.values()].filter(({ files }) => files?.engine.kind === "s3");
}

/**
 * A job by its name. One that is not in the configuration is taken as it is where `--store` says where it has its files: the
 * configuration may be lost.
 *
 * @throws ZferryError `usage`
 */
export function jobNamed(session: Session, name: string): { readonly name: string; readonly store: string | null } {
  const job = session.settings.config.jobs.get(name);
  if (job !== undefined && job.files?.engine.kind === "s3") return job;
  if (job === undefined && session.flags.store !== undefined) return { name, store: null };
  throw new ZferryError("usage", job === undefined ? `there is no job "${name}"` : `the files of the job "${name}" are not in a store of zferry's`, {
    hint: "name a job of mode files with engine s3; for a job that is in no configuration give --store too",
  });
}

/** Opens the job's store, to be read; somebody waits for the answer. */
export function useFilesStore<T>(session: Session, store: string | null, work: (store: Store) => Promise<T>): Promise<T> {
  const settings = impatient(session.flags, storeSettings(session.flags, session.settings.config, store));
  return useStoreAt(session, settings, "read", (opened) => work(opened.store));
}

/** One run of one dataset. */
export interface ChosenRun extends FilesPlace {
  readonly run: RunId;
  /** Nothing newer was asked for, and nothing newer is there. */
  readonly isNewest: boolean;
}

/** @throws ZferryError `backup-not-found`; `usage` where there are several datasets and none is named */
export async function chooseRun(store: Store, job: string, { flags, signal }: { readonly flags: FilesFlags; readonly signal: AbortSignal }): Promise<ChosenRun> {
  const lists = await listsIn(store, job, signal);
  const datasets = [...new Set(lists.map(({ dataset }) => dataset))];
  const dataset = datasetOf(flags, datasets);
  const own = lists.filter((list) => list.dataset === dataset);
  const newest = own.at(-1);
  const chosen = flags.run === undefined ? newest : own.find(({ run }) => run === flags.run || run.startsWith(`${flags.run ?? ""}-`));
  if (chosen === undefined) {
    throw new ZferryError("backup-not-found", `there is no run${flags.run === undefined ? "" : ` "${flags.run}"`} of the job "${job}"${dataset === null ? "" : ` and "${dataset}"`} in "${store.url}"`, {
      hint: "`zferry files list` shows what there is",
    });
  }
  return { job, dataset: chosen.dataset, run: chosen.run, isNewest: chosen === newest };
}

function datasetOf(flags: FilesFlags, datasets: readonly DatasetName[]): DatasetName | null {
  if (flags.dataset !== undefined) return parseDatasetName(flags.dataset);
  if (datasets.length <= 1) return datasets[0] ?? null;
  throw new ZferryError("usage", `the job has files of several datasets: ${datasets.join(", ")}`, { hint: "name one with --dataset" });
}

/**
 * Fetches the list of a run, and looks whether it is to be believed: its seal, and what this host has seen of it before.
 *
 * @throws ZferryError `manifest-invalid`, `key-missing`, `key-wrong`, the store's codes
 */
export function useList<T>(session: Session, { store, chosen, keyring }: { readonly store: Store; readonly chosen: ChosenRun; readonly keyring: Keyring }, work: (list: ListFile) => Promise<T>): Promise<T> {
  const { settings, terminal, report, flags } = session;
  return withFetched(settings.stateDir, async (path) => {
    const list = await fetchList(store, chosen, path, { signal: terminal.signal });
    if (list.seal.hmac !== null) await believe(list, keyring);
    else if (flags.allowUnauthenticated !== true) {
      throw new ZferryError("key-missing", `the list of run ${chosen.run} is not sealed with any key: whoever can write to the store may have made it`, {
        hint: "--allow-unauthenticated takes it as it is",
      });
    }
    const known = await new FilesMemory(settings.stateDir, chosen, store.url).known();
    if (known !== null && chosen.isNewest && chosen.run < known.run) report.warn(`run ${known.run}, which this host has made, is not in "${store.url}" any more: this is an older one`);
    if (known?.run === chosen.run) throwUnlessMade(list, known);
    return work(list);
  });
}
