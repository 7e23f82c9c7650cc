/** Copies a backup and the full it needs from one store into another, undecrypted. */
import { download, parseSnapshotName, type Store } from "zferry";

export async function copyOut(from: Store, to: Store, name: string, signal: AbortSignal): Promise<string[]> {
  const entries = await download({ from, to, backup: parseSnapshotName(name), concurrency: 2, onFetched: () => undefined, warn: console.warn, signal });
  return entries.map(({ backup }) => backup);
}
