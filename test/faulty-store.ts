/**
 * A store that fails as told: a queue of faults per verb, each used once, and a check that every declared fault has
 * really happened (after kopia's `blobtesting`).
 */
import type { ByteSource } from "../src/bytes.ts";
import type { Store, StoredObject } from "../src/store/store.ts";

export type Verb = "put" | "get" | "head" | "list" | "delete";

export interface StoreFault {
  readonly error: Error;
  /**
   * `before`: nothing is done. `after`: done, but the caller hears only of the failure. A number: a `get` fails after so
   * many bytes, a `list` after so many objects.
   */
  readonly when: "before" | "after" | number;
}

export interface FaultyStore extends Store {
  /** Calls that reached the store, faulty or not. */
  readonly calls: Verb[];
  fail(verb: Verb, fault: StoreFault, times?: number): void;
  /** Throws when a declared fault was never used. */
  assertAllFired(): void;
}

/** An error as the network layer throws it. */
export function networkError(code = "ECONNRESET"): Error {
  return Object.assign(new Error(`injected ${code}`), { code });
}

/** An error as the SDK throws it for a refusal of a service. */
export function serviceError(name: string, httpStatusCode: number): Error {
  return Object.assign(new Error("injected"), { name, $metadata: { httpStatusCode } });
}

export function faultyStore(inner: Store): FaultyStore {
  const faults = new Map<Verb, StoreFault[]>();
  const calls: Verb[] = [];
  const next = (verb: Verb): StoreFault | null => {
    calls.push(verb);
    return faults.get(verb)?.shift() ?? null;
  };
  const around = async <T>(verb: Verb, work: () => Promise<T>): Promise<T> => {
    const fault = next(verb);
    if (fault?.when === "before") throw fault.error;
    const result = await work();
    if (fault !== null) throw fault.error;
    return result;
  };
  return {
    url: inner.url,
    limits: inner.limits,
    calls,
    put: (key, body, options) => around("put", () => inner.put(key, body, options)),
    head: (key, options) => around("head", () => inner.head(key, options)),
    delete: (keys, options) => around("delete", () => inner.delete(keys, options)),
    listUnfinished: (prefix, options) => inner.listUnfinished(prefix, options),
    removeUnfinished: (prefix, options) => inner.removeUnfinished(prefix, options),
    get: (key, options) => brokenBytes(inner.get(key, options), next("get")),
    list: (prefix, options) => brokenList(inner.list(prefix, options), next("list")),
    close: () => inner.close(),
    fail: (verb, fault, times = 1) => {
      faults.set(verb, [...(faults.get(verb) ?? []), ...Array.from({ length: times }, () => fault)]);
    },
    assertAllFired: () => {
      const left = [...faults]
        .filter(([, queue]) => queue.length > 0)
        .map(([verb, queue]) => `${queue.length} of ${verb}`);
      if (left.length > 0) throw new Error(`these faults were never hit: ${left.join(", ")}`);
    },
  };
}

async function* brokenBytes(source: ByteSource, fault: StoreFault | null): ByteSource {
  if (fault?.when === "before") throw fault.error;
  let leftBytes = typeof fault?.when === "number" ? fault.when : Infinity;
  for await (const piece of source) {
    if (leftBytes > 0) yield piece.subarray(0, leftBytes);
    leftBytes -= piece.length;
    if (fault !== null && leftBytes <= 0) throw fault.error;
  }
  if (fault !== null) throw fault.error;
}

async function* brokenList(source: AsyncIterable<StoredObject>, fault: StoreFault | null): AsyncIterable<StoredObject> {
  if (fault?.when === "before") throw fault.error;
  let left = typeof fault?.when === "number" ? fault.when : Infinity;
  for await (const object of source) {
    if (left === 0 && fault !== null) throw fault.error;
    left -= 1;
    yield object;
  }
  if (fault !== null) throw fault.error;
}
