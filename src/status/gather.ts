/**
 * How everything stands, from what lies on this host: the configuration, the history, the state file and the notes on who
 * was told. No store is asked and no pool.
 */
import type { Config } from "../config/config.ts";
import { isPlain, selectDatasets } from "../config/globs.ts";
import type { JobSettings } from "../config/jobs.ts";
import { type CopyRecord, readCopies } from "../copy-history.ts";
import { type DrillReport, lastDrill, readDrills } from "../drills.ts";
import { readRuns, type RunRecord } from "../history.ts";
import { type Notes, ownOf, readAllNotes } from "../notify/remembered.ts";
import { findOwed, type Recovered } from "../quiesce/recover.ts";
import { readStoreStates } from "../state.ts";
import type { DatasetName } from "../zfs/names.ts";
import { copyingOf } from "./copying.ts";
import { heldOf, type KnownStore, knownStore, latest } from "./held.ts";
import { credible, type Standing, standingOf } from "./standing.ts";
import { storesOfOtherHosts } from "./other-hosts.ts";
import { keepTally, type Tally } from "./tally.ts";

export interface Standings {
  readonly at: Date;
  /** In the order of the configuration, then by dataset. */
  readonly standings: readonly Standing[];
  /** Notifiers that did not get the last message they were to get, in the order of the configuration. */
  readonly undelivered: readonly { readonly notifier: string; readonly at: Date; readonly why: string }[];
}

export interface GatherRequest {
  readonly config: Pick<Config, "jobs" | "stores" | "notify">;
  /** Whether `jobs` are some of the configuration's: then the others are not taken for removed. */
  readonly isPart: boolean;
  /** All that the configuration has. */
  readonly allJobs: readonly JobSettings[];
  readonly stateDir: string;
  /** What the store of a name or URL is called in the state file (`Store.url`). */
  readonly storeUrlOf: (store: string) => Promise<string>;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
}

/** @throws ZferryError `config-invalid` when history or state file cannot be read */
export async function gather({ config, isPart, allJobs, stateDir, storeUrlOf, warn, now }: GatherRequest): Promise<Standings> {
  const at = now();
  const noted = await readRuns(stateDir, warn);
  const runs = credible(noted, at);
  const states = await readStoreStates(stateDir, (setAside) => {
    warn(`the state file could not be read; it was set aside as "${setAside}" and is rebuilt from the store`);
  });
  const names = new Map<string, string>();
  for (const name of config.stores.keys()) names.set(await storeUrlOf(name), name);
  const stores = states.map((state) => knownStore(state, names.get(state.url) ?? state.url));
  const jobs = [...config.jobs.values()];
  const tally = await keepTally(stateDir, { jobs, isPart, runs, now: at }, warn);
  const owed = await owedIn(stateDir, warn);
  const drills = await readDrills(stateDir, warn);
  const copied = await readCopies(stateDir, warn);
  const urlsOf = (copies: JobSettings["copies"]): Promise<readonly string[]> => Promise.all(copies.map(({ store }) => storeUrlOf(store)));
  const standings: Standing[] = [];
  for (const job of jobs) {
    const foreign = new Set(await Promise.all(storesOfOtherHosts(job, allJobs).map(storeUrlOf)));
    const storeUrl = job.files === null ? await storeUrlOf(job.store) : job.store;
    const isRelated = ({ state: { url } }: KnownStore): boolean => url === storeUrl || (names.has(url) && !foreign.has(url));
    standings.push(...standingsOf(job, { noted, runs, owed, stores: stores.filter(isRelated), tally, drills, now: at, copied, copyUrls: await urlsOf(job.copies), storeUrl }));
  }
  return { at, standings, undelivered: undeliveredIn(await readAllNotes(stateDir), config, at) };
}

/** What was stopped by runs that are over, and not started again. A record that cannot be read is told: nobody knows whose it is. */
async function owedIn(stateDir: string, warn: (text: string) => void): Promise<readonly Recovered[]> {
  const found = await findOwed({ stateDir, warn });
  for (const { failures } of found) for (const { message, hint } of failures) warn(`${message}: ${hint ?? ""}`);
  return found.filter(({ outcome }) => outcome === "owed");
}

