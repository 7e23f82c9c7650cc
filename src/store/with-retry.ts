/**
 * A store that does not give up at the first failure. Whatever can be said twice is said again: `head`, `list`,
 * `delete`, a put of bytes at hand, and a get from the byte where it broke. A streamed body cannot be replayed, so that
 * put is passed on once; the `s3` store retries its parts itself, by the same policy.
 */
import type { ByteSource } from "../bytes.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import type { RetryOptions, RetryPolicy } from "./retry.ts";
import { retry } from "./retry.ts";
import type { ByteRange, GetOptions, ListOptions, ObjectKey, PutOptions, Store, StoredObject } from "./store.ts";

/** Wraps a store. Closing the wrapper closes the store. */
export function withRetry(store: Store, policy: RetryPolicy): Store {
  const rules = store.rules?.bind(store);
  const lockOf = store.lockOf?.bind(store);
  const upload = store.upload?.bind(store);
  const noted = store.noted?.bind(store);
  return {
    ...(rules === undefined ? {} : { rules: (options) => retry(() => rules(options), { what: "reading the bucket's rules", policy, signal: options.signal }) }),
    ...(lockOf === undefined
      ? {}
      : { lockOf: (key, options) => retry(() => lockOf(key, options), { what: `reading the lock of "${key}"`, policy, signal: options.signal }) }),
    ...(upload === undefined ? {} : { upload }),
    ...(noted === undefined ? {} : { noted: (key, options) => retry(() => noted(key, options), { what: `looking for "${key}"`, policy, signal: options.signal }) }),
    url: store.url,
    limits: store.limits,
    put: (key, body, options) =>
      body instanceof Uint8Array ? putBytes(store, key, body, { ...options, policy }) : store.put(key, body, options),
    get: (key, options) => getOn(store, key, options, policy),
    head: (key, options) =>
      retry(() => store.head(key, options), { what: `looking for "${key}"`, policy, signal: options.signal }),
    list: (prefix, options) => listOn(store, prefix, options, policy),
    delete: (keys, options) =>
      retry(() => store.delete(keys, options), {
        what: `deleting ${keys.length} objects`,
        policy,
        signal: options.signal,
      }),
    listUnfinished: (prefix, options) =>
      retry(() => store.listUnfinished(prefix, options), {
        what: `looking for unfinished uploads under "${prefix}"`,
        policy,
        signal: options.signal,
      }),
    removeUnfinished: (prefix, options) =>
      retry(() => store.removeUnfinished(prefix, options), {
        what: `removing unfinished uploads under "${prefix}"`,
        policy,
        signal: options.signal,
      }),
    close: () => store.close(),
  };
}

interface PutBytesOptions extends PutOptions {
  readonly policy: RetryPolicy;
}

/**
 * Puts bytes at hand, as often as it takes. A conditional put that is refused after an earlier try failed may have been
 * refused because of that very try (its reply was lost): reading back decides, the same bytes are success.
 */
export async function putBytes(
  store: Pick<Store, "put" | "get" | "head">,
  key: ObjectKey,
  body: Uint8Array,
  { policy, onStored, ...options }: PutBytesOptions,
): Promise<StoredObject> {
  const report = onlyOnce(onStored);
  return retry(
    async (attempt) => {
      try {
        return await store.put(key, body, { ...options, onStored: report(attempt) });
      } catch (error) {
        if (attempt === 1 || !isZferryError(error, "object-exists")) throw error;
        const found = await sameBytes(store, key, body, options.signal);
        if (found === null) throw error;
        return found;
      }
    },
    { what: `putting "${key}"`, policy, signal: options.signal },
  );
}

/** Progress of a put that may start over: each byte is reported once. */
function onlyOnce(onStored: PutOptions["onStored"]): (attempt: number) => (bytes: number) => void {
  let reportedBytes = 0;
  return () => {
    let storedBytes = 0;
    return (bytes) => {
      storedBytes += bytes;
      if (storedBytes <= reportedBytes) return;
      onStored?.(storedBytes - reportedBytes);
      reportedBytes = storedBytes;
    };
  };
}

/** The object under `key` if it is exactly these bytes, otherwise null. */
async function sameBytes(
  store: Pick<Store, "get" | "head">,
  key: ObjectKey,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<StoredObject | null> {
  const found = await store.head(key, { signal });
  if (found?.sizeBytes !== body.length) return null;
  let offset = 0;
  for await (const piece of store.get(key, { signal, etag: found.etag })) {
    if (Buffer.compare(piece, body.subarray(offset, offset + piece.length)) !== 0) return null;
    offset += piece.length;
  }
  return found;
}

/** Reads on at the byte where a reply broke, of the same version; every byte that came renews the budget. */
async function* getOn(store: Store, key: ObjectKey, options: GetOptions, policy: RetryPolicy): ByteSource {
  let version: StoredObject | null = null;
  let doneBytes = 0;
  let range: ByteRange | undefined = options.range;
  const begin = (): ByteSource =>
    store.get(key, {
      ...options,
      ...(range === undefined ? {} : { range }),
      ...(version === null ? {} : { etag: version.etag }),
      onFound: (found) => {
        if (version === null) options.onFound?.(found);
        version ??= found;
      },
    });
  const advance = (piece: Uint8Array): void => {
    doneBytes += piece.length;
    if (version === null) throw new ZferryError("bug", "a store yielded bytes before it called onFound");
    const { startBytes, endBytes } = options.range ?? { startBytes: 0, endBytes: version.sizeBytes };
    range = { startBytes: startBytes + doneBytes, endBytes };
  };
  const finished = (): boolean => doneBytes > 0 && range?.startBytes === range?.endBytes;
  yield* continued({ begin, advance, finished }, { what: `reading "${key}"`, policy, signal: options.signal });
}

/** Every page that came renews the budget; after a break it goes on behind the last key that was yielded. */
async function* listOn(
  store: Store,
  prefix: string,
  options: ListOptions,
  policy: RetryPolicy,
): AsyncGenerator<StoredObject, void> {
  let after = options.after;
  const begin = (): AsyncIterable<StoredObject> =>
    store.list(prefix, { ...options, ...(after === undefined ? {} : { after }) });
  const advance = (object: StoredObject): void => {
    after = object.key;
  };
  yield* continued(
    { begin, advance, finished: () => false },
    { what: `listing "${prefix}"`, policy, signal: options.signal },
  );
}

interface Continuable<T> {
  /** Starts where `advance` has got to. */
  begin(): AsyncIterable<T>;
  advance(item: T): void;
  /** Nothing is missing although the end was not seen. */
  finished(): boolean;
}

/** Each step is an operation of its own with a budget of its own; a step that failed begins anew behind the last. */
async function* continued<T>(work: Continuable<T>, options: RetryOptions): AsyncGenerator<T, void> {
  let iterator = work.begin()[Symbol.asyncIterator]();
  const step = async (attempt: number): Promise<IteratorResult<T, unknown>> => {
    if (attempt > 1 && work.finished()) return { done: true, value: undefined };
    if (attempt > 1) iterator = work.begin()[Symbol.asyncIterator]();
    return iterator.next();
  };
  try {
    for (;;) {
      const result = await retry(step, options);
      if (result.done === true) return;
      work.advance(result.value);
      yield result.value;
    }
  } finally {
    await iterator.return?.();
  }
}
