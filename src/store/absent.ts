/**
 * A store that could not be opened, where others are there to be asked: every verb fails with the reason.
 */
import { embeddedLimits } from "./memory.ts";
import type { Store } from "./store.ts";

/** @param url - as people name it */
export function absentStore(url: string, reason: Error): Store {
  const refuse = (): Promise<never> => Promise.reject(reason);
  const refusing = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) });
  return {
    url,
    limits: embeddedLimits,
    put: refuse,
    get: refusing,
    head: refuse,
    list: refusing,
    delete: refuse,
    listUnfinished: refuse,
    removeUnfinished: refuse,
    close: () => Promise.resolve(),
  };
}
