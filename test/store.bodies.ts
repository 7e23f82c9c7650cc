/**
 * What tests put into stores and how they look at it again.
 */
import { createHash } from "node:crypto";
import type { ByteSource } from "../src/bytes.ts";
import { gather } from "../src/bytes.ts";
import type { PutOptions, Store } from "../src/store/store.ts";

/** Never aborted. */
export const { signal } = new AbortController();
export const replace: PutOptions = { when: "replace", signal };
export const create: PutOptions = { when: "create", signal };

/** Bytes that differ at every place and between sizes, from a fixed seed. */
export function patternOf(sizeBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let state = (seed * 2654435761 + sizeBytes) >>> 0;
  for (let index = 0; index < sizeBytes; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** A body of pieces of one size, which records how it ended. */
export function bodyOf(bytes: Uint8Array, pieceBytes: number): { source: ByteSource; ended: () => string } {
  let ending = "open";
  async function* generate(): ByteSource {
    try {
      for (let offset = 0; offset < bytes.length; offset += pieceBytes) {
        await Promise.resolve();
        yield bytes.slice(offset, offset + pieceBytes);
      }
      ending = "exhausted";
    } finally {
      if (ending === "open") ending = "returned";
    }
  }
  return { source: generate(), ended: () => ending };
}

export async function read(
  store: Store,
  key: string,
  range?: { startBytes: number; endBytes: number },
): Promise<Buffer> {
  const source = store.get(key, range === undefined ? { signal } : { signal, range });
  return gather(source, Number.MAX_SAFE_INTEGER, () => new Error("endless"));
}

/** Everything a source has to give. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

export async function keysOf(store: Store, prefix: string): Promise<string[]> {
  return (await collect(store.list(prefix, { signal }))).map(({ key }) => key);
}

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
