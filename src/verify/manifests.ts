/**
 * Manifests that are not what they should be: damaged, another backup's, or not the ones this host remembers.
 */
import { gather } from "../bytes.ts";
import { fetchManifest } from "../catalog.ts";
import { isZferryError, type ZferryError } from "../errors.ts";
import { entryOf, isSameManifest } from "../format/entry.ts";
import { manifestKey } from "../format/layout.ts";
import { parseJson, parseManifest } from "../format/manifest.ts";
import type { KnownManifest, StoreState } from "../state.ts";
import type { Store } from "../store/store.ts";
import { type Finding, finding, memory } from "./findings.ts";
import { type DatasetName, parseSnapshotName, type SnapshotName, snapshotName, shortNameOf } from "../zfs/names.ts";

interface Unusable {
  readonly backup: SnapshotName;
  /** No more of it is read. */
  readonly maxBytes: number;
  readonly error: ZferryError;
}

/** What is wrong with the manifest of `backup`, which could not be parsed for the reason `error`. */
export async function explainManifest(store: Store, { backup, maxBytes, error }: Unusable, signal: AbortSignal): Promise<Finding> {
  const key = manifestKey(backup);
  const damaged = finding("manifest-damaged", error.message, key);
  const tooLong = new Error("no manifest of any backup");
  try {
    const bytes = await gather(store.get(key, { signal }), maxBytes, () => tooLong);
    const named = nameIn(bytes);
    if (named === null || named === backup || !isManifestOf(bytes, key, named)) return damaged;
    return finding("foreign-manifest", `"${key}" holds the whole manifest of another backup, "${named}"`, key);
  } catch (thrown) {
    if (thrown !== tooLong) throw thrown;
    return damaged;
  }
}

/** The backup a manifest says it is of, when that can be read. */
function nameIn(bytes: Buffer): SnapshotName | null {
  try {
    const { backup } = parseJson(bytes) as { backup?: unknown };
    return typeof backup === "string" ? parseSnapshotName(backup) : null;
  } catch {
    return null;
  }
}

function isManifestOf(bytes: Buffer, key: string, named: SnapshotName): boolean {
  try {
    parseManifest(bytes, key, named);
    return true;
  } catch (error) {
    if (isZferryError(error, "manifest-invalid", "format-too-new")) return false;
    throw error;
  }
}

/**
 * What this host remembers of the store and the store no longer shows: a backup that is gone, or a manifest that is
 * another one now. Each is looked for once more, because another run may have committed since the listing.
 */
export async function findRolledBack(
  store: Store,
  { lost = {}, anchors }: Pick<StoreState, "lost" | "anchors">,
  { present, signal }: { present: ReadonlySet<SnapshotName>; signal: AbortSignal },
): Promise<ReadonlyMap<SnapshotName, Finding>> {
  const found = new Map<SnapshotName, Finding>();
  for (const known of Object.values(lost)) {
    const missed = await missedNow(store, known, signal);
    if (missed !== null) found.set(known.entry.backup, missed);
  }
  for (const [dataset, { backup }] of Object.entries(anchors)) {
    const name = snapshotName(dataset as DatasetName, shortNameOf(backup as SnapshotName));
    if (present.has(name) || found.has(name) || (await store.head(manifestKey(name), { signal })) !== null) continue;
    const message = `the manifest of the anchor that this host committed is gone; ${memory}`;
    found.set(name, finding("rolled-back", message, manifestKey(name)));
  }
  return found;
}

async function missedNow(store: Store, { entry: before }: KnownManifest, signal: AbortSignal): Promise<Finding | null> {
  const key = manifestKey(before.backup);
  const time = before.committedAt.toISOString();
  try {
    const now = entryOf(await fetchManifest(store, before.backup, signal));
    if (isSameManifest(before, now)) return null;
    const order = now.committedAt < before.committedAt ? "an older one" : "another one";
    const message = `the manifest committed at ${time} (attempt ${before.attempt}) was replaced by ${order}, committed at ${now.committedAt.toISOString()} (attempt ${now.attempt}); ${memory}`;
    return finding("rolled-back", message, key);
  } catch (error) {
    if (isZferryError(error, "manifest-invalid", "format-too-new")) return null; // told as what it is, by name
    if (!isZferryError(error, "backup-not-found")) throw error;
    return finding("rolled-back", `the manifest committed at ${time} (attempt ${before.attempt}) was here and is gone; ${memory}`, key);
  }
}
