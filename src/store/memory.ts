/**
 * A store in this process's memory, for tests and for trying things out. It keeps the contract to the letter, and its
 * own promise besides: nothing it holds or hands out is ever changed under the feet of a caller.
 */
import type { ByteSource } from "../bytes.ts";
import { KiB, TiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { pull } from "./abort.ts";
import { checkKey, compareKeys } from "./keys.ts";
import { checkedRange, objectExists, objectMissing, objectReplaced } from "./outcomes.ts";
import type { GetOptions, ListOptions, ObjectKey, PutOptions, Store, StoredObject, StoreLimits, UnfinishedPut } from "./store.ts";

/** Nothing outside limits these stores; 4 KiB keeps tests of every boundary small. */
export const embeddedLimits: StoreLimits = {
  minPartBytes: 4 * KiB,
  maxPartBytes: 8 * TiB,
  maxPartCount: Number.MAX_SAFE_INTEGER,
  maxObjectBytes: 8 * TiB,
  sameKeySpacingMs: 0,
};

/** What a get yields at once. */
const pieceBytes = 64 * KiB;

interface Held extends StoredObject {
  readonly bytes: Uint8Array;
}

export class MemoryStore implements Store {
  readonly url = "memory:";
  readonly limits = embeddedLimits;
  readonly #objects = new Map<ObjectKey, Held>();
  #versionCount = 0;

  async put(key: ObjectKey, body: Uint8Array | ByteSource, options: PutOptions): Promise<StoredObject> {
    checkKey(key);
    const bytes = await collect(body, options);
    options.signal.throwIfAborted();
    const taken = this.#objects.get(key);
    const free =
      options.when === "replace" ||
      (options.when === "create" ? taken === undefined : taken?.etag === options.when.etag);
    if (!free) throw objectExists(key, this.url, options.when);
    this.#versionCount += 1;
    const held = { key, sizeBytes: bytes.length, modifiedAt: new Date(), etag: `v${this.#versionCount}`, bytes };
    this.#objects.set(key, held);
    if (bytes.length > 0) options.onStored?.(bytes.length);
    return seen(held);
  }

  async *get(key: ObjectKey, options: GetOptions): ByteSource {
    await this.#settle(options.signal);
    checkKey(key);
    const held = this.#objects.get(key);
    if (held === undefined) throw objectMissing(key, this.url);
    if (options.etag !== undefined && options.etag !== held.etag) throw objectReplaced(key, this.url);
    const { startBytes, endBytes } = checkedRange(seen(held), options.range);
    options.onFound?.(seen(held));
    for (let offset = startBytes; offset < endBytes; offset += pieceBytes) {
      options.signal.throwIfAborted();
      yield held.bytes.slice(offset, Math.min(endBytes, offset + pieceBytes));
    }
  }

  async head(key: ObjectKey, { signal }: { readonly signal: AbortSignal }): Promise<StoredObject | null> {
    await this.#settle(signal);
    checkKey(key);
    const held = this.#objects.get(key);
    return held === undefined ? null : seen(held);
  }

  async *list(prefix: string, { signal, after }: ListOptions): AsyncGenerator<StoredObject, void> {
    await this.#settle(signal);
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort(compareKeys);
    for (const key of keys) {
      signal.throwIfAborted();
      const held = this.#objects.get(key);
      if (held !== undefined && (after === undefined || compareKeys(key, after) > 0)) yield seen(held);
    }
  }

  async delete(keys: readonly ObjectKey[], { signal }: { readonly signal: AbortSignal }): Promise<void> {
    await this.#settle(signal);
    keys.forEach(checkKey);
    for (const key of keys) this.#objects.delete(key);
  }

  /** A put that was cut off left nothing. */
  listUnfinished(): Promise<readonly UnfinishedPut[]> {
    return Promise.resolve([]);
  }

  removeUnfinished(): Promise<number> {
    return Promise.resolve(0);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Lets others run, as a store that has to wait for something would. */
  async #settle(signal: AbortSignal): Promise<void> {
    await Promise.resolve();
    signal.throwIfAborted();
  }
}

function seen({ key, sizeBytes, modifiedAt, etag }: Held): StoredObject {
  return { key, sizeBytes, modifiedAt, etag };
}

async function collect(body: Uint8Array | ByteSource, { signal }: PutOptions): Promise<Uint8Array> {
  // Not `slice`, which for a Buffer is a view.
  if (body instanceof Uint8Array) return new Uint8Array(body);
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of pull(body, signal)) {
    sizeBytes += piece.length;
    if (sizeBytes > embeddedLimits.maxObjectBytes) throw new ZferryError("store-full", "the body is too large");
    pieces.push(new Uint8Array(piece)); // a body is only lent
  }
  const bytes = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}
