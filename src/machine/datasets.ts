/**
 * What jobs mean on this machine: whether their names and globs match anything, whether two jobs back up one dataset to
 * one store, and whether zfs lets us.
 */
import type { JobSettings } from "../config/jobs.ts";
import { selectDatasets } from "../config/globs.ts";
import type { ProbeResult } from "../doctor-probes.ts";
import { isZferryError } from "../errors.ts";
import { word } from "../shell.ts";
import { ownName, readDelegation } from "../zfs/delegation.ts";
import { listDatasets } from "../zfs/inventory.ts";
import type { DatasetName } from "../zfs/names.ts";
import { fine, finding, type MachineRequest } from "./question.ts";

/**
 * What a nightly run does. `userprop`: a snapshot of ours carries a property, and `zfs snapshot -o` is refused without.
 * `mount` goes with making and removing snapshots on Linux.
 */
const needed = ["send", "snapshot", "hold", "release", "bookmark", "destroy", "mount", "userprop"] as const;

/** A job, and what it came to. */
interface Matched {
  readonly job: JobSettings;
  readonly datasets: readonly DatasetName[];
}

export async function examineDatasets(request: MachineRequest): Promise<readonly ProbeResult[]> {
  const results: ProbeResult[] = [];
  const matched: Matched[] = [];
  const listings = new Map<string, Promise<readonly DatasetName[]>>();
  for (const job of request.config.jobs.values()) {
    const zfs = request.zfsFor(job);
    const key = zfs.command.join("\0");
    const listing = listings.get(key) ?? listDatasets(zfs, null, request);
    listings.set(key, listing);
    try {
      const listed = await listing;
      const { datasets, idle } = selectDatasets(job, listed);
      results.push(matchOf(job, { datasets, idle, listed }));
      matched.push({ job, datasets: datasets.filter((name) => listed.includes(name)) });
    } catch (error) {
      request.signal.throwIfAborted();
      if (!isZferryError(error)) throw error;
      results.push(finding(`job ${job.name}`, error.message, `it cannot be backed up: ${error.hint ?? "see to it"}`));
    }
  }
  return [...results, await permissionsOf(matched, request), overlapsOf(matched, request)];
}

function matchOf(
  { name, ...job }: JobSettings,
  { datasets, idle, listed }: { readonly datasets: readonly DatasetName[]; readonly idle: readonly string[]; readonly listed: readonly DatasetName[] },
): ProbeResult {
  const quoted = (some: readonly string[]): string => some.map((one) => `"${one}"`).join(", ");
  const gone = datasets.filter((dataset) => !listed.includes(dataset));
  if (datasets.length === 0) return finding(`job ${name}`, `${quoted(job.datasets)} match no dataset`, "it backs up nothing, and fails");
  if (gone.length > 0) return finding(`job ${name}`, `not there: ${quoted(gone)}`, "the job fails: correct the name, or import the pool");
  if (idle.length > 0) return finding(`job ${name}`, `matching nothing: ${quoted(idle)}`, "what they were meant for is not backed up, or not left out");
  return fine(`job ${name}`, `datasets: ${datasets.length}`);
}

/** Root may do all; what a user may who is somewhere else (ssh), or becomes another one (sudo), is not to be seen from here. */
async function permissionsOf(matched: readonly Matched[], { isRoot, zfsFor, signal }: MachineRequest): Promise<ProbeResult> {
  const name = "zfs-permission";
  if (matched.length === 0) return { name, outcome: "skipped", detail: "there is no dataset to ask about", consequence: null };
  const here = matched.filter(({ job }) => zfsFor(job).command.length === 1);
  if (here.length === 0) return { name, outcome: "skipped", detail: "zfs is run through another program", consequence: null };
  if (isRoot) return fine(name, "root may do everything");
  const username = ownName();
  if (username === null) return { name, outcome: "skipped", detail: "the user has no name on this host, so what it has been allowed is not known", consequence: null };
  for (const { job, datasets } of here) {
    for (const dataset of datasets) {
      const granted = await readDelegation(zfsFor(job), dataset, username, { signal }).catch((error: unknown) => {
        signal.throwIfAborted();
        if (isZferryError(error)) return null;
        throw error;
      });
      if (granted === null) return { name, outcome: "skipped", detail: `zfs does not say what "${username}" may do with "${dataset}"`, consequence: null };
      const lacking = needed.filter((permission) => !granted.has(permission));
      if (lacking.length > 0) {
        return finding(name, `"${username}" may not ${lacking.join(", ")} "${dataset}"`, `backups fail: run zfs allow ${word(username)} ${lacking.join(",")} ${word(dataset)}`);
      }
    }
  }
  return fine(name, `"${username}" has been allowed ${needed.join(", ")}`);
}

/** Two chains of one dataset in one store would take each other's anchors away; its snapshots on the pool are there once. */
function overlapsOf(matched: readonly Matched[], { storeUrlsOf }: MachineRequest): ProbeResult {
  const name = "overlaps";
  const owners = new Map<string, string>();
  const keepers = new Map<string, JobSettings>();
  for (const { job, datasets } of matched.filter(({ job }) => job.isEnabled && job.files === null)) {
    for (const dataset of datasets) {
      const keys = storeUrlsOf(job).map((url) => `${url}\0${dataset}`);
      const other = keys.map((key) => owners.get(key)).find((owner) => owner !== undefined);
      if (other !== undefined) {
        return finding(name, `"${dataset}" is backed up to one store by the jobs "${other}" and "${job.name}"`, "it has one chain there, and each job prunes and re-anchors it in its own way: leave it to one of them");
      }
      for (const key of keys) owners.set(key, job.name);
      if (job.keep.local === null) continue;
      const where = `${job.zfs.join("\0")}\0${dataset}`;
      const keeper = keepers.get(where) ?? job;
      keepers.set(where, keeper);
      if (JSON.stringify(keeper.keep.local) !== JSON.stringify(job.keep.local)) {
        return finding(name, `the jobs "${keeper.name}" and "${job.name}" keep different snapshots of "${dataset}" on the pool`, "what one of them prunes is gone for both: give them the same keep.local, or leave it to one of them");
      }
    }
  }
  return fine(name, "no dataset goes to one store by two jobs");
}
