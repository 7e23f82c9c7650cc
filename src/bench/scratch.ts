/**
 * A place in the store for what is measured with: a random prefix in `bench/`, emptied again whatever happens. Nothing
 * else in the store is read or written, and no manifest is ever made.
 */
import { randomBytes } from "node:crypto";
import { ZferryError } from "../errors.ts";
import type { Store } from "../store/store.ts";

const scratchFolder = "bench/";
/** How long the clean-up may take. */
const cleanupTimeoutMs = 60_000;

/**
 * @param work - may put what it likes under the prefix it is given
 * @throws ZferryError what `work` threw; `store-failed` when only the clean-up failed
 */
export async function inScratch<T>(store: Store, warn: (text: string) => void, work: (prefix: string) => Promise<T>): Promise<T> {
  const prefix = `${scratchFolder}${randomBytes(8).toString("hex")}/`;
  let result: T;
  try {
    result = await work(prefix);
  } catch (error) {
    const problem = await empty(store, prefix);
    if (problem !== null) warn(`what was written under "${prefix}" could not be removed: ${problem.message}`);
    throw error;
  }
  const problem = await empty(store, prefix);
  if (problem === null) return result;
  throw new ZferryError("store-failed", `what was written under "${prefix}" could not be removed: ${problem.message}`, {
    hint: `remove what is under "${prefix}" by hand, or let a lifecycle rule for "${scratchFolder}" do it`,
    cause: problem,
  });
}

/** @returns what is wrong, or null */
async function empty(store: Store, prefix: string): Promise<Error | null> {
  const signal = AbortSignal.timeout(cleanupTimeoutMs); // not the run's, which may be aborted
  let problem: Error | null = null;
  for (const work of [() => store.removeUnfinished(prefix, { signal }), () => removeObjects(store, prefix, signal)]) {
    try {
      await work();
    } catch (error) {
      problem ??= error instanceof Error ? error : new Error(String(error)); // the other one may work
    }
  }
  return problem;
}

async function removeObjects(store: Store, prefix: string, signal: AbortSignal): Promise<void> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, { signal })) keys.push(key);
  if (keys.length > 0) await store.delete(keys, { signal });
}
