/**
 * `zferry doctor --restore`: could the newest backups be restored to a place, now? Asked of store, keys and pool; no chunk
 * is read, and nothing is made or changed.
 */
import { formatSize } from "../bytes.ts";
import { type Catalog, openManifest, fetchListed, readCatalog } from "../catalog.ts";
import type { ProbeResult } from "../doctor-probes.ts";
import { isZferryError } from "../errors.ts";
import { chainTo } from "../format/chain.ts";
import type { BackupEntry } from "../format/entry.ts";
import { manifestKey } from "../format/layout.ts";
import type { ReadOptions } from "../get.ts";
import { namesOfFeatures } from "../replay/records.ts";
import { word } from "../shell.ts";
import { readStoreState, type StoreState } from "../state.ts";
import { heldOf, knownStore } from "../status/held.ts";
import { ageText } from "../status/standing.ts";
import type { Store } from "../store/store.ts";
import { lastVerified } from "../verified.ts";
import type { Zfs } from "../zfs/command.ts";
import { ownName, readDelegation } from "../zfs/delegation.ts";
import { readDataset } from "../zfs/inventory.ts";
import { type DatasetName, datasetOf } from "../zfs/names.ts";
import { isHere, readPoolFeatures, zpoolBeside } from "../zfs/pool.ts";
import { availableBytes, neededBytes } from "./place.ts";

/** After this long without a restore, or a reading to the last byte, a backup is a hope (`docs/examples/alert-rules.yaml`). */
const provenForMs = 90 * 24 * 60 * 60 * 1000;
/** What receiving and mounting takes; `mount` goes with `receive` on Linux. */
const needed = ["receive", "create", "mount"] as const;

/** The pool's feature that a stream's feature cannot be received without (OpenZFS `dmu_recv.c`, `recv_begin_check_feature_flags_impl`). */
const poolFeatures: ReadonlyMap<string, string> = new Map([
  ["embed-data", "embedded_data"],
  ["lz4", "lz4_compress"],
  ["large-blocks", "large_blocks"],
  ["redacted", "redacted_datasets"],
  ["large-dnode", "large_dnode"],
  ["raw", "encryption"],
  ["zstd", "zstd_compress"],
  ["longname", "longname"],
  ["large-microzap", "large_microzap"],
]);

export interface ReadinessRequest extends Pick<ReadOptions, "keyring" | "warn" | "signal"> {
  readonly store: Store;
  readonly stateDir: string;
  readonly zfs: Zfs;
  readonly isRoot: boolean;
  /** What it is about, for names of answers. */
  readonly subject: string;
  readonly selects: (datasets: readonly DatasetName[]) => readonly DatasetName[];
  /** Of this age the newest backup is a finding; null for any. */
  readonly overdueAfterMs: number | null;
  /** Below which one would restore; null for the pool each dataset came from. */
  readonly into: DatasetName | null;
  readonly now: () => Date;
}

/** The newest good backup of a dataset, and the way to it; null where there is none. */
interface Best {
  readonly dataset: DatasetName;
  readonly chain: readonly BackupEntry[] | null;
}

/** @throws ZferryError the store's codes; everything else is an answer */
export async function examineReadiness(request: ReadinessRequest): Promise<readonly ProbeResult[]> {
  const { store, stateDir, warn, signal, selects } = request;
  const catalog = await readCatalog(store, { dataset: null, stateDir, warn, signal });
  const state = await readStoreState(stateDir, store.url, () => undefined);
  const datasets = selects([...new Set(catalog.backups.map(({ backup }) => datasetOf(backup)))].sort());
  const best = datasets.map((dataset): Best => ({ dataset, chain: newestGood(dataset, catalog, state) }));
  const named = (what: string, [outcome, detail, consequence]: Answer): ProbeResult => ({ name: `${what} ${request.subject}`, outcome, detail, consequence });
  if (best.length === 0) return [named("last-good", ["finding", "there is no backup in the store", "nothing can be restored"])];
  return [
    named("last-good", ageOf(best, request)),
    named("proof", proofOf(datasets, state, request)),
    named("keys", await keysOf(best, request)),
    named("space", await spaceOf(best, request)),
    named("permission", await permissionOf(best, request)),
    named("features", await featuresOf(best, request)),
  ];
}

type Answer = readonly [outcome: "ok" | "finding" | "skipped", detail: string, consequence: string | null];

/** The newest that nothing was found in, with nothing found in what it needs. */
function newestGood(dataset: DatasetName, catalog: Catalog, { verified = {} }: StoreState): readonly BackupEntry[] | null {
  const isBad = ({ backup }: BackupEntry): boolean => {
    const key = manifestKey(backup);
    const results = Object.hasOwn(verified, key) ? verified[key] : undefined;
    return lastVerified(results, catalog.manifests.get(key)?.etag ?? null)?.ok === false;
  };
  const own = catalog.backups.filter(({ backup }) => datasetOf(backup) === dataset);
  for (const entry of [...own].reverse()) {
    const chain = chainTo(entry, catalog);
    if (typeof chain !== "string" && !chain.some(isBad)) return chain;
  }
  return null;
}

function ageOf(best: readonly Best[], { overdueAfterMs, now }: ReadinessRequest): Answer {
  const without = best.filter(({ chain }) => chain === null).map(({ dataset }) => `"${dataset}"`);
  if (without.length > 0) return ["finding", `no good backup of ${without.join(", ")}`, "it cannot be restored: make a new full while the data is there"];
  const ages = best.flatMap(({ chain }) => chain?.at(-1) ?? []).sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  const [oldest] = ages;
  if (oldest === undefined) return ["skipped", "there is nothing to look at", null];
  const ageMs = now().getTime() - oldest.createdAt.getTime();
  const detail = `the newest good backups are up to ${ageText(ageMs)} old ("${oldest.backup}")`;
  if (overdueAfterMs === null || ageMs <= overdueAfterMs) return ["ok", detail, null];
  return ["finding", detail, "what was written since is lost in a disaster: see `zferry status`"];
}

