/**
 * Which backup a drill tries: any that the store has or should have, by lot.
 *
 * What is damaged, lost or without its base is in the lot too. A drill that leaves out what cannot be restored would only
 * ever pass.
 */
import { createHash } from "node:crypto";
import type { Catalog } from "../catalog.ts";
import { backupOfManifestKey } from "../format/layout.ts";
import type { StoreState } from "../state.ts";
import { type DatasetName, datasetOf, type SnapshotName } from "../zfs/names.ts";

/** What there is and what was seen once, each once. @param selects - which of these datasets are in question */
export function candidatesIn(
  { backups, damaged }: Pick<Catalog, "backups" | "damaged">,
  { lost = {} }: Pick<StoreState, "lost">,
  selects: (datasets: readonly DatasetName[]) => readonly DatasetName[],
): readonly SnapshotName[] {
  const names = new Set<SnapshotName>([
    ...backups.map(({ backup }) => backup),
    ...damaged.flatMap(({ key }) => backupOfManifestKey(key) ?? []),
    ...Object.values(lost).map(({ entry }) => entry.backup),
  ]);
  const datasets = [...new Set([...names].map(datasetOf))].sort();
  const wanted = new Set(selects(datasets));
  return [...names].filter((name) => wanted.has(datasetOf(name)));
}

/** The name whose SHA-256 with the seed is lowest: the same for the same seed and store. Null for no name. */
export function pick(names: readonly SnapshotName[], seed: string): SnapshotName | null {
  const ranked = names.map((name) => ({ name, rank: createHash("sha256").update(`${seed}\0${name}`).digest("hex") }));
  return ranked.sort((a, b) => (a.rank < b.rank ? -1 : 1))[0]?.name ?? null;
}
