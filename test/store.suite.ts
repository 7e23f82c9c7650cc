/**
 * The contract of `src/store/store.ts`, sentence by sentence, for any store. A store is conformant when this passes; what
 * is particular to one is tested beside it in `test/store/`.
 */
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ByteSource } from "../src/bytes.ts";
import { gather } from "../src/bytes.ts";
import { isZferryError } from "../src/errors.ts";
import type { PutOptions, Store } from "../src/store/store.ts";

export interface SuiteOptions {
  /** A store without objects. Closed by the suite. */
  readonly open: () => Promise<Store>;
  /** Size of a part, for a store that has them: sizes around it and twice it are tried. */
  readonly partBytes: number;
  /** How many objects the test of long listings makes; over 1,000 where that is cheap. */
  readonly listLength: number;
  /** What is left behind of unfinished puts, as names; empty is right. */
  readonly leftovers: (store: Store) => Promise<readonly string[]>;
}

const { signal } = new AbortController();
const replace: PutOptions = { when: "replace", signal };
const create: PutOptions = { when: "create", signal };

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
function bodyOf(bytes: Uint8Array, pieceBytes: number): { source: ByteSource; ended: () => string } {
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

async function read(store: Store, key: string, range?: { startBytes: number; endBytes: number }): Promise<Buffer> {
  const source = store.get(key, range === undefined ? { signal } : { signal, range });
  return gather(source, Number.MAX_SAFE_INTEGER, () => new Error("endless"));
}

/** Everything a source has to give. */
export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

async function keysOf(store: Store, prefix: string): Promise<string[]> {
  return (await collect(store.list(prefix, { signal }))).map(({ key }) => key);
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}

export function storeSuite(name: string, options: SuiteOptions): void {
  describe(`${name} keeps the contract of a store`, () => {
    const { partBytes } = options;
    let store: Store;
    beforeEach(async () => {
      store = await options.open();
    });
    afterEach(async () => {
      expect(await options.leftovers(store)).toEqual([]);
      await store.close();
    });

    describe("put and get", () => {
      const around = [partBytes - 1, partBytes, partBytes + 1, 2 * partBytes - 1, 2 * partBytes, 2 * partBytes + 1];
      it.for([0, 1, ...around])("a streamed object of %i bytes comes back as it was", async (sizeBytes) => {
        const bytes = patternOf(sizeBytes);
        const { source, ended } = bodyOf(bytes, 65_521);
        const put = await store.put("a/b", source, replace);
        expect(ended()).toBe("exhausted");
        expect(put).toMatchObject({ key: "a/b", sizeBytes });
        expect(hashOf(await read(store, "a/b"))).toBe(hashOf(bytes));
        expect(await store.head("a/b", { signal })).toMatchObject({ key: "a/b", sizeBytes, etag: put.etag });
      });

      it.for([0, 1, partBytes, partBytes + 1])("an object of %i bytes at hand comes back as it was", async (sizeBytes) => {
        const bytes = patternOf(sizeBytes);
        await store.put("k", bytes, replace);
        expect(hashOf(await read(store, "k"))).toBe(hashOf(bytes));
      });

      it.for([1, 7, 4093])("pieces of %i bytes make the same object as one piece", async (pieceBytes) => {
        const bytes = patternOf(pieceBytes === 1 ? 3000 : 50_000);
        await store.put("k", bodyOf(bytes, pieceBytes).source, replace);
        expect(hashOf(await read(store, "k"))).toBe(hashOf(bytes));
      });

      it("empty pieces add nothing", async () => {
        await store.put("k", bodyOf(Buffer.from("xyz"), 1).source, replace);
        async function* withGaps(): ByteSource {
          await Promise.resolve();
          for (const text of ["", "x", "", "", "yz", ""]) yield Buffer.from(text);
        }
        await store.put("k", withGaps(), replace);
        expect((await read(store, "k")).toString()).toBe("xyz");
      });

      it("reports every stored byte once", async () => {
        let storedBytes = 0;
        const count = (bytes: number): void => {
          storedBytes += bytes;
        };
        await store.put("k", bodyOf(patternOf(partBytes + 1), 65_536).source, { ...replace, onStored: count });
        await store.put("j", patternOf(17), { ...replace, onStored: count });
        expect(storedBytes).toBe(partBytes + 1 + 17);
      });

      it("a later put replaces the object and its etag", async () => {
        const first = await store.put("k", Buffer.from("one"), replace);
        const second = await store.put("k", Buffer.from("two!"), replace);
        expect(second.etag).not.toBe(first.etag);
        expect((await read(store, "k")).toString()).toBe("two!");
        expect(await store.head("k", { signal })).toMatchObject({ sizeBytes: 4, etag: second.etag });
      });

      it("says when an object became visible", async () => {
        const earliest = Date.now() - 5000;
        await store.put("k", Buffer.from("now"), replace);
        const found = await store.head("k", { signal });
        expect(found?.modifiedAt.getTime()).toBeGreaterThan(earliest);
        expect(found?.modifiedAt.getTime()).toBeLessThan(Date.now() + 5000);
      });
    });

    describe("a put that fails", () => {
      it.for([0, 1, partBytes + 1, 2 * partBytes + 1])("leaves nothing when its body throws after %i bytes", async (sizeBytes) => {
        async function* failing(): ByteSource {
          yield* bodyOf(patternOf(sizeBytes), 65_536).source;
          throw new Error("zfs send died");
        }
        await expect(store.put("k", failing(), replace)).rejects.toThrow("zfs send died");
        expect(await store.head("k", { signal })).toBeNull();
        expect(await keysOf(store, "")).toEqual([]);
      });

      it("leaves the object that was there", async () => {
        await store.put("k", Buffer.from("old"), replace);
        async function* failing(): ByteSource {
          yield Buffer.from("new");
          await Promise.resolve();
          throw new Error("late");
        }
        await expect(store.put("k", failing(), replace)).rejects.toThrow("late");
        expect((await read(store, "k")).toString()).toBe("old");
      });

      it.for([0, 1, partBytes + 1])("is aborted after %i bytes with the signal's reason, its body returned", async (sizeBytes) => {
        const controller = new AbortController();
        let isReturned = false;
        async function* endless(): ByteSource {
          try {
            if (sizeBytes > 0) yield patternOf(sizeBytes);
            controller.abort(new Error("enough"));
            for (;;) {
              await Promise.resolve();
              yield patternOf(1000);
            }
          } finally {
            isReturned = true;
          }
        }
        const put = store.put("k", endless(), { when: "replace", signal: controller.signal });
        await expect(put).rejects.toThrow("enough");
        expect(isReturned).toBe(true);
        expect(await store.head("k", { signal })).toBeNull();
      });

      it("is aborted while its body has nothing to say", async () => {
        const controller = new AbortController();
        async function* silent(): ByteSource {
          yield patternOf(10);
          setTimeout(() => {
            controller.abort(new Error("enough"));
          }, 20);
          await new Promise(() => undefined);
        }
        const put = store.put("k", silent(), { when: "replace", signal: controller.signal });
        await expect(put).rejects.toThrow("enough");
        expect(await store.head("k", { signal })).toBeNull();
      });
    });

    describe("conditions", () => {
      it("create makes an object that is not there and refuses one that is", async () => {
        await store.put("k", Buffer.from("first"), create);
        await expect(store.put("k", Buffer.from("second"), create)).rejects.toMatchObject({ code: "object-exists" });
        expect((await read(store, "k")).toString()).toBe("first");
      });

      it("create refuses a streamed object of several parts, too", async () => {
        await store.put("k", Buffer.from("first"), create);
        const { source } = bodyOf(patternOf(partBytes + 1), 65_536);
        await expect(store.put("k", source, create)).rejects.toMatchObject({ code: "object-exists" });
        expect((await read(store, "k")).toString()).toBe("first");
      });

      it("of eight that race to create exactly one wins, and its bytes are there", async () => {
        const bodies = Array.from({ length: 8 }, (_, index) => Buffer.from(`writer ${index}`));
        const results = await Promise.allSettled(bodies.map((body) => store.put("k", body, create)));
        const winners = results.flatMap((result, index) => (result.status === "fulfilled" ? [index] : []));
        expect(winners).toHaveLength(1);
        for (const result of results) {
          if (result.status === "rejected") expect(isZferryError(result.reason, "object-exists")).toBe(true);
        }
        expect((await read(store, "k")).toString()).toBe(`writer ${winners[0] ?? -1}`);
      });

      it("an etag replaces only that version", async () => {
        const first = await store.put("k", Buffer.from("one"), replace);
        const second = await store.put("k", Buffer.from("two"), { when: { etag: first.etag }, signal });
        const stale = store.put("k", Buffer.from("three"), { when: { etag: first.etag }, signal });
        await expect(stale).rejects.toMatchObject({ code: "object-exists" });
        expect((await read(store, "k")).toString()).toBe("two");
        await store.put("k", Buffer.from("four"), { when: { etag: second.etag }, signal });
        expect((await read(store, "k")).toString()).toBe("four");
      });

      it("an etag refuses a key that is not there", async () => {
        const gone = store.put("k", Buffer.from("x"), { when: { etag: "0123456789abcdef0123456789abcdef" }, signal });
        await expect(gone).rejects.toMatchObject({ code: "object-exists" });
        expect(await store.head("k", { signal })).toBeNull();
      });

      it("of eight that race to replace one version exactly one wins", async () => {
        const { etag } = await store.put("k", Buffer.from("start"), replace);
        const racers = Array.from({ length: 8 }, (_, index) =>
          store.put("k", Buffer.from(`writer ${index}`), { when: { etag }, signal }),
        );
        const results = await Promise.allSettled(racers);
        expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      });
    });

    describe("ranges", () => {
      const sizeBytes = 100_000;
      const bytes = patternOf(sizeBytes);
      it.for([
        ["all of it", 0, sizeBytes],
        ["the first byte", 0, 1],
        ["the last byte", sizeBytes - 1, sizeBytes],
        ["a middle across pieces", 65_535, 65_538],
        ["nothing", 5, 5],
        ["nothing at the end", sizeBytes, sizeBytes],
      ] as const)("get yields %s", async ([, startBytes, endBytes]) => {
        await store.put("k", bytes, replace);
        const piece = await read(store, "k", { startBytes, endBytes });
        expect(piece.equals(bytes.subarray(startBytes, endBytes))).toBe(true);
      });

      it.for([
        [0, sizeBytes + 1],
        [sizeBytes, sizeBytes + 1],
        [sizeBytes + 5, sizeBytes + 5],
      ] as const)("get refuses bytes %i to %i, which are not all there", async ([startBytes, endBytes]) => {
        await store.put("k", bytes, replace);
        await expect(read(store, "k", { startBytes, endBytes })).rejects.toMatchObject({ code: "store-failed" });
      });

      it("get names the object before its first byte", async () => {
        const put = await store.put("k", bytes, replace);
        const seen: string[] = [];
        const source = store.get("k", { signal, onFound: ({ etag, sizeBytes: size }) => seen.push(etag, String(size)) });
        for await (const piece of source) seen.push(piece.length > 0 ? "bytes" : "nothing");
        expect(seen.slice(0, 3)).toEqual([put.etag, String(sizeBytes), "bytes"]);
      });

      it("get of one version refuses another", async () => {
        const { etag } = await store.put("k", Buffer.from("one"), replace);
        await store.put("k", Buffer.from("two"), replace);
        const source = store.get("k", { signal, etag });
        await expect(gather(source, 10, () => new Error("long"))).rejects.toMatchObject({ code: "store-failed" });
      });

      it("get can be left early, and the store goes on", async () => {
        const large = patternOf(partBytes + 1);
        await store.put("k", large, replace);
        for (let round = 0; round < 3; round += 1) {
          for await (const piece of store.get("k", { signal })) {
            expect(piece.length).toBeGreaterThan(0);
            break;
          }
        }
        expect(hashOf(await read(store, "k"))).toBe(hashOf(large));
      });

      it("get stops with the signal's reason", async () => {
        await store.put("k", patternOf(2 ** 20), replace);
        const controller = new AbortController();
        const reading = async (): Promise<void> => {
          for await (const piece of store.get("k", { signal: controller.signal })) {
            if (piece.length > 0) controller.abort(new Error("enough"));
          }
        };
        await expect(reading()).rejects.toThrow("enough");
      });
    });

    describe("what is not there", () => {
      it("head says null", async () => {
        expect(await store.head("nowhere/at/all", { signal })).toBeNull();
      });

      it("get throws object-missing, for a range as well", async () => {
        await expect(read(store, "nowhere")).rejects.toMatchObject({ code: "object-missing" });
        const range = { startBytes: 0, endBytes: 1 };
        await expect(read(store, "nowhere", range)).rejects.toMatchObject({ code: "object-missing" });
        await expect(read(store, "nowhere", { startBytes: 0, endBytes: 0 })).rejects.toMatchObject({
          code: "object-missing",
        });
      });

      it("delete is content, and does not touch the neighbours", async () => {
        await store.put("a/b", Buffer.from("x"), replace);
        await store.delete(["a", "a/c", "nowhere/at/all"], { signal });
        await store.delete([], { signal });
        expect(await keysOf(store, "")).toEqual(["a/b"]);
      });

      it("every verb throws the reason of a signal aborted before", async () => {
        const aborted = AbortSignal.abort(new Error("too late"));
        await expect(store.put("k", Buffer.from("x"), { when: "replace", signal: aborted })).rejects.toThrow("too late");
        await expect(store.head("k", { signal: aborted })).rejects.toThrow("too late");
        await expect(gather(store.get("k", { signal: aborted }), 1, () => new Error("long"))).rejects.toThrow("too late");
        await expect(collect(store.list("", { signal: aborted }))).rejects.toThrow("too late");
        await expect(store.delete(["k"], { signal: aborted })).rejects.toThrow("too late");
      });
    });

    describe("delete", () => {
      it("removes what it is given, at once for everyone, and may be repeated", async () => {
        for (const key of ["a/1", "a/2", "b/1"]) await store.put(key, Buffer.from(key), replace);
        await store.delete(["a/1", "b/1"], { signal });
        expect(await keysOf(store, "")).toEqual(["a/2"]);
        expect(await store.head("a/1", { signal })).toBeNull();
        await store.delete(["a/1", "b/1"], { signal });
        await store.put("a/1", Buffer.from("again"), create);
        expect(await keysOf(store, "")).toEqual(["a/1", "a/2"]);
      });
    });

    describe("list", () => {
      const odd = ["a b", "a!b", "a.b", "a/b", "a/b@c", "a/b:c", "a/é", "a/ｚ", "a/𝄞", "a@b/c", "a0", "A", "ü", "z&<>'+%25"];

      it("gives every key in the order of its UTF-8 bytes, odd characters and all", async () => {
        for (const key of odd) await store.put(key, Buffer.from(key), create);
        expect(await keysOf(store, "")).toEqual([...odd].sort(byBytes));
        for (const key of odd) expect((await read(store, key)).toString()).toBe(key);
        await store.delete(odd, { signal });
        expect(await keysOf(store, "")).toEqual([]);
      });

      it.for(["", "a", "a/", "a/b", "a/b@", "a@", "b", "a/bx", "ü"])("starts with %j, letter by letter", async (prefix) => {
        const keys = ["a/b", "a/b@c", "a/bc/d", "a@b/c", "ab", "b", "ü"];
        for (const key of keys) await store.put(key, Buffer.from("x"), replace);
        expect(await keysOf(store, prefix)).toEqual(keys.filter((key) => key.startsWith(prefix)).sort(byBytes));
      });

      it("says of each object what head says", async () => {
        await store.put("a/b", patternOf(1234), replace);
        const [listed] = await collect(store.list("a/", { signal }));
        const found = await store.head("a/b", { signal });
        expect(listed).toMatchObject({ key: "a/b", sizeBytes: 1234, etag: found?.etag });
      });

      it("can begin behind a key, there or not", async () => {
        for (const key of ["a", "b/1", "b/2", "c"]) await store.put(key, Buffer.from("x"), replace);
        const after = async (key: string): Promise<string[]> =>
          (await collect(store.list("", { signal, after: key }))).map((object) => object.key);
        expect(await after("b/1")).toEqual(["b/2", "c"]);
        expect(await after("b/15")).toEqual(["b/2", "c"]);
        expect(await after("c")).toEqual([]);
      });

      it(`gives ${options.listLength} keys, each once`, async () => {
        const keys = Array.from({ length: options.listLength }, (_, index) => `n/${String(index).padStart(5, "0")}`);
        for (let start = 0; start < keys.length; start += 16) {
          await Promise.all(keys.slice(start, start + 16).map((key) => store.put(key, Buffer.from("x"), replace)));
        }
        expect(await keysOf(store, "n/")).toEqual(keys);
        await store.delete(keys, { signal });
        expect(await keysOf(store, "")).toEqual([]);
      });
    });

    describe("keys", () => {
      const bad = ["", "/a", "a/", "a//b", ".", "a/..", "../a", "a/./b", "a\0b", "a\nb", "\ud800"];
      const rows = bad.map((key): [string, string] => [JSON.stringify(key), key]);
      it.for([...rows, ["one of 1,025 bytes", "x".repeat(1025)]] as const)("%s is none, for any verb", async ([, key]) => {
        const refused = { code: "store-failed" };
        await expect(store.put(key, Buffer.from("x"), replace)).rejects.toMatchObject(refused);
        await expect(store.head(key, { signal })).rejects.toMatchObject(refused);
        await expect(read(store, key)).rejects.toMatchObject(refused);
        await expect(store.delete([key], { signal })).rejects.toMatchObject(refused);
      });
    });

    it("tells its limits and its name, and may be closed twice", async () => {
      expect(store.limits.minPartBytes).toBeLessThanOrEqual(store.limits.maxPartBytes);
      expect(store.limits.maxPartBytes).toBeLessThanOrEqual(store.limits.maxObjectBytes);
      expect(store.url).not.toBe("");
      await store.close();
      await store.close();
      store = await options.open();
    });
  });
}
