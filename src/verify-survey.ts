/**
 * All that can be said of the backups in a scope without reading a chunk: their manifests, their objects, their bases,
 * and what this host remembers of them. Every verification begins with it, at whatever level.
 */
import { type Catalog, fetchManifest, isCommitted, largeInTurn } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { type BackupEntry, entryOf } from "./format/entry.ts";
import { backupOfManifestKey, manifestKey, streamsPrefix } from "./format/layout.ts";
import type { Manifest } from "./format/manifest.ts";
import type { StoreState } from "./state.ts";
import type { Store } from "./store/store.ts";
import { parallel } from "./stream/parallel.ts";
import { Run } from "./stream/run.ts";
import { checkBase, checkObjects, type Folder, listFolders } from "./verify-exists.ts";
import { type Finding, finding } from "./verify-findings.ts";
import { explainManifest, findRolledBack } from "./verify-manifests.ts";
import { type DatasetName, datasetOf, type SnapshotName } from "./zfs/names.ts";

/** Manifests fetched at a time. */
const fetchLimit = 8;

export type VerifyScope =
  | { readonly kind: "all" }
  | { readonly kind: "dataset"; readonly dataset: DatasetName }
  | { readonly kind: "snapshot"; readonly name: SnapshotName };

/** One backup, or what is left of it. */
export interface Surveyed {
  readonly backup: SnapshotName;
  /** Null when its manifest is gone or cannot be used. */
  readonly entry: BackupEntry | null;
  readonly findings: readonly Finding[];
  /** Why it could not be looked at although nothing is wrong with it. */
  readonly obstacle: ZferryError | null;
}

export interface Survey {
  readonly backups: readonly Surveyed[];
  /** About objects that are of no backup. */
  readonly findings: readonly Finding[];
  /** The backups a base may be looked for in. */
  readonly usable: Pick<Catalog, "backups">;
}

interface SurveyOptions {
  readonly scope: VerifyScope;
  readonly catalog: Catalog;
  /** Read after the catalog, which notes there what is lost. */
  readonly state: StoreState;
  readonly signal: AbortSignal;
}

/** @throws ZferryError `backup-not-found` when the scope names something and nothing is there; the store's codes */
export async function survey(store: Store, { scope, catalog, state, signal }: SurveyOptions): Promise<Survey> {
  const damaged = catalog.damaged.map(({ key }) => ({ key, name: backupOfManifestKey(key) }));
  const names = [...catalog.backups.map(({ backup }) => backup), ...damaged.flatMap(({ name }) => name ?? [])];
  const present = new Set(names);
  const folders = await listFolders(store, prefixOf(scope), signal);
  const listed = names.filter((name) => isIn(scope, name)).map((backup) => ({ backup, sizeBytes: listedBytes(catalog, backup) }));
  const seen = await lookAtAll(store, listed, folders, signal);

  const unusable = new Set<string>([
    ...damaged.flatMap(({ name }) => name ?? []),
    ...seen.filter(({ entry }) => entry === null).map(({ backup }) => backup),
  ]);
  const usable = { backups: catalog.backups.filter(({ backup }) => !unusable.has(backup)) };
  const rolledBack = new Map([...(await findRolledBack(store, state, { present, signal }))].filter(([name]) => isIn(scope, name)));
  const backups = seen.map((one): Surveyed => {
    const base = one.entry === null ? null : checkBase(one.entry, usable, unusable);
    const before = rolledBack.get(one.backup) ?? null;
    rolledBack.delete(one.backup);
    return { ...one, findings: [...one.findings, base, before].filter((each) => each !== null) };
  });
  for (const [backup, found] of rolledBack) backups.push({ backup, entry: null, findings: [found], obstacle: null });
  if (backups.length === 0 && scope.kind !== "all") throw nothingThere(store, scope);
  const strangers = scope.kind === "all" ? damaged.filter(({ name }) => name === null) : [];
  const findings = strangers.map(({ key }) => finding("extra-object", `"${key}" is not the manifest of any backup`, key));
  return { backups, findings, usable };
}

function isIn(scope: VerifyScope, backup: SnapshotName): boolean {
  if (scope.kind === "all") return true;
  return scope.kind === "dataset" ? datasetOf(backup) === scope.dataset : backup === scope.name;
}

function prefixOf(scope: VerifyScope): string {
  if (scope.kind === "all") return streamsPrefix;
  return scope.kind === "dataset" ? `${streamsPrefix}${scope.dataset}@` : `${streamsPrefix}${scope.name}/`;
}

function nothingThere(store: Store, scope: Exclude<VerifyScope, { kind: "all" }>): ZferryError {
  const what = scope.kind === "snapshot" ? `no backup "${scope.name}"` : `no backup of "${scope.dataset}"`;
  return new ZferryError("backup-not-found", `there is ${what} in "${store.url}"`, { hint: "`zferry list` shows what there is" });
}

interface Listed {
  readonly backup: SnapshotName;
  /** Of its manifest, as the listing has it. */
  readonly sizeBytes: number;
}

/** What cannot be used is taken for large. */
function listedBytes({ manifests }: Catalog, backup: SnapshotName): number {
  return manifests.get(manifestKey(backup))?.sizeBytes ?? Infinity;
}

async function lookAtAll(
  store: Store,
  listed: readonly Listed[],
  folders: ReadonlyMap<string, Folder>,
  signal: AbortSignal,
): Promise<Surveyed[]> {
  const run = new Run(signal);
  const seen: Surveyed[] = [];
  const inTurn = largeInTurn();
  const look = ({ backup, sizeBytes }: Listed): Promise<Surveyed | null> =>
    inTurn(sizeBytes, (maxBytes) => lookAt(store, { backup, maxBytes }, folders, run.signal));
  for await (const one of parallel(listed, { limit: fetchLimit, run }, look)) {
    if (one !== null) seen.push(one);
  }
  return seen;
}

/** Null for a backup that was removed since the listing. */
async function lookAt(
  store: Store,
  { backup, maxBytes }: { readonly backup: SnapshotName; readonly maxBytes: number },
  folders: ReadonlyMap<string, Folder>,
  signal: AbortSignal,
): Promise<Surveyed | null> {
  try {
    const parsed = await fetchManifest(store, backup, signal, maxBytes);
    const { manifest } = parsed;
    const findings = checkObjects(manifest, folders);
    if (findings.length > 0 && !(await isStillThere(store, manifest, signal, maxBytes))) return null;
    return { backup, entry: entryOf(parsed), findings, obstacle: null };
  } catch (error) {
    if (isZferryError(error, "backup-not-found")) return null;
    if (isZferryError(error, "format-too-new")) return { backup, entry: null, findings: [], obstacle: error };
    if (!isZferryError(error, "manifest-invalid")) throw error;
    return { backup, entry: null, findings: [await explainManifest(store, { backup, maxBytes, error }, signal)], obstacle: null };
  }
}

/** Whether the backup is still what it was: one that is removed meanwhile looks like one that was damaged. */
export async function isStillThere(
  store: Store,
  { backup, attempt }: Manifest | BackupEntry,
  signal: AbortSignal,
  maxBytes?: number,
): Promise<boolean> {
  try {
    return await isCommitted(store, backup, attempt, signal, maxBytes);
  } catch (error) {
    if (isZferryError(error, "manifest-invalid", "format-too-new")) return true;
    throw error;
  }
}
