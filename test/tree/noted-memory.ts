/** A store in memory that keeps notes, as buckets do, and can die at a write: then nothing more reaches it. */
import { gather, MiB } from "../../src/bytes.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { NotedObject, ObjectKey, PutOptions, StoredObject, UploadOptions } from "../../src/store/store.ts";

export class NotedMemory extends MemoryStore {
  /** `put KEY`, `upload KEY`, `delete KEY…`, in order. */
  readonly writes: string[] = [];
  /** How many objects were looked at for their notes. */
  lookCount = 0;
  /** Called before something is removed. */
  atDelete: () => void = () => undefined;
  #dieAt = Infinity;
  readonly #notes = new Map<ObjectKey, Readonly<Record<string, string>>>();

  /** The `count`-th write from now on is not done, and no request after it. */
  dieAt(count: number): void {
    this.#dieAt = this.writes.length + count;
  }

  revive(): void {
    this.#dieAt = Infinity;
  }

  override async put(key: ObjectKey, body: Parameters<MemoryStore["put"]>[1], options: PutOptions): Promise<StoredObject> {
    this.#write(`put ${key}`);
    return super.put(key, body, options);
  }

  override async delete(keys: readonly ObjectKey[], options: { readonly signal: AbortSignal }): Promise<void> {
    this.atDelete();
    options.signal.throwIfAborted();
    this.#write(`delete ${keys.join(" ")}`);
    await super.delete(keys, options);
  }

  async upload({ key, body, notes, signal }: UploadOptions): Promise<StoredObject> {
    const bytes = await gather(body, 64 * MiB, () => new Error("too large for a test"));
    this.#write(`upload ${key}`);
    this.#notes.set(key, notes);
    return super.put(key, bytes, { when: "replace", signal });
  }

  async noted(key: ObjectKey, options: { readonly signal: AbortSignal }): Promise<NotedObject | null> {
    this.lookCount += 1;
    const found = await this.head(key, options);
    return found === null ? null : { ...found, notes: this.#notes.get(key) ?? {} };
  }

  async keys(prefix = ""): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.list(prefix, { signal: new AbortController().signal })) keys.push(key);
    return keys;
  }

  #write(what: string): void {
    if (this.writes.length >= this.#dieAt - 1) {
      this.#dieAt = 0;
      throw new Error("killed");
    }
    this.writes.push(what);
  }
}