interface Known {
  /** All of them: a dataset is known by any. */
  readonly noted: readonly RunRecord[];
  readonly runs: readonly RunRecord[];
  readonly owed: readonly Recovered[];
  readonly stores: readonly KnownStore[];
  readonly tally: Tally;
  readonly drills: readonly DrillReport[];
  readonly now: Date;
  readonly storeUrl: string;
  readonly copied: readonly CopyRecord[];
  /** Of the job's copies, in their order. */
  readonly copyUrls: readonly string[];
}

function standingsOf(job: JobSettings, { noted, runs, owed, stores, tally, drills, now, storeUrl, copied, copyUrls }: Known): Standing[] {
  const own = runs.filter((run) => run.job === job.name);
  const seen = [...new Set(noted.flatMap((run) => (run.job === job.name && run.dataset !== null ? [run.dataset] : [])))].sort();
  const { datasets } = selectDatasets(job, seen);
  const jobRunAt = latest(own.filter(({ dataset }) => dataset !== null).map(({ startedAt }) => startedAt));
  const { seenAt, disabledSince } = tally.jobs.find(({ name }) => name === job.name) ?? { seenAt: now, disabledSince: null };
  const owedHooks = [...new Set(owed.filter(({ jobs }) => jobs.includes(job.name)).flatMap(({ hooks }) => hooks))];
  const common = { job, jobRunAt, seenAt, disabledSince, owedHooks, now };
  const lost = own.filter((run) => run.dataset === null);
  const failureCountOf = (dataset: DatasetName | null): number => tally.failures.find((one) => one.job === job.name && one.dataset === dataset)?.count ?? 0;
  if (datasets.length === 0) return [standingOf({ ...common, dataset: null, runs: lost, isNamed: true, held: null, copies: [], copying: [], drill: lastDrill(drills, job.name, null), failureCount: failureCountOf(null) })];
  return [...datasets].sort().map((dataset: DatasetName) => {
    const known = stores.map((store) => heldOf(store, dataset));
    const ownRuns = own.filter((run) => run.dataset === dataset);
    const storeAt = (url: string): KnownStore | null => stores.find(({ state }) => state.url === url) ?? null;
    const copying = job.copies.map(({ store }, index) => {
      const url = copyUrls[index] ?? store;
      const records = copied.filter((one) => one.job === job.name && one.dataset === dataset && (one.storeUrl === url || one.storeUrl === store));
      return copyingOf({ dataset, store, records, runs: ownRuns, source: storeAt(storeUrl), target: storeAt(url) });
    });
    return standingOf({
      ...common,
      dataset,
      runs: own.filter((run) => run.dataset === dataset || run.dataset === null),
      isNamed: job.datasets.some((pattern) => isPlain(pattern) && pattern === dataset),
      held: known.find((held) => held.storeUrl === storeUrl) ?? null,
      copies: known.filter((held) => job.files === null && held.storeUrl !== storeUrl && held.backupCount > 0),
      copying,
      drill: lastDrill(drills, job.name, dataset),
      failureCount: failureCountOf(dataset) + failureCountOf(null),
    });
  });
}

/** Of each notifier the last message that it did not get, unless it got a later one, of whatever job. */
function undeliveredIn(notes: readonly Notes[], { notify }: Pick<Config, "notify">, now: Date): Standings["undelivered"] {
  return notify.flatMap(({ name }) => {
    const missed = notes.flatMap(({ undelivered }) => ownOf(undelivered, name) ?? []).sort((a, b) => b.at.getTime() - a.at.getTime());
    const told = notes.flatMap((one) => Object.values(ownOf(one.told, name) ?? {})).filter((at) => at <= now);
    const [last] = missed;
    return last === undefined || last.at <= (latest(told) ?? new Date(0)) ? [] : [{ notifier: name, ...last }];
  });
}
