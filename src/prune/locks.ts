/**
 * Locks of the bucket's own on what would go: a time until which an object may not be deleted, or a legal hold. Where they
 * cannot be read, that is said, and the store's refusal to delete is what is left.
 */
import type { BackupEntry } from "../format/entry.ts";
import { attemptPrefix, manifestKey } from "../format/layout.ts";
import type { Reason } from "../keep-rules.ts";
import type { ObjectLock } from "../store/rules.ts";
import type { ObjectKey, Store } from "../store/store.ts";
import { parallel } from "../stream/parallel.ts";
import { Run } from "../stream/run.ts";

/** Objects asked about at a time. */
const askLimit = 16;

interface Asking {
  readonly store: Store;
  readonly now: () => Date;
  readonly progress: { readonly warn: (text: string) => void };
  readonly signal: AbortSignal;
}

/** Why a backup cannot go; null when no lock is in the way. */
export type LockOf = (entry: BackupEntry) => Promise<Reason | null>;

/**
 * What asks about locks, of the manifest and of every object of the attempt; each backup is asked about once. A bucket
 * without locks is asked once, and nothing of its objects.
 */
export async function locksIn(asking: Asking): Promise<LockOf> {
  const { store, progress, signal } = asking;
  const rules = await store.rules?.({ signal });
  if (rules === undefined || (rules.locks.kind === "seen" && !rules.locks.value.isEnabled)) return () => Promise.resolve(null);
  if (rules.locks.kind === "unknown") {
    progress.warn(`whether the bucket locks objects is not known: ${rules.locks.why}`);
    return () => Promise.resolve(null);
  }
  const known = new Map<string, Promise<Reason | null>>();
  const once = { ...asking, progress: { warn: onlyOnce(progress.warn) } };
  return (entry) => {
    const answer = known.get(entry.attempt) ?? lockOfBackup(once, entry);
    known.set(entry.attempt, answer);
    return answer;
  };
}

/** Who may not look at one object may look at none. */
function onlyOnce(warn: (text: string) => void): (text: string) => void {
  let isTold = false;
  return (text) => {
    if (!isTold) warn(text);
    isTold = true;
  };
}

async function lockOfBackup(asking: Asking, { backup, attempt }: BackupEntry): Promise<Reason | null> {
  const { store, now, signal } = asking;
  const run = new Run(signal);
  let latest: ObjectLock | null = null;
  const keys = keysOf(store, [manifestKey(backup)], attemptPrefix(backup, attempt), run.signal);
  for await (const lock of parallel(keys, { limit: askLimit, run }, (key) => lockOfObject(asking, key, run.signal))) {
    if (lock === null) continue;
    if (lock.isOnHold) return { kind: "held", text: "a legal hold is on it" };
    if (lock.until !== null && (latest?.until == null || lock.until > latest.until)) latest = lock;
  }
  if (latest?.until == null || latest.until <= now()) return null;
  return { kind: "held", text: `locked until ${latest.until.toISOString()}${latest.mode === null ? "" : ` (${latest.mode.toLowerCase()})`}` };
}

async function* keysOf(store: Store, first: readonly ObjectKey[], prefix: string, signal: AbortSignal): AsyncGenerator<ObjectKey, void> {
  yield* first;
  for await (const { key } of store.list(prefix, { signal })) yield key;
}

async function lockOfObject({ store, progress }: Asking, key: ObjectKey, signal: AbortSignal): Promise<ObjectLock | null> {
  const look = await store.lockOf?.(key, { signal });
  if (look === undefined) return null;
  if (look.kind === "seen") return look.value;
  progress.warn(`whether "${key}" is locked is not known: ${look.why}`);
  return null;
}
