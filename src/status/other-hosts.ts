/**
 * Hosts in one status (`docs/pull.md`): whose a store is, and what is in it that no job of this configuration put there. Pure.
 */
import { jobsOfStreams, type JobSettings } from "../config/jobs.ts";
import type { DatasetName } from "../zfs/names.ts";
import { type Held, heldOf, type KnownStore } from "./held.ts";

/** Stores, by name or URL, of jobs with another zfs and of none with this job's: a dataset of its name there is another one. */
export function storesOfOtherHosts({ zfs }: JobSettings, all: readonly JobSettings[]): readonly string[] {
  const jobs = jobsOfStreams(all);
  const isSame = (other: JobSettings): boolean => other.zfs.join("\0") === zfs.join("\0");
  const storesOf = ({ store, copies }: JobSettings): string[] => [store, ...copies.map((copy) => copy.store)];
  const own = new Set(jobs.filter(isSame).flatMap(storesOf));
  return [...new Set(jobs.filter((other) => !isSame(other)).flatMap(storesOf))].filter((store) => !own.has(store));
}

/** A dataset as another machine has stored it. */
export type Unclaimed = Held & { readonly dataset: DatasetName };

/** What a store holds of datasets that are none of `claimed`: no job here has stored them there. */
export function unclaimed(store: KnownStore, claimed: ReadonlySet<DatasetName>): readonly Unclaimed[] {
  const datasets = [...store.keptOf.keys()].sort();
  return datasets.filter((dataset) => !claimed.has(dataset)).map((dataset) => ({ dataset, ...heldOf(store, dataset) }));
}
