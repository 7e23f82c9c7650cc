/**
 * One run per dataset across hosts: a lease in the store, taken by a create-only write, renewed and taken over by writes
 * that are conditional on the version seen, of which exactly one wins (`docs/format.md` § Leases).
 *
 * What it rests on: the store decides who holds it, and `check` asks the store; clocks decide only how soon somebody may
 * try to take it over. They are trusted to `skewMs`, and not alone: before a takeover the object is watched for three
 * heartbeats, so a wrong clock cannot take a lease from a holder that reaches its store. A run whose lease was taken over
 * all the same loses its time and no data, because it cannot pass `check`.
 *
 * Between `check` and the commit lies a moment no store can close. It is harmless: an attempt's objects are its own and a
 * manifest is create-only, as long as sweeps leave young attempts alone.
 */
import { randomBytes } from "node:crypto";
import { ZferryError } from "../errors.ts";
import type { DatasetName } from "../zfs/names.ts";
import type { Environment } from "./credentials.ts";
import { type LeaseClock, momentOf, systemLeaseClock } from "./lease-clock.ts";
import { type Grasp, holdLease, type Lease, withoutConditions } from "./lease-hold.ts";
import {
  expiryOf,
  findLease,
  type FoundLease,
  isRefusal,
  leaseBody,
  leaseKey,
  type LeaseRecord,
  type LeaseTiming,
  maxTtlMs,
  maxWatchMs,
  watchMsOf,
} from "./lease-object.ts";
import type { PutOptions, Store } from "./store.ts";
import { parseStoreUrl } from "./url.ts";

/** No faster than any store takes writes to one key. */
const minHeartbeatMs = 1000;
/** Others may be faster this often before it is said that they are. */
const maxRounds = 10;

export interface LeaseOptions extends LeaseTiming {
  readonly holder: {
    /**
     * A lease of the same id is taken over at once: give `holderIdOf` (lock.ts) and hold the local lock, or something
     * random.
     */
    readonly id: string;
    /** What others are told. */
    readonly host: string;
  };
  readonly signal: AbortSignal;
  /** Told in one line each of what is odd and did not stop it. */
  readonly warn: (message: string) => void;
  readonly clock?: LeaseClock;
}

/**
 * What conditional writes of the store at a URL are worth. `atomic`: a lease keeps hosts apart. `tried`: it does on
 * servers that honour conditions, and is as good as a look before each write on others. `none`: there is no lease to be
 * had; the local lock alone keeps runs apart.
 *
 * @throws ZferryError `usage`
 */
export function leaseSupport(url: string, environment: Environment): "atomic" | "tried" | "none" {
  const location = parseStoreUrl(url, environment);
  return location.kind === "directory" ? "atomic" : location.provider.conditions;
}

/**
 * Takes the lease of a dataset, taking it over if its holder is over. That may wait for three heartbeats of the holder.
 *
 * @throws ZferryError `locked` while somebody else holds it, naming host, since when, and when it runs out
 */
export async function takeLease(store: Store, dataset: DatasetName, options: LeaseOptions): Promise<Lease> {
  checkTiming(options);
  const taking = { store, dataset, key: leaseKey(dataset), clock: systemLeaseClock, ...options };
  for (let round = 1; round <= maxRounds; round += 1) {
    const found = await findLease(store, taking.key, options.signal);
    const grasp = found === null ? await create(taking) : await takeOver(taking, found);
    if (grasp !== null) return holdLease(grasp);
  }
  throw new ZferryError("locked", `others are taking the lease on "${dataset}" at this moment`, {
    hint: "wait for them to end",
  });
}

type Taking = LeaseOptions & {
  readonly store: Store;
  readonly dataset: DatasetName;
  readonly key: string;
  readonly clock: LeaseClock;
};

