/** The verified stream of a backup, for whatever takes it. */
import { createHash } from "node:crypto";
import { get, type Keyring, parseSnapshotName, type Store } from "zferry";

/** Here its digest. The last 64 KiB come only when all of it was found right: until then nothing is to be believed. */
export async function digestOf(store: Store, name: string, keyring: Keyring, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const options = { keyring, allowUnauthenticated: false, concurrency: 2, onFetched: () => undefined, warn: console.warn, signal };
  for await (const slice of get(store, parseSnapshotName(name), options)) hash.update(slice);
  return hash.digest("hex");
}
