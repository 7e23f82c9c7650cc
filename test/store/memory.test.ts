import { describe, expect, it } from "vitest";
import { gather } from "../../src/bytes.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import { withRetry } from "../../src/store/with-retry.ts";
import { collect } from "../store.bodies.ts";
import { storeSuite } from "../store.suite.ts";

const suite = { partBytes: 4096, listLength: 2001, leftovers: () => Promise.resolve([]) };

storeSuite("the memory store", { ...suite, open: () => Promise.resolve(new MemoryStore()) });
storeSuite("the memory store behind retries", {
  ...suite,
  open: () => Promise.resolve(withRetry(new MemoryStore(), defaultRetryPolicy)),
});

describe("the memory store", () => {
  const { signal } = new AbortController();

  it("keeps its own copy of bytes that the caller goes on using", async () => {
    const store = new MemoryStore();
    const bytes = Buffer.from("before");
    await store.put("k", bytes, { when: "replace", signal });
    bytes.fill(0);
    const [piece] = await collect(store.get("k", { signal }));
    piece?.fill(0);
    expect((await gather(store.get("k", { signal }), 10, () => new Error("long"))).toString()).toBe("before");
  });
});