function proofOf(datasets: readonly DatasetName[], state: StoreState, { subject, now }: ReadinessRequest): Answer {
  const known = knownStore(state, "");
  const proven = datasets.map((dataset) => ({ dataset, at: heldOf(known, dataset).restoreVerifiedAt }));
  const unproven = proven.filter(({ at }) => at === null || now().getTime() - at.getTime() > provenForMs).map(({ dataset }) => `"${dataset}"`);
  if (unproven.length === 0) return ["ok", "a backup of each dataset was restored, or read to its end, in the last 90 days", null];
  return ["finding", `not restored, nor read to its end, in the last 90 days: ${unproven.join(", ")}`, `nobody knows that it would restore: run zferry drill${subject === "all" ? "" : ` ${word(subject)}`}, or zferry verify`];
}

/** Opens the manifest of each step, as a restore does before it receives. */
async function keysOf(best: readonly Best[], { store, keyring, signal }: ReadinessRequest): Promise<Answer> {
  const entries = new Set(best.flatMap(({ chain }) => chain ?? []));
  for (const entry of entries) {
    try {
      await openManifest(store, await fetchListed(store, entry, signal), keyring, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isZferryError(error)) throw error;
      return ["finding", `"${entry.backup}": ${error.message}`, `it cannot be restored: ${error.hint ?? "see to it"}`];
    }
  }
  return ["ok", `they open ${entries.size} of ${entries.size} manifests that the newest backups need`, null];
}

/** Where each would be restored to: below the place, or on the pool it came from. */
function targetOf({ dataset }: Best, into: DatasetName | null): DatasetName {
  return into ?? (dataset.split("/", 1)[0] as DatasetName);
}

/** For each target the sum of what the newest backups need there. */
async function spaceOf(best: readonly Best[], { zfs, into, signal }: ReadinessRequest): Promise<Answer> {
  const sums = new Map<DatasetName, number>();
  for (const one of best) sums.set(targetOf(one, into), (sums.get(targetOf(one, into)) ?? 0) + neededBytes(one.chain ?? []));
  const told: string[] = [];
  for (const [target, bytes] of sums) {
    const there = await readDataset(zfs, target, { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      if (isZferryError(error)) return error.message;
      throw error;
    });
    if (typeof there === "string") return ["skipped", `zfs does not say: ${there}`, null];
    if (there === null) return ["finding", `there is no "${target}" to restore to`, "import or create the pool, or name another place with --into"];
    const available = await availableBytes(zfs, target, signal);
    if (available === null) return ["skipped", `zfs does not say how much "${target}" can take`, null];
    const detail = `"${target}" has ${formatSize(available)} left, and the newest backups need about ${formatSize(bytes)}`;
    if (available < bytes) return ["finding", detail, into === null ? "they fit only in the place of what is there: keep the room, or another pool, for a disaster" : "make room, or name another place"];
    told.push(detail);
  }
  return ["ok", told.join("; "), null];
}

async function permissionOf(best: readonly Best[], { zfs, into, isRoot, signal }: ReadinessRequest): Promise<Answer> {
  if (zfs.command.length > 1) return ["skipped", "zfs is run through another program", null];
  if (isRoot) return ["ok", "root may receive everywhere", null];
  const username = ownName();
  if (username === null) return ["skipped", "the user has no name on this host, so what it has been allowed is not known", null];
  for (const target of new Set(best.map((one) => targetOf(one, into)))) {
    const granted = await readDelegation(zfs, target, username, { signal }).catch((error: unknown) => {
      signal.throwIfAborted();
      if (isZferryError(error)) return null;
      throw error;
    });
    if (granted === null) return ["skipped", `zfs does not say what "${username}" may do with "${target}"`, null];
    const lacking = needed.filter((permission) => !granted.has(permission));
    if (lacking.length > 0) return ["finding", `"${username}" may not ${lacking.join(", ")} below "${target}"`, `restore as root, or run zfs allow ${word(username)} ${lacking.join(",")} ${word(target)}`];
  }
  return ["ok", `"${username}" has been allowed ${needed.join(", ")}`, null];
}

async function featuresOf(best: readonly Best[], { zfs, into, signal }: ReadinessRequest): Promise<Answer> {
  const wanted = new Map<DatasetName, Set<string>>();
  for (const one of best) {
    const flags = (one.chain ?? []).reduce((all, { featureFlags }) => all | BigInt(featureFlags), 0n);
    const names = namesOfFeatures(flags).flatMap((name) => poolFeatures.get(name) ?? []);
    wanted.set(targetOf(one, into), new Set([...(wanted.get(targetOf(one, into)) ?? []), ...names]));
  }
  for (const [target, names] of wanted) {
    try {
      const has = await readPoolFeatures(zpoolBeside(zfs), target, { signal });
      const lacking = [...names].filter((name) => !has.has(name));
      if (lacking.length > 0) return ["finding", `the pool of "${target}" lacks ${lacking.join(", ")}`, "zfs refuses the streams: enable them with zpool upgrade or zpool set feature@…=enabled"];
    } catch (error) {
      signal.throwIfAborted();
      if (!isZferryError(error)) throw error;
      return ["skipped", `zpool does not say${isHere(zfs) ? "" : " from here"}: ${error.message}`, null];
    }
  }
  const all = [...new Set([...wanted.values()].flatMap((names) => [...names]))].sort();
  return ["ok", all.length === 0 ? "the streams need no features of the pool" : `the pool has what the streams need: ${all.join(", ")}`, null];
}
