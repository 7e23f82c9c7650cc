/**
 * The half of the contract that is about what is there: ranges, what is missing, delete, list, keys.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { gather } from "../src/bytes.ts";
import type { Store } from "../src/store/store.ts";
import { byBytes, collect, create, hashOf, keysOf, patternOf, read, replace, signal } from "./store.bodies.ts";

interface ReadingOptions {
  readonly partBytes: number;
  readonly listLength: number;
}

/** Called within the suite's `describe`, on the store of the running test. */
export function readingSuite(storeOf: () => Store, options: ReadingOptions): void {
  const { partBytes } = options;
  let store: Store;
  beforeEach(() => {
    store = storeOf();
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
    const odd = [
      "a b",
      "a!b",
      "a.b",
      "a/b",
      "a/b@c",
      "a/b:c",
      "a/é",
      "a/ｚ",
      "a/𝄞",
      "a@b/c",
      "a0",
      "A",
      "ü",
      "z&<>'+%25",
    ];

    it("gives every key in the order of its UTF-8 bytes, odd characters and all", async () => {
      for (const key of odd) await store.put(key, Buffer.from(key), create);
      expect(await keysOf(store, "")).toEqual([...odd].sort(byBytes));
      for (const key of odd) expect((await read(store, key)).toString()).toBe(key);
      await store.delete(odd, { signal });
      expect(await keysOf(store, "")).toEqual([]);
    });

    it.for(["", "a", "a/", "a/b", "a/b@", "a@", "b", "a/bx", "ü"])(
      "starts with %j, letter by letter",
      async (prefix) => {
        const keys = ["a/b", "a/b@c", "a/bc/d", "a@b/c", "ab", "b", "ü"];
        for (const key of keys) await store.put(key, Buffer.from("x"), replace);
        expect(await keysOf(store, prefix)).toEqual(keys.filter((key) => key.startsWith(prefix)).sort(byBytes));
      },
    );

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
    it.for([...rows, ["one of 1,025 bytes", "x".repeat(1025)]] as const)(
      "%s is none, for any verb",
      async ([, key]) => {
        const refused = { code: "store-failed" };
        await expect(store.put(key, Buffer.from("x"), replace)).rejects.toMatchObject(refused);
        await expect(store.head(key, { signal })).rejects.toMatchObject(refused);
        await expect(read(store, key)).rejects.toMatchObject(refused);
        await expect(store.delete([key], { signal })).rejects.toMatchObject(refused);
      },
    );
  });
}
