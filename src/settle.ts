/**
 * The end of a run that was cut off and is not gone on with: what is left of it goes, but for what may be needed.
 *
 * Whatever speaks for the snapshot or the objects, even unreadably, keeps them. The journal is removed last, so that a
 * run that is cut off meanwhile leaves the rest to the next one.
 */
import { advanceAnchor } from "./advance.ts";
import { attemptOf } from "./attempt.ts";
import { giveUp, manifestOf } from "./commit.ts";
import { isZferryError } from "./errors.ts";
import { manifestKey } from "./format/layout.ts";
import type { Manifest } from "./format/manifest.ts";
import { letGo, runTag } from "./holding.ts";
import type { Journal, JournalHeader } from "./journal.ts";
import { word } from "./shell.ts";
import type { BackupRequest, Scene } from "./voyage.ts";
import type { SnapshotFacts } from "./zfs/inventory.ts";
import { parseSnapshotName, type SnapshotName } from "./zfs/names.ts";

/** Why a run is not gone on with. */
export type Ending =
  /** Its manifest is there: only its last steps are missing. */
  | { readonly kind: "committed" }
  /** A manifest that cannot be read is in the place of its own, and may be its own. */
  | { readonly kind: "unreadable" }
  /** Another run has stored the same snapshot. */
  | { readonly kind: "stored" }
  | { readonly kind: "given-up"; readonly reason: string };

/** The ending that the store says a run has come to already; null when it may be gone on with. */
export function endingOf({ backup, attempt, send }: JournalHeader, { catalog: { backups, damaged } }: Scene): Ending | null {
  if (backups.some((entry) => entry.backup === backup && entry.attempt === attempt)) return { kind: "committed" };
  if (damaged.some(({ key }) => key === manifestKey(backup))) return { kind: "unreadable" };
  return backups.some(({ guid }) => String(guid) === send?.guid) ? { kind: "stored" } : null;
}

/** Brings the run to that end. */
export function settle(journal: Journal, ending: Ending, request: BackupRequest, scene: Scene): Promise<void> {
  const { backup } = journal.header;
  const { warn } = request.progress;
  switch (ending.kind) {
    case "committed":
      return finish(journal, request, scene);
    case "unreadable":
      warn(`the manifest of "${backup}" cannot be read, and may be that of an unfinished upload: objects and snapshot stay, and a new backup begins`);
      return forget(journal, request);
    case "stored":
      warn(`"${backup}" was stored by another run; what an unfinished upload of it has left is removed`);
      return clearAway(journal, request, null);
    case "given-up":
      warn(`the unfinished upload of "${backup}" is given up: ${ending.reason}`);
      return clearAway(journal, request, ownSnapshot(journal.header, scene));
  }
}

/** Only of a run that wrote the manifest itself: anyone who can write to the store can name its attempt in one. */
async function finish(journal: Journal, request: BackupRequest, scene: Scene): Promise<void> {
  const manifest = await ownManifest(journal, request);
  if (manifest === null) return settle(journal, { kind: "given-up", reason: "it did not write the manifest that names it" }, request, scene);
  request.progress.warn(`"${manifest.backup}" was committed by a run that could not finish its last steps; they are done now`);
  await advanceAnchor(request, scene.dataset, manifest);
  await forget(journal, request);
}

/** What the run has committed; null when the manifest in that place is none of its own. */
async function ownManifest(journal: Journal, { store, signal }: BackupRequest): Promise<Manifest | null> {
  try {
    return await manifestOf(store, journal.header.backup, attemptOf(journal), signal);
  } catch (error) {
    if (!isZferryError(error, "manifest-invalid")) throw error;
    return null;
  }
}

async function forget(journal: Journal, request: BackupRequest): Promise<void> {
  await letGo(request, heldBy(journal.header));
  await journal.remove();
}

/** What cannot be removed from the store leaves the journal to the next run. */
async function clearAway(journal: Journal, request: BackupRequest, doomed: SnapshotFacts | null): Promise<void> {
  const { backup, attempt } = journal.header;
  await giveUp(request.store, backup, { id: attempt, journal }, request.progress.warn);
  await letGo(request, heldBy(journal.header), doomed);
  await (journal.isKept ? journal.close() : journal.remove());
}

/** The snapshots the run has held. */
function heldBy({ backup, send }: JournalHeader): SnapshotName[] {
  const base = send?.baseName ?? "";
  return base.includes("@") ? [backup, parseSnapshotName(base)] : [backup];
}

function ownSnapshot({ backup, send }: JournalHeader, { dataset }: Scene): SnapshotFacts | null {
  if (send?.isOwnSnapshot !== true) return null;
  return dataset.snapshots.find(({ name, guid }) => name === backup && String(guid) === send.guid) ?? null;
}

/** Tells of a journal that does not say any more what its run has held; another run may hold it by the same tag, so it stays. */
export function tellGarbage(setAside: string, { store, progress }: BackupRequest, { dataset, catalog }: Scene): void {
  progress.warn(`the journal of an unfinished run could not be read; it was set aside as "${setAside}"`);
  const suspects = dataset.snapshots.filter(({ guid, userRefs }) => userRefs > 0 && !catalog.backups.some((entry) => entry.guid === guid));
  for (const { name } of suspects) {
    progress.warn(`if that run held "${name}" and no other does, this lets go of it: zfs release ${word(runTag(store))} ${word(name)}`);
  }
}
