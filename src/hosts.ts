/**
 * Hosts that share a bucket: each has a folder of its own right below one place, and in it a whole store (`docs/pull.md`).
 */
import { manifestsPrefix } from "./format/layout.ts";
import { compareKeys } from "./store/keys.ts";
import type { Store } from "./store/store.ts";

/** What sorts right behind every key of a folder: the character after the slash. */
const afterSlash = "0";

/**
 * The folders right below a store that have manifests in them, ascending. Of each folder one page of keys is asked for,
 * and whether there is a manifest: what they hold is not read.
 *
 * @throws ZferryError the store's codes
 */
export async function hostsBelow(store: Store, options: { readonly signal: AbortSignal }): Promise<readonly string[]> {
  const hosts: string[] = [];
  for (let folder = await folderAfter(store, "", options); folder !== null; folder = await folderAfter(store, folder, options)) {
    if (await hasManifests(store, folder, options)) hosts.push(folder);
  }
  return hosts;
}

/** The first folder whose keys sort behind those of another; null when there is no more. What a server lists before it is passed over. */
async function folderAfter(store: Store, folder: string, { signal }: { readonly signal: AbortSignal }): Promise<string | null> {
  const after = folder === "" ? "" : `${folder}${afterSlash}`;
  for await (const { key } of store.list("", after === "" ? { signal } : { signal, after })) {
    const end = key.indexOf("/");
    if (end > 0 && compareKeys(key, after) > 0) return key.slice(0, end);
  }
  return null;
}

async function hasManifests(store: Store, folder: string, { signal }: { readonly signal: AbortSignal }): Promise<boolean> {
  if (folder === "." || folder === "..") return false; // no store makes such keys, and a URL cannot say them
  for await (const { key } of store.list(`${folder}/${manifestsPrefix}`, { signal })) return key !== "";
  return false;
}
