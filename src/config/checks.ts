/**
 * What a configuration says in several places must agree: each check looks at the whole file, after every value by itself
 * was found good. What only the machine knows (is there such a dataset?) is asked by `zferry doctor`.
 */
import type { CopySettings } from "./copies.ts";
import { isPlain, isSettled, selectDatasets } from "./globs.ts";
import { jobSettings, type JobSettings, sharedSettings } from "./jobs.ts";
import type { ConfigInput, JobInput } from "./schema.ts";
import { suggestion } from "./spelling.ts";
import { parseDatasetName } from "../zfs/names.ts";

/** Of a job's name, in characters. */
export const maxNameLength = 100;
const jobName = new RegExp(String.raw`^(?!-)\P{Cc}{1,${maxNameLength}}$`, "u");

/** One thing that does not fit, at a path of the file. */
export interface Misfit {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** The store a job uses: its own, the default one, or the only one there is. */
export function storeOf(own: string | undefined, common: string | undefined, known: readonly string[]): string | null {
  return own ?? common ?? (known.length === 1 ? (known[0] ?? null) : null);
}

/** Everything that does not fit, in the order of the file's sections. */
export function misfitsOf(file: ConfigInput): readonly Misfit[] {
  const jobs = Object.entries(file.jobs).map(([name, own]) => jobOf(name, own, file));
  return [...storeMisfits(file), ...notifyMisfits(file), ...defaultsMisfits(file), ...jobs.flatMap((job) => jobMisfits(job, file)), ...groupMisfits(jobs), ...hostMisfits(jobs, file)];
}

interface Job {
  readonly name: string;
  readonly own: JobInput;
  readonly settings: JobSettings;
}

function jobOf(name: string, own: JobInput, { defaults, stores }: ConfigInput): Job {
  const store = storeOf(own.store, defaults.store, Object.keys(stores)) ?? "";
  return { name, own, settings: jobSettings(name, own, { common: defaults, store }) };
}

function storeMisfits({ stores }: ConfigInput): Misfit[] {
  return Object.entries(stores).flatMap(([name, { url, credentials }]) => {
    const flaw = !url.startsWith("s3:") ? "a folder has no keys" : /[?&]profile=/.test(url) ? "the profile of the URL says where the keys are: give one of the two" : null;
    return credentials === undefined || flaw === null ? [] : [{ path: ["stores", name, "credentials"], message: flaw }];
  });
}

function notifyMisfits({ notify, jobs }: ConfigInput): Misfit[] {
  const known = Object.keys(jobs);
  return notify.flatMap(({ jobs: named = [] }, at) =>
    named.flatMap((name, index) => (known.includes(name) ? [] : [{ path: ["notify", at, "jobs", index], message: noSuch("job", name, known) }])),
  );
}

function defaultsMisfits({ defaults, stores }: ConfigInput): Misfit[] {
  const misfits = unknownStore(["defaults", "store"], defaults.store, Object.keys(stores));
  misfits.push(...copyMisfits(["defaults", "copies"], defaults.copies ?? [], stores));
  if (defaults.overdue_after !== undefined) misfits.push(...hasty(["defaults", "overdue_after"], sharedSettings({}, defaults)));
  return misfits;
}

/** Each a store of the file, and a place of its own: two names of one URL are one place. */
function copyMisfits(path: readonly PropertyKey[], copies: readonly CopySettings[], stores: ConfigInput["stores"]): Misfit[] {
  const known = Object.keys(stores);
  const urls = copies.map(({ store }) => urlOf(store, stores));
  return copies.flatMap(({ store }, index) => {
    const at = [...path, index, "store"];
    if (!known.includes(store)) return [{ path: at, message: noSuch("store", store, known) }];
    return urls.indexOf(urls[index] ?? "") < index ? [{ path: at, message: `has the place of another copy: "${urls[index] ?? ""}"` }] : [];
  });
}

/** No copy of a job is the store it is a copy of; told of the job's list, or of the job when the list is that of the defaults. */
function ownCopyMisfits({ name, own, settings }: Job, { stores }: ConfigInput): Misfit[] {
  const index = settings.copies.findIndex(({ store }) => urlOf(store, stores) === urlOf(settings.store, stores));
  if (index < 0) return [];
  if (own.copies !== undefined) return [{ path: ["jobs", name, "copies", index, "store"], message: "is the job's own store" }];
  return [{ path: ["jobs", name], message: `its store is among the copies of defaults: give it copies of its own, or "copies: []"` }];
}

function urlOf(store: string, stores: ConfigInput["stores"]): string {
  return Object.hasOwn(stores, store) ? (stores[store]?.url ?? store) : store;
}

function jobMisfits(job: Job, file: ConfigInput): Misfit[] {
  const { name, own, settings } = job;
  const { stores, defaults } = file;
  const at = (member: string | null, message: string): Misfit => ({ path: ["jobs", name, ...(member === null ? [] : [member])], message });
  const misfits: Misfit[] = [...unknownStore(["jobs", name, "store"], own.store, Object.keys(stores)), ...filesMisfits({ own, settings }, at)];
  if (!jobName.test(name)) misfits.push(at(null, `a job's name is 1 to ${maxNameLength} characters on one line and does not begin with -`));
  if (own.dataset === undefined && own.datasets === undefined) misfits.push(at("dataset", "is missing"));
  if (own.dataset !== undefined && own.datasets !== undefined) misfits.push(at("datasets", "has no place beside dataset: give one of them"));
  const twice = own.datasets?.find((pattern, index, all) => all.indexOf(pattern) !== index);
  if (twice !== undefined) misfits.push(at("datasets", `has "${twice}" twice`));
  if (settings.store === "") misfits.push(at(null, "names no store, and there is no default one"));
  if (settings.exclude.length > 0 && isSettled(settings)) misfits.push(at("exclude", "excludes nothing: the job is not recursive and has no glob"));
  misfits.push(...copyMisfits(["jobs", name, "copies"], own.copies ?? [], stores), ...ownCopyMisfits(job, file));
  if (settings.prune === "after_backup" && [settings.keep.local, settings.keep.store, ...settings.copies.map(({ keep }) => keep)].every((keep) => keep === null)) {
    misfits.push(at("prune", "after_backup has nothing to go by: give keep.store, keep.local or both"));
  }
  if (own.overdue_after !== undefined || (own.every !== undefined && defaults.overdue_after !== undefined)) {
    misfits.push(...hasty(["jobs", name, "overdue_after"], settings));
  }
  return misfits;
}

/** What speaks of backups in a store says nothing to a job of files. */
const ofStreams = ["store", "chunk_size", "full_every", "full_when_incremental_exceeds", "keep", "prune", "copies", "drill"] as const;

function filesMisfits({ own, settings }: Omit<Job, "name">, at: (member: string, message: string) => Misfit): Misfit[] {
  const { mode = "stream", files } = own;
  if (mode === "stream") return files === undefined ? [] : [at("files", "goes with mode: files")];
  if (files === undefined) return [at("files", "is missing, and mode: files needs it")];
  const hasStore = files.engine.kind === "s3";
  const idle = ofStreams.filter((member) => own[member] !== undefined && !(hasStore && member === "store"));
  const misfits = idle.map((member) => at(member, "has no meaning in mode: files"));
  const isElsewhere = /(^|\/)ssh$/.test(settings.zfs[0]) && typeof files.view === "string";
  return isElsewhere ? [...misfits, at("files", "sees no files of another host: give mount and unmount")] : misfits;
}

/** A snapshot of several datasets is one only when one zfs takes it. */
function groupMisfits(jobs: readonly Job[]): Misfit[] {
  const first = new Map<string, Job>();
  return jobs.flatMap((job) => {
    const { group, zfs } = job.settings;
    if (group === null) return [];
    const leader = first.get(group) ?? job;
    first.set(group, leader);
    if (leader.settings.zfs.join("\0") === zfs.join("\0")) return [];
    return [{ path: ["jobs", job.name, "zfs"], message: `differs from that of "${leader.name}", and jobs of one group share a snapshot` }];
  });
}

/**
 * A store knows a dataset by its name alone: one of the same name on another host would be pruned and restored as if it
 * were the same. Whether globs match the same is not to be told from here; `zferry doctor` looks (`machine/datasets.ts`).
 */
function hostMisfits(all: readonly Job[], { stores }: ConfigInput): Misfit[] {
  const jobs = all.filter(({ settings }) => settings.files === null);
  const placesOf = ({ settings }: Job): readonly string[] => [settings, ...settings.copies].map(({ store }) => urlOf(store, stores));
  return jobs.flatMap((job, index) => {
    const [own = "", ...copies] = placesOf(job);
    const isShared = (other: Job): boolean => placesOf(other).some((place) => place === own || copies.includes(place));
    const rivals = jobs.slice(0, index).filter((other) => other.settings.zfs.join("\0") !== job.settings.zfs.join("\0") && isShared(other));
    const rival = rivals.find((other) => commonOf(job.settings, other.settings) !== null);
    if (rival === undefined) return [];
    const said = placesOf(rival).includes(own) ? "store" : "copies";
    const message = `has "${commonOf(job.settings, rival.settings) ?? ""}" in one store with "${rival.name}", whose zfs is another: give each host ${said === "store" ? "a store" : "copies"} of its own`;
    return [{ path: ["jobs", job.name, ...(job.own[said] === undefined ? [] : [said])], message }];
  });
}

/** A name that both jobs mean, or a glob that both have; null for none that can be seen. */
function commonOf(one: JobSettings, other: JobSettings): string | null {
  const names = [...one.datasets, ...other.datasets].filter(isPlain).map(parseDatasetName);
  const [ofOne, ofOther] = [selectDatasets(one, names).datasets, selectDatasets(other, names).datasets];
  return ofOne.find((name) => ofOther.includes(name)) ?? one.datasets.find((pattern) => !isPlain(pattern) && other.datasets.includes(pattern)) ?? null;
}

function hasty(path: readonly PropertyKey[], { everyMs, overdueAfterMs }: Pick<JobSettings, "everyMs" | "overdueAfterMs">): Misfit[] {
  return overdueAfterMs < everyMs ? [{ path, message: "is shorter than every: the job would be overdue before it is due" }] : [];
}

/** A name under `stores`; what could be a URL or a path is left to whoever opens it. */
function unknownStore(path: readonly PropertyKey[], store: string | undefined, known: readonly string[]): Misfit[] {
  if (store === undefined || known.includes(store) || /^[./]|^[a-z0-9+.-]+:\//i.test(store)) return [];
  return [{ path, message: noSuch("store", store, known) }];
}

function noSuch(what: string, name: string, known: readonly string[]): string {
  return `there is no ${what} "${name}"${suggestion(name, known)}`;
}
