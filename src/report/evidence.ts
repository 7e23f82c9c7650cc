/**
 * What a report is made of: how everything stands (`status/gather.ts`), and behind it every backup and every run that this
 * host remembers. No store is asked.
 */
import { chainTo } from "../format/chain.ts";
import type { BackupEntry } from "../format/entry.ts";
import { manifestKey } from "../format/layout.ts";
import { readRuns, type RunRecord } from "../history.ts";
import { readStoreStates, type StoreState } from "../state.ts";
import type { Standings } from "../status/gather.ts";
import { entriesOf, type Held, type KnownStore, knownStore } from "../status/held.ts";
import type { Unclaimed } from "../status/other-hosts.ts";
import { credible, type Standing } from "../status/standing.ts";
import type { ProviderName } from "../store/providers.ts";
import { type LastVerified, lastVerified } from "../verified.ts";
import type { DatasetName } from "../zfs/names.ts";

/** Backups, and runs, that are drawn and listed of one dataset: the newest. */
export const shownCount = 1000;

export interface Backup {
  readonly entry: BackupEntry;
  /** The backups to receive one after the other, this one last; empty where there is no such way. */
  readonly chain: readonly BackupEntry[];
  /** Why it cannot be restored, as far as it is known; null when nothing is against it. */
  readonly trouble: string | null;
  readonly verified: LastVerified | null;
}

/** One dataset: of a job, or as another machine has stored it. */
export interface Chapter {
  /** Null where hosts are not told apart. */
  readonly host: string | null;
  /** Null for what another machine has stored. */
  readonly standing: Standing | null;
  /** Null for a job of globs none of whose datasets was ever backed up here. */
  readonly dataset: DatasetName | null;
  /** As people call it. */
  readonly store: string;
  /** Whose prices hold; null for a folder, and for what has none in the list. */
  readonly provider: ProviderName | null;
  /** Null when nothing is remembered of the store. */
  readonly held: Held | null;
  /** Ascending by age, of this store. */
  readonly backups: readonly Backup[];
  /** Ascending by their start. */
  readonly runs: readonly RunRecord[];
}

export interface Evidence {
  readonly at: Date;
  /** In the order of the configuration; what other machines have stored last. */
  readonly chapters: readonly Chapter[];
  /** What a reader should know: of stores that could not be asked, files that could not be read, messages that did not arrive. */
  readonly notes: readonly string[];
}

export interface EvidenceRequest {
  readonly standings: Standings;
  readonly stateDir: string;
  /** Of a store by its name or URL; null where hosts are not told apart. */
  readonly hostOf: (store: string) => string | null;
  readonly foreign: readonly { readonly host: string; readonly held: Unclaimed }[];
  readonly providerOf: (store: string) => ProviderName | null;
  /** What was warned of until the evidence is gathered. */
  readonly notes: readonly string[];
}

/** @throws ZferryError `config-invalid` when history or state file cannot be read */
export async function evidenceOf({ standings, stateDir, hostOf, foreign, providerOf, notes }: EvidenceRequest): Promise<Evidence> {
  const { at } = standings;
  const states = await readStoreStates(stateDir, () => undefined);
  const runs = credible(await readRuns(stateDir, () => undefined), at); // `gather` has warned of both
  const stores = new Map(states.map((state) => [state.url, knownStore(state, state.url)]));
  const backupsIn = (held: Held | null, dataset: DatasetName | null): readonly Backup[] => {
    const known = held === null ? undefined : stores.get(held.storeUrl);
    return known === undefined || dataset === null ? [] : backupsOf(known, dataset);
  };
  const own = standings.standings.map((standing): Chapter => {
    const { job, dataset, store, held } = standing;
    const ownRuns = runs.filter((run) => run.job === job && (run.dataset === dataset || run.dataset === null));
    return { host: hostOf(store), standing, dataset, store, provider: providerOf(store), held, backups: backupsIn(held, dataset), runs: ownRuns };
  });
  const others = foreign.map(({ host, held }): Chapter => {
    const { dataset, storeUrl } = held;
    return { host, standing: null, dataset, store: storeUrl, provider: providerOf(storeUrl), held, backups: backupsIn(held, dataset), runs: [] };
  });
  const undelivered = standings.undelivered.map(({ notifier, at: since, why }) => `notifier "${notifier}" did not get the last message (${since.toISOString()}): ${why}`);
  return { at, chapters: [...own, ...others], notes: [...notes, ...undelivered] };
}

/** Of one dataset, ascending by age. */
export function backupsOf(store: KnownStore, dataset: DatasetName): readonly Backup[] {
  const { state, backups } = store;
  return entriesOf(store, dataset).map((entry) => {
    const chain = chainTo(entry, { backups });
    if (typeof chain === "string") return { entry, chain: [], trouble: chain, verified: verifiedOf(entry, state) };
    return { entry, chain, trouble: damageIn(chain, state), verified: verifiedOf(entry, state) };
  });
}

/** What verify has found in a backup, or in what it is received after. */
function damageIn(chain: readonly BackupEntry[], state: StoreState): string | null {
  const damaged = chain.find((entry) => verifiedOf(entry, state)?.ok === false);
  return damaged === undefined ? null : `verify has found something in ${damaged.backup}`;
}

function verifiedOf({ backup }: BackupEntry, { verified, manifests }: StoreState): LastVerified | null {
  const key = manifestKey(backup);
  const results = verified !== undefined && Object.hasOwn(verified, key) ? verified[key] : undefined;
  return lastVerified(results, manifests[key]?.etag ?? null);
}
