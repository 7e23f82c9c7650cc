import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { gather } from "../../src/bytes.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { GetOptions, Store } from "../../src/store/store.ts";
import { withRetry } from "../../src/store/with-retry.ts";
import type { FaultyStore, StoreFault } from "../faulty-store.ts";
import { faultyStore, networkError, serviceError } from "../faulty-store.ts";
import { collect, patternOf } from "../store.bodies.ts";
import { impatient } from "./s3-bench.ts";

const { signal } = new AbortController();
const bytes = patternOf(200_000);

describe("a store behind retries", () => {
  let memory: MemoryStore;
  let faulty: FaultyStore;
  let policy: ReturnType<typeof impatient>;
  let store: Store;
  beforeEach(() => {
    memory = new MemoryStore();
    faulty = faultyStore(memory);
    policy = impatient();
    store = withRetry(faulty, policy);
  });
  afterEach(() => {
    faulty.assertAllFired();
  });

  const reset = (when: StoreFault["when"]): StoreFault => ({ when, error: networkError() });
  const read = (options: Partial<GetOptions> = {}): Promise<Buffer> =>
    gather(store.get("k", { signal, ...options }), bytes.length, () => new Error("long"));

  it("looks, lists, deletes and puts again when that failed, with or without effect", async () => {
    faulty.fail("put", reset("before"));
    faulty.fail("put", reset("after"), 2);
    await store.put("k", bytes, { when: "replace", signal });
    faulty.fail("head", reset("before"), 3);
    expect(await store.head("k", { signal })).toMatchObject({ sizeBytes: bytes.length });
    faulty.fail("delete", reset("after"), 2);
    await store.delete(["k"], { signal });
    faulty.fail("list", reset("before"), 2);
    expect(await collect(store.list("", { signal }))).toEqual([]);
    expect(policy.notices).toHaveLength(10);
    expect(new Set(policy.notices.map(({ what }) => what))).toEqual(
      new Set(['putting "k"', 'looking for "k"', "deleting 1 objects", 'listing ""']),
    );
  });

  it("reports progress of a put that started over once", async () => {
    faulty.fail("put", reset("after"), 2);
    const reported: number[] = [];
    await store.put("k", bytes, { when: "replace", signal, onStored: (count) => reported.push(count) });
    expect(reported).toEqual([bytes.length]);
  });

  it("passes a streamed put on once, and its failure as it is", async () => {
    const fault = reset("before");
    faulty.fail("put", fault);
    async function* body(): AsyncGenerator<Uint8Array> {
      await Promise.resolve();
      yield bytes;
    }
    await expect(store.put("k", body(), { when: "replace", signal })).rejects.toBe(fault.error);
    expect(faulty.calls).toEqual(["put"]);
  });

  it.for([0, 1, 65_535, 65_536, 65_537, 199_999])("reads on after a break at byte %i", async (at) => {
    await memory.put("k", bytes, { when: "replace", signal });
    faulty.fail("get", reset(at));
    faulty.fail("get", reset("before"), 2);
    faulty.fail("get", reset(1));
    expect((await read()).equals(bytes)).toBe(true);
  });

  it("is content when the break came behind the last byte", async () => {
    await memory.put("k", bytes, { when: "replace", signal });
    faulty.fail("get", reset("after"));
    expect((await read()).equals(bytes)).toBe(true);
    expect(faulty.calls).toEqual(["get"]);
  });

  it("reads on within a range", async () => {
    await memory.put("k", bytes, { when: "replace", signal });
    faulty.fail("get", reset(70_000));
    faulty.fail("get", reset(30_000));
    const range = { startBytes: 10_000, endBytes: 190_000 };
    expect((await read({ range })).equals(bytes.subarray(10_000, 190_000))).toBe(true);
  });

  it("names the object once, although it began to read it twice", async () => {
    await memory.put("k", bytes, { when: "replace", signal });
    faulty.fail("get", reset(100));
    const found: number[] = [];
    await read({ onFound: ({ sizeBytes }) => found.push(sizeBytes) });
    expect(found).toEqual([bytes.length]);
  });

  it("does not splice two versions", async () => {
    await memory.put("k", bytes, { when: "replace", signal });
    faulty.fail("get", reset(65_536));
    const reading = async (): Promise<void> => {
      for await (const piece of store.get("k", { signal })) {
        if (piece.length > 0) await memory.put("k", patternOf(200_000, 2), { when: "replace", signal });
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: "store-failed" });
  });

  it("renews its patience with every byte that comes", async () => {
    await memory.put("k", bytes, { when: "replace", signal });
    const short = withRetry(faulty, impatient({ budgetMs: 300 }));
    faulty.fail("get", reset(10_000), 19);
    const got = await gather(short.get("k", { signal }), bytes.length, () => new Error("long"));
    expect(got.equals(bytes)).toBe(true);
  });

  it("lists on behind the last key after breaks", async () => {
    const keys = Array.from({ length: 50 }, (_, index) => `k${String(index).padStart(2, "0")}`);
    for (const key of keys) await memory.put(key, Buffer.from(key), { when: "replace", signal });
    for (const at of [0, 7, 1, 30]) faulty.fail("list", reset(at));
    expect((await collect(store.list("k", { signal }))).map(({ key }) => key)).toEqual(keys);
  });

  it("takes a create that was refused after a lost reply for done, if the bytes are its own", async () => {
    faulty.fail("put", reset("after"));
    const put = await store.put("k", bytes, { when: "create", signal });
    expect(put).toEqual(await memory.head("k", { signal }));
  });

  it("does so for the replacement of a version", async () => {
    const { etag } = await memory.put("k", Buffer.from("old"), { when: "replace", signal });
    faulty.fail("put", reset("after"));
    await store.put("k", bytes, { when: { etag }, signal });
    expect((await read()).equals(bytes)).toBe(true);
  });

  it.for([
    ["others of the same length", patternOf(bytes.length, 2)],
    ["fewer", bytes.subarray(1)],
  ] as const)("refuses a create after a lost reply when there are %s", async ([, theirs]) => {
    await memory.put("k", theirs, { when: "replace", signal });
    faulty.fail("put", reset("before"));
    await expect(store.put("k", bytes, { when: "create", signal })).rejects.toMatchObject({ code: "object-exists" });
  });

  it("refuses a create at once when no earlier try can have made the object, even with the same bytes", async () => {
    await memory.put("k", bytes, { when: "replace", signal });
    await expect(store.put("k", bytes, { when: "create", signal })).rejects.toMatchObject({ code: "object-exists" });
    expect(faulty.calls).toEqual(["put"]);
  });

  it("never tries again what was refused", async () => {
    faulty.fail("head", { when: "before", error: serviceError("AccessDenied", 403) });
    await expect(store.head("k", { signal })).rejects.toThrow("injected");
    expect(policy.notices).toEqual([]);
  });
});
