/** Makes the state folder's memory of a store anew, from the store. */
import { rebuildState, type Store } from "zferry";

export async function remember(store: Store, stateDir: string, signal: AbortSignal): Promise<number> {
  const { backupCount } = await rebuildState({ store, stateDir, warn: console.warn, signal });
  return backupCount;
}
