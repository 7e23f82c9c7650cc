/**
 * The contract of `src/store/store.ts`, sentence by sentence, for any store. A store is conformant when this passes; what
 * is particular to one is tested beside it in `test/store/`.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ByteSource } from "../src/bytes.ts";
import { isZferryError } from "../src/errors.ts";
import type { Store } from "../src/store/store.ts";
import { bodyOf, create, hashOf, keysOf, patternOf, read, replace, signal } from "./store.bodies.ts";
import { readingSuite } from "./store.suite-reading.ts";

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

      it.for([0, 1, partBytes, partBytes + 1])(
        "an object of %i bytes at hand comes back as it was",
        async (sizeBytes) => {
          const bytes = patternOf(sizeBytes);
          await store.put("k", bytes, replace);
          expect(hashOf(await read(store, "k"))).toBe(hashOf(bytes));
        },
      );

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

    describe("unfinished puts", () => {
      it("are listed by their own keys while they are under way, if at all, and no more when they have ended", async () => {
        const seen: string[] = [];
        async function* watched(): ByteSource {
          yield* bodyOf(patternOf(2 * partBytes + 1), 65_536).source;
          for (const { key } of await store.listUnfinished("a/", { signal })) seen.push(key);
        }
        await store.put("a/b", watched(), replace);
        expect(seen.filter((key) => key !== "a/b")).toEqual([]);
        expect(await store.listUnfinished("", { signal })).toEqual([]);
        expect(await store.removeUnfinished("", { signal })).toBe(0);
      });
    });

    describe("a put that fails", () => {
      it.for([0, 1, partBytes + 1, 2 * partBytes + 1])(
        "leaves nothing when its body throws after %i bytes",
        async (sizeBytes) => {
          async function* failing(): ByteSource {
            yield* bodyOf(patternOf(sizeBytes), 65_536).source;
            throw new Error("zfs send died");
          }
          await expect(store.put("k", failing(), replace)).rejects.toThrow("zfs send died");
          expect(await store.head("k", { signal })).toBeNull();
          expect(await keysOf(store, "")).toEqual([]);
        },
      );

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

      it.for([0, 1, partBytes + 1])(
        "is aborted after %i bytes with the signal's reason, its body returned",
        async (sizeBytes) => {
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
        },
      );

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

    readingSuite(() => store, options);

    it("tells its limits and its name, and may be closed twice", async () => {
      expect(store.limits.minPartBytes).toBeLessThanOrEqual(store.limits.maxPartBytes);
      expect(store.limits.minPartBytes).toBeLessThanOrEqual(store.limits.maxObjectBytes); // of parts of its own size, which may be small
      expect(store.url).not.toBe("");
      await store.close();
      await store.close();
      store = await options.open();
    });
  });
}