function checkTiming({ ttlMs, heartbeatMs, skewMs }: LeaseTiming): void {
  const isPossible = ttlMs <= maxTtlMs && heartbeatMs >= minHeartbeatMs && heartbeatMs * 3 <= Math.min(ttlMs, maxWatchMs) && skewMs >= 0;
  if (isPossible) return;
  throw new ZferryError("bug", `a lease cannot live ${ttlMs} ms and be renewed every ${heartbeatMs} ms`);
}

async function create(taking: Taking): Promise<Grasp | null> {
  return write(taking, "create", 1);
}

/** Null when the lease changed meanwhile. */
async function takeOver(taking: Taking, found: FoundLease): Promise<Grasp | null> {
  const { key, store, warn } = taking;
  if (found.record?.holder !== taking.holder.id) {
    const expiryMs = expiryOf(found, taking, taking.clock);
    if (expiryMs !== null && expiryMs > taking.clock.wallMs()) throw heldBy(taking, found, expiryMs);
    const later = await watched(taking, found);
    if (later === null) return null;
    if (later.object.etag !== found.object.etag) throw heldBy(taking, later, taking.clock.wallMs() + taking.ttlMs);
  }
  if (found.record === null) warn(`"${key}" in "${store.url}" is no lease; it is replaced`);
  const epoch = (found.record?.epoch ?? 0) + 1;
  const { etag } = found.object;
  const first = await write(taking, { etag }, epoch);
  if (first !== null || !(await isUnchanged(taking, etag))) return first;
  // Refused although nothing had changed: again, and then by a look, for a server that refuses all (RGW 16 and 18).
  await taking.clock.sleep(store.limits.sameKeySpacingMs, { signal: taking.signal, isBackground: false });
  const second = await write(taking, { etag }, epoch);
  if (second !== null || !(await isUnchanged(taking, etag))) return second;
  warn(withoutConditions(store));
  return write(taking, "replace", epoch);
}

/** What lies there after a live holder would have changed it. */
async function watched({ store, key, clock, signal, ...timing }: Taking, found: FoundLease): Promise<FoundLease | null> {
  await clock.sleep(watchMsOf(found, timing), { signal, isBackground: false });
  return findLease(store, key, signal);
}

async function isUnchanged({ store, key, signal }: Taking, etag: string): Promise<boolean> {
  return (await findLease(store, key, signal))?.object.etag === etag;
}

/** Null when the store refuses the condition. */
async function write(taking: Taking, when: PutOptions["when"], epoch: number): Promise<Grasp | null> {
  const { store, dataset, key, clock, signal, warn, ttlMs, heartbeatMs, skewMs } = taking;
  const writtenAt = momentOf(clock);
  const now = new Date(writtenAt.wallMs).toISOString();
  const record: LeaseRecord = {
    format: 1,
    holder: taking.holder.id,
    host: taking.holder.host.replace(/[^\x20-\x7e]/g, "?").slice(0, 255) || "?",
    epoch,
    attempt: null, // what is being stored is not known when the lease is taken
    token: randomBytes(8).toString("hex"),
    takenAt: now,
    renewedAt: now,
    ttlSeconds: ttlMs / 1000,
    heartbeatSeconds: heartbeatMs / 1000,
  };
  try {
    const { etag } = await store.put(key, leaseBody(record), { when, signal });
    const timing = { ttlMs, heartbeatMs, skewMs };
    const isConditional = when !== "replace";
    return { store, dataset, key, record, etag, writtenAt, isConditional, timing, clock, signal, warn };
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}

function heldBy({ dataset, key }: Taking, { record, object }: FoundLease, expiryMs: number): ZferryError {
  const who =
    record === null
      ? `something that is no lease lies at "${key}" since ${object.modifiedAt.toISOString()}`
      : `"${record.host}" holds the lease since ${record.takenAt}`;
  const until = new Date(expiryMs).toISOString();
  return new ZferryError("locked", `another run is at work on "${dataset}": ${who}, until ${until} at least`, {
    hint: "wait for it to end; if it is dead, its lease can be taken over after that time",
  });
}
