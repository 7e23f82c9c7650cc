/**
 * The object a lease is: `locks/<dataset>.json` (`docs/format.md` § Leases), how it is read, and when it has run out.
 */
import { z } from "zod";
import { gather, KiB } from "../bytes.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import type { DatasetName } from "../zfs/names.ts";
import type { LeaseClock } from "./lease-clock.ts";
import type { Store, StoredObject } from "./store.ts";
import { statusOf } from "./transient.ts";

/** A lease that would hold longer than a day is garbage: a crash must not block the next night. */
export const maxTtlMs = 24 * 3_600_000;
/** Three renewals, each waiting for another three seconds: what a live holder can keep up on a busy machine. */
export const minTtlMs = 10_000;

/** Watching an object before it is taken over never takes longer, whatever stands in it. */
export const maxWatchMs = 10 * 60_000;

/** Far more than any lease has. */
const maxLeaseBytes = 16 * KiB;

/** Names that end up in messages: nothing a terminal would obey. */
const printable = z.string().regex(/^[\x20-\x7e]{1,255}$/);

const seconds = z.number().positive().max(maxTtlMs / 1000);

export const leaseSchema = z.object({
  format: z.literal(1),
  holder: printable,
  host: printable,
  epoch: z.int().positive(),
  attempt: printable.nullable(),
  token: printable,
  takenAt: z.iso.datetime(),
  renewedAt: z.iso.datetime(),
  ttlSeconds: seconds,
  heartbeatSeconds: seconds,
});

export type LeaseRecord = z.output<typeof leaseSchema>;

/** What lies under the key, in one version. */
export interface FoundLease {
  readonly object: StoredObject;
  /** Null for garbage. */
  readonly record: LeaseRecord | null;
}

export function leaseKey(dataset: DatasetName): string {
  return `locks/${dataset}.json`;
}

export function leaseBody(record: LeaseRecord): Uint8Array {
  return Buffer.from(`${JSON.stringify(record)}\n`);
}

/** Reads the lease; null when there is none. */
export async function findLease(store: Store, key: string, signal: AbortSignal): Promise<FoundLease | null> {
  let object: StoredObject | null = null;
  const onFound = (found: StoredObject): void => {
    object = found;
  };
  const tooLong = new Error("longer than a lease");
  try {
    const bytes = await gather(store.get(key, { signal, onFound }), maxLeaseBytes, () => tooLong);
    return found(object, key, parse(bytes));
  } catch (error) {
    if (error === tooLong) return found(object, key, null);
    if (isZferryError(error, "object-missing")) return null;
    throw error;
  }
}

function found(object: StoredObject | null, key: string, record: LeaseRecord | null): FoundLease {
  if (object === null) throw new ZferryError("bug", `"${key}" was read without onFound`);
  return { object, record };
}

function parse(bytes: Buffer): LeaseRecord | null {
  try {
    return leaseSchema.parse(JSON.parse(bytes.toString("utf8")));
  } catch {
    return null;
  }
}

/** A conditional write that lost: its condition did not hold, or another's was faster (409; RGW's ConcurrentModification). */
export function isRefusal(error: unknown): boolean {
  return isZferryError(error, "object-exists") || (isZferryError(error, "store-failed") && statusOf(error.cause) === 409);
}

/** How long holders hold, as far as the lease itself does not say. */
export interface LeaseTiming {
  /** A lease that was not renewed for this long is lost. At most a day. */
  readonly ttlMs: number;
  /** Time between renewals; a second at least, at most a third of `ttlMs` and of ten minutes. */
  readonly heartbeatMs: number;
  /** What clocks of hosts and store may differ by before a lease looks run out although it is not. */
  readonly skewMs: number;
}

/** For a run whose store may be out of reach for `outageMs`: the lease outlives every outage the retries outlive. */
export function ttlFor(outageMs: number): number {
  return Math.min(Math.max(outageMs, 60_000) + 60_000, maxTtlMs);
}

/** How a lease is kept that is lost after `ttlMs` without a renewal; `ttlMs` is brought into its range. */
export function leaseTiming(ttlMs: number): LeaseTiming {
  const inRangeMs = Math.min(Math.max(ttlMs, minTtlMs), maxTtlMs);
  return { ttlMs: inRangeMs, heartbeatMs: Math.min(30_000, Math.floor(inRangeMs / 3)), skewMs: Math.min(60_000, inRangeMs) };
}

/**
 * When others may take the lease over, in wall-clock milliseconds: its last renewal, its own time to live, and the skew.
 * The holder's stamp counts, or the store's where the holder's is unreadable or lies in the future. Null when both do:
 * then clocks tell nothing, and only watching the object does.
 */
export function expiryOf({ object, record }: FoundLease, timing: LeaseTiming, clock: Pick<LeaseClock, "wallMs">): number | null {
  const ttlMs = record === null ? timing.ttlMs : record.ttlSeconds * 1000;
  const stamps = [...(record === null ? [] : [Date.parse(record.renewedAt)]), object.modifiedAt.getTime()];
  const renewedAtMs = stamps.find((stamp) => stamp <= clock.wallMs() + timing.skewMs);
  return renewedAtMs === undefined ? null : renewedAtMs + ttlMs + timing.skewMs;
}

/** How long the object must be seen unchanged: every live holder that reaches its store has renewed by then. */
export function watchMsOf({ record }: FoundLease, timing: LeaseTiming): number {
  return Math.min(3 * (record === null ? timing.heartbeatMs : record.heartbeatSeconds * 1000), maxWatchMs);
}
