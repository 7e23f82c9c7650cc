/**
 * All that can be said of the backups in a scope without reading a chunk: their manifests, their objects, their bases,
 * and what this host remembers of them. Every verification begins with it, at whatever level.
 */
import { type Catalog, fetchListed, fetchManifest, largeInTurn } from "../catalog.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { type BackupEntry, entryOf } from "../format/entry.ts";
import { backupOfManifestKey, manifestKey, streamsPrefix } from "../format/layout.ts";
import { ManifestReplaced } from "../manifest-replaced.ts";
import type { StoreState } from "../state.ts";
import type { Store } from "../store/store.ts";
import { parallel } from "../stream/parallel.ts";
import { Run } from "../stream/run.ts";
import { checkBase, checkObjects, type Folder, listFolders } from "./exists.ts";
import { type Finding, finding, replaced } from "./findings.ts";
import { explainManifest, findRolledBack } from "./manifests.ts";
import { type DatasetName, datasetOf, type SnapshotName } from "../zfs/names.ts";

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
  const named: readonly Named[] = [
    ...catalog.backups.map((listed) => ({ backup: listed.backup, listed, sizeBytes: listedBytes(catalog, listed.backup) })),
    ...damaged.flatMap(({ name }) => (name === null ? [] : { backup: name, listed: null, sizeBytes: Infinity })),
  ];
  const present = new Set(named.map(({ backup }) => backup));
  const folders = await listFolders(store, prefixOf(scope), signal);
  const seen = await lookAtAll(store, named.filter(({ backup }) => isIn(scope, backup)), folders, signal);

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

/** A backup that was listed. */
interface Named {
  readonly backup: SnapshotName;
  /** Null where its manifest could not be read. */
  readonly listed: BackupEntry | null;
  /** Of its manifest, as the listing has it; what cannot be used is taken for large. */
  readonly sizeBytes: number;
}

function listedBytes({ manifests }: Catalog, backup: SnapshotName): number {
  return manifests.get(manifestKey(backup))?.sizeBytes ?? Infinity;
}

async function lookAtAll(
  store: Store,
  all: readonly Named[],
  folders: ReadonlyMap<string, Folder>,
  signal: AbortSignal,
): Promise<Surveyed[]> {
  const run = new Run(signal);
  const seen: Surveyed[] = [];
  const inTurn = largeInTurn();
  const look = (each: Named): Promise<Surveyed | null> =>
    inTurn(each.sizeBytes, (maxBytes) => lookAt(store, { ...each, maxBytes }, folders, run.signal));
  for await (const one of parallel(all, { limit: fetchLimit, run }, look)) {
    if (one !== null) seen.push(one);
  }
  return seen;
}

/** Null for a backup that was removed since the listing. */
async function lookAt(
  store: Store,
  { backup, listed, maxBytes }: Named & { readonly maxBytes: number },
  folders: ReadonlyMap<string, Folder>,
  signal: AbortSignal,
): Promise<Surveyed | null> {
  try {
    const parsed = await (listed === null ? fetchManifest(store, backup, signal, maxBytes) : fetchListed(store, listed, signal, maxBytes));
    const entry = entryOf(parsed);
    const findings = await stillFound(store, entry, checkObjects(parsed.manifest, folders), signal);
    return findings === null ? null : { backup, entry, findings, obstacle: null };
  } catch (error) {
    if (isZferryError(error, "backup-not-found")) return null;
    if (isZferryError(error, "format-too-new")) return { backup, entry: null, findings: [], obstacle: error };
    if (!isZferryError(error, "manifest-invalid")) throw error;
    const found = error instanceof ManifestReplaced ? replaced(error) : await explainManifest(store, { backup, maxBytes, error }, signal);
    return { backup, entry: null, findings: [found], obstacle: null };
  }
}

/**
 * What counts of `findings` after a second look at the manifest: null when it is gone, since a backup that is removed
 * meanwhile looks like one that was damaged; and of one that is replaced meanwhile, only that.
 */
export async function stillFound(
  store: Store,
  entry: BackupEntry,
  findings: readonly Finding[],
  signal: AbortSignal,
): Promise<readonly Finding[] | null> {
  if (findings.length === 0) return findings;
  try {
    await fetchListed(store, entry, signal);
  } catch (error) {
    if (isZferryError(error, "backup-not-found")) return null;
    if (error instanceof ManifestReplaced) return [replaced(error)];
    if (!isZferryError(error, "manifest-invalid", "format-too-new")) throw error;
  }
  return findings;
}
