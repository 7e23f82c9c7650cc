/**
 * Lifecycle rules and locks of a bucket, as S3 tells them. Providers differ in which of these questions they know: R2 has
 * lifecycle rules and no object lock in its S3 interface, folders of a simulator neither. Not knowing, and not being
 * allowed to ask, are answers here; a server that fails is an error as everywhere.
 */
import {
  GetBucketLifecycleConfigurationCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  type LifecycleRule,
} from "@aws-sdk/client-s3";
import { manifestsPrefix, streamsPrefix } from "../format/layout.ts";
import { reasonOf } from "./abort.ts";
import type { BucketRules, Expiry, Look, ObjectLock } from "./rules.ts";
import { asS3Error, s3CodeOf } from "./s3-errors.ts";
import type { HttpOptions, S3Session } from "./s3-session.ts";
import type { ObjectKey } from "./store.ts";
import { statusOf } from "./transient.ts";

/** What zferry stores and would miss. */
const ours = [manifestsPrefix, streamsPrefix];
const daysPerYear = 365;

/** "There is none", in the words of AWS and of those who follow it. */
const noneOf = {
  lifecycle: ["NoSuchLifecycleConfiguration"],
  lock: ["ObjectLockConfigurationNotFoundError", "ObjectLockConfigurationNotFound", "NoSuchObjectLockConfiguration"],
  // Of an object that has none, and of one in a bucket without locks (AWS: 400 InvalidRequest, RGW: 400 InvalidArgument).
  object: ["NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest", "InvalidArgument", "NoSuchKey"],
};

/** @throws ZferryError the store's codes, for anything but a question that is not known or not allowed */
export async function bucketRules(session: S3Session, signal: AbortSignal): Promise<BucketRules> {
  const { client, bucket } = session;
  const Bucket = bucket;
  const expiries = await asked(session, signal, "read the lifecycle rules of", noneOf.lifecycle, async (http): Promise<readonly Expiry[]> => {
    const { Rules = [] } = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }), http);
    return Rules.flatMap((rule) => expiriesOf(rule, session));
  });
  const locks = await asked(session, signal, "read the object lock of", noneOf.lock, async (http) => {
    const { ObjectLockConfiguration: lock } = await client.send(new GetObjectLockConfigurationCommand({ Bucket }), http);
    const { Mode, Days = 0, Years = 0 } = lock?.Rule?.DefaultRetention ?? {};
    const days = Days + Years * daysPerYear;
    return { isEnabled: lock?.ObjectLockEnabled === "Enabled", byDefault: Mode === undefined || days === 0 ? null : { mode: Mode, days } };
  });
  return {
    expiries: expiries.kind === "seen" ? { kind: "seen", value: expiries.value ?? [] } : expiries,
    locks: locks.kind === "seen" ? { kind: "seen", value: locks.value ?? { isEnabled: false, byDefault: null } } : locks,
  };
}

/** Of the version that is there now. @throws ZferryError as {@link bucketRules} */
export async function lockOfObject(session: S3Session, key: ObjectKey, signal: AbortSignal): Promise<Look<ObjectLock | null>> {
  const { client } = session;
  const target = session.target(key);
  const what = `read the lock of "${key}" in`;
  const retention = await asked(session, signal, what, noneOf.object, async (http) => (await client.send(new GetObjectRetentionCommand(target), http)).Retention);
  if (retention.kind === "unknown") return retention;
  const hold = await asked(session, signal, what, noneOf.object, async (http) => (await client.send(new GetObjectLegalHoldCommand(target), http)).LegalHold);
  if (hold.kind === "unknown") return hold;
  const [until, isOnHold] = [retention.value?.RetainUntilDate ?? null, hold.value?.Status === "ON"];
  return { kind: "seen", value: until === null && !isOnHold ? null : { until, mode: retention.value?.Mode ?? null, isOnHold } };
}

/** One question. Null for "there is none". */
async function asked<T>(
  session: S3Session,
  signal: AbortSignal,
  what: string,
  none: readonly string[],
  ask: (http: HttpOptions) => Promise<T>,
): Promise<Look<T | null>> {
  try {
    return { kind: "seen", value: await session.once(ask, { signal }) };
  } catch (error) {
    if (signal.aborted) throw reasonOf(signal);
    if (none.includes(s3CodeOf(error) ?? "")) return { kind: "seen", value: null };
    const told = asS3Error(error, `${what} "${session.url}"`);
    if (told.code !== "store-denied" && !isUnknown(error)) throw told;
    return { kind: "unknown", why: told.message };
  }
}

/** A question this provider does not know: 501 or 405, or an answer that is none. */
function isUnknown(error: unknown): boolean {
  return [501, 405].includes(statusOf(error) ?? 0) || ["NotImplemented", "MethodNotAllowed", "XNotImplemented"].includes(s3CodeOf(error) ?? "");
}

/** What a rule deletes of ours. Rules for objects with tags do not hit ours, which have none. */
function expiriesOf(rule: LifecycleRule, session: S3Session): Expiry[] {
  const { ID = "", Status, Filter, Expiration } = rule;
  const { Prefix: older } = rule as { readonly Prefix?: string }; // where rules stood before they had filters
  const { Days = null, Date: on = null } = Expiration ?? {};
  const hasTags = Filter?.Tag !== undefined || (Filter?.And?.Tags ?? []).length > 0;
  if (Status !== "Enabled" || hasTags || (Days === null && on === null)) return [];
  const wanted = Filter?.Prefix ?? Filter?.And?.Prefix ?? older ?? "";
  return ours.flatMap((prefix) => {
    const full = session.fullPrefix(prefix);
    if (!full.startsWith(wanted) && !wanted.startsWith(full)) return [];
    const narrowed = wanted.startsWith(full) ? wanted.slice(full.length) : "";
    return [{ id: ID, prefix: `${prefix}${narrowed}`, afterDays: Days, on }];
  });
}
