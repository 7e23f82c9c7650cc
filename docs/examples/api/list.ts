/** What there is, and whether it can be restored. */
import { list, type Store } from "zferry";

export async function restorable(store: Store, signal: AbortSignal): Promise<string[]> {
  const { backups, damaged } = await list(store, { dataset: null, stateDir: null, warn: console.warn, signal });
  for (const { key, error } of damaged) console.warn(`${key}: ${error.message}`);
  return backups.filter(({ obstacle }) => obstacle === null).map(({ entry }) => entry.backup);
}
