/**
 * The pool's side: judges the snapshots that zferry has made and destroys what may go.
 *
 * Nothing else is ever destroyed: the mark and the guid are looked at again right before (`zfs/snapshots.ts`), and ZFS
 * itself refuses what is held or cloned.
 */
import { isAnchorBookmark } from "../advance.ts";
import type { Catalog } from "../catalog.ts";
import { isZferryError } from "../errors.ts";
import { readIntents } from "../intent.ts";
import { readJournals } from "../journals.ts";
import { judgeSnapshots, type Verdict } from "../retention.ts";
import { anchorGuids } from "../state.ts";
import type { Zfs } from "../zfs/command.ts";
import type { DatasetFacts, SnapshotFacts } from "../zfs/inventory.ts";
import { type Guid, parseGuid } from "../zfs/names.ts";
import { destroySnapshot } from "../zfs/snapshots.ts";
import type { Scene } from "./backups.ts";
import type { Pruned, PruneRequest } from "./request.ts";

/** @throws ZferryError `config-invalid` when it cannot be told which runs are unfinished; `zfs-…` when the pool cannot be asked */
export async function pruneSnapshots(
  request: PruneRequest & { readonly zfs: Zfs },
  { sight: { catalog }, pool, guard, now, onRemoved }: Scene & { readonly pool: DatasetFacts },
): Promise<readonly Pruned<SnapshotFacts>[]> {
  const verdicts = judgeSnapshots(
    {
      snapshots: pool.snapshots,
      fulls: new Set(catalog.backups.filter(({ kind }) => kind === "full").map(({ guid }) => guid)),
      anchors: await anchorsOn(request, pool, catalog),
      unfinished: new Set([...(await readJournals(request.stateDir)).map(({ backup }) => backup), ...(await readIntents(request.stateDir))]),
      now,
    },
    request.keep.local,
  );
  const judged: Pruned<SnapshotFacts>[] = [];
  for (const verdict of verdicts) {
    const { subject, reasons } = verdict;
    if (reasons.length > 0) judged.push({ subject, reasons, fate: "stays", problem: null });
    else if (guard === null) judged.push({ subject, reasons, fate: "would-go", problem: null });
    else {
      guard.throwIfOver();
      const one = await destroy(request, verdict);
      if (one.fate === "removed") onRemoved(subject.name);
      judged.push(one);
    }
  }
  return judged;
}

/** Of every store: as the state file has them, as bookmarks on the pool say, and the latest full of this one. */
async function anchorsOn({ stateDir, dataset }: PruneRequest, { bookmarks, snapshots }: DatasetFacts, { backups }: Catalog): Promise<ReadonlySet<Guid>> {
  const remembered = await anchorGuids(stateDir, dataset);
  const bookmarked = bookmarks.filter(({ name }) => isAnchorBookmark(name)).map(({ guid }) => guid);
  const fulls = new Set(backups.filter(({ kind }) => kind === "full").map(({ guid }) => guid));
  const latest = snapshots.filter(({ guid }) => fulls.has(guid)).slice(-1).map(({ guid }) => guid);
  return new Set([...remembered.map(parseGuid), ...bookmarked, ...latest]);
}

/** What somebody holds or has cloned meanwhile is in use, and stays. */
async function destroy({ zfs, progress, signal }: PruneRequest & { readonly zfs: Zfs }, { subject }: Verdict<SnapshotFacts>): Promise<Pruned<SnapshotFacts>> {
  try {
    await destroySnapshot(zfs, subject.name, subject.guid, { signal });
    return { subject, fate: "removed", reasons: [], problem: null };
  } catch (error) {
    if (isZferryError(error, "zfs-busy")) return { subject, fate: "stays", reasons: [{ kind: "held", text: `in use: ${error.message}` }], problem: null };
    if (!isZferryError(error, "zfs-failed", "zfs-permission", "zfs-no-space")) throw error;
    progress.warn(error.message);
    return { subject, fate: "failed", reasons: [], problem: error.message };
  }
}
