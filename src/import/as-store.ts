/** Somebody else's files under the keys that they are to have with us: what `copyChunk` reads from. */
import { ZferryError } from "../errors.ts";
import { chunkKey } from "../format/layout.ts";
import type { Manifest } from "../format/manifest.ts";
import type { ObjectKey, Store } from "../store/store.ts";
import type { CutMessage } from "./messages.ts";

/** Reads only, and only chunks of that manifest. */
export function asStore(source: Store, { files }: CutMessage, { backup, attempt, encryption }: Manifest): Store {
  const keys = new Map(files.map(({ key }, index) => [chunkKey(backup, attempt, encryption.packet, index), key]));
  const refuse = (): Promise<never> => Promise.reject(new ZferryError("bug", `"${source.url}" is only read from`));
  const theirs = (key: ObjectKey): ObjectKey => {
    const found = keys.get(key);
    if (found === undefined) throw new ZferryError("bug", `"${key}" is none of the chunks of "${backup}"`);
    return found;
  };
  return {
    url: source.url,
    limits: source.limits,
    get: (key, options) => source.get(theirs(key), options),
    head: (key, options) => source.head(theirs(key), options),
    list: () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }),
    put: refuse,
    delete: refuse,
    listUnfinished: refuse,
    removeUnfinished: refuse,
    close: () => Promise.resolve(),
  };
}
