/**
 * The S3 store against a network and servers that fail: everything declared must happen, and either the object is whole
 * and right in the end or there is none and nothing of it.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ByteSource } from "../../src/bytes.ts";
import { gather } from "../../src/bytes.ts";
import type { Store } from "../../src/store/store.ts";
import type { Fault, FaultProxy } from "../fault-proxy.ts";
import { startFaultProxy } from "../fault-proxy.ts";
import type { S3Responder } from "../s3-responder.ts";
import { startResponder } from "../s3-responder.ts";
import { patternOf } from "../store.bodies.ts";
import { impatient, openOnServer, partBytes } from "./s3-bench.ts";

const { signal } = new AbortController();
const bytes = patternOf(2 * partBytes + 12_345);

async function* body(): ByteSource {
  for (let offset = 0; offset < bytes.length; offset += 65_536) {
    await Promise.resolve();
    yield bytes.subarray(offset, offset + 65_536);
  }
}

describe.each([
  { provider: "ceph", knowsCrc32: true },
  { provider: "r2", knowsCrc32: false },
])("the S3 store of $provider", ({ provider, knowsCrc32 }) => {
  let server: S3Responder;
  let proxy: FaultProxy;
  let policy: ReturnType<typeof impatient>;
  let store: Store;

  beforeEach(async () => {
    server = await startResponder({ bucket: "box", knowsCrc32 });
    proxy = await startFaultProxy(server.port);
    policy = impatient();
    const endpoint = `http://127.0.0.1:${proxy.port}`;
    store = await openOnServer({ endpoint, bucket: "box", provider, policy, idleMs: 1000 });
  });
  afterEach(async () => {
    proxy.assertAllFired();
    expect([...server.uploads.keys()]).toEqual([]);
    await store.close();
    await proxy.close();
    await server.close();
  });

  const putAll = (): Promise<unknown> => store.put("k", body(), { when: "replace", signal });
  const status = (code: string, number: number): Fault => ({ kind: "status", status: number, code });
  const part2 = /partNumber=2&/;
  const complete = /^POST .*uploadId=/;

  it.for<[string, RegExp, number, Fault]>([
    ["a reset in the middle of a part", part2, 2, { kind: "reset-upload", atBytes: 300_000 }],
    ["a reset at once", part2, 1, { kind: "reset" }],
    ["a 503", part2, 1, status("SlowDown", 503)],
    ["thirty times 520, with a page of HTML", part2, 30, status("<html>", 520)],
    ["a 429", part2, 1, status("TooManyRequests", 429)],
    ["a 408", part2, 1, status("RequestTimeout", 408)],
    ["a 400 that means 'the body stalled'", part2, 1, status("RequestTimeout", 400)],
    ["a body the server found incomplete", part2, 1, status("IncompleteBody", 400)],
    ["a refusal before the body was read", part2, 3, { kind: "status-early", status: 503, code: "SlowDown" }],
    ["a server that reads and never answers", part2, 1, { kind: "hang" }],
    ["a flipped bit on the way up", part2, 3, { kind: "flip-upload", atBytes: 400_000 }],
    ["a lost reply to a part", part2, 1, { kind: "drop-reply" }],
    ["an upload that cannot be begun at first", /^POST .*uploads/, 2, status("InternalError", 500)],
    ["a lost reply to Complete", complete, 1, { kind: "drop-reply" }],
    ["a 500 to Complete", complete, 1, status("InternalError", 500)],
    ["a lost HEAD after Complete", /^HEAD/, 1, { kind: "reset" }],
    ["a clock that is wrong once", part2, 1, status("RequestTimeTooSkewed", 403)],
  ])("gets over %s", async ([, match, times, fault]) => {
    proxy.add({ match, times, fault });
    await putAll();
    expect(server.objects.get("k")?.bytes.equals(bytes)).toBe(true);
    expect(policy.notices).toHaveLength(times);
  });

  it("tells of every try what failed, how often, and how long it waits", async () => {
    proxy.add({ match: part2, times: 2, fault: status("SlowDown", 503) });
    await putAll();
    expect(policy.notices.map(({ what, attempt, delayMs }) => [what.replace(/ to .*/, ""), attempt, delayMs])).toEqual([
      ['send part 2 of "k"', 1, 250],
      ['send part 2 of "k"', 2, 500],
    ]);
    expect(String(policy.notices[0]?.error)).toContain("SlowDown (503)");
  });

  it.for<[string, RegExp, number, Fault, string]>([
    ["a part is refused for good", part2, 1, status("AccessDenied", 403), "store-denied"],
    ["a part is refused as malformed", part2, 1, status("InvalidRequest", 400), "store-failed"],
    ["the bucket is full", part2, 1, status("QuotaExceeded", 403), "store-full"],
    ["bits flip four times in a row", part2, 4, { kind: "flip-upload", atBytes: 400_000 }, "store-failed"],
    ["Complete is refused", complete, 1, status("InvalidPart", 400), "store-failed"],
    ["the upload cannot be begun", /^POST .*uploads/, 1, status("AccessDenied", 403), "store-denied"],
    ["the clock stays wrong", part2, 2, status("RequestTimeTooSkewed", 403), "store-failed"],
  ])("leaves nothing when %s", async ([, match, times, fault, code]) => {
    proxy.add({ match, times, fault });
    await expect(putAll()).rejects.toMatchObject({ code });
    expect(server.objects.size).toBe(0);
  });

  it("gives up when the budget is gone, and says after how many tries", async () => {
    const short = impatient({ budgetMs: 60_000 });
    const endpoint = `http://127.0.0.1:${proxy.port}`;
    const hasty = await openOnServer({ endpoint, bucket: "box", provider, policy: short });
    proxy.add({ match: part2, times: 8, fault: status("SlowDown", 503) });
    const put = hasty.put("k", body(), { when: "replace", signal });
    await expect(put).rejects.toThrow(/SlowDown \(503\).*; given up after 8 tries in 32 s/);
    await hasty.close();
  });

  it("removes the upload although the first attempt at that fails", async () => {
    proxy.add({ match: part2, times: 1, fault: status("AccessDenied", 403) });
    proxy.add({ match: /^DELETE/, times: 2, fault: status("InternalError", 500) });
    await expect(putAll()).rejects.toMatchObject({ code: "store-denied" });
  });

  it("adds to the error that the upload could not be removed", async () => {
    proxy.add({ match: part2, times: 1, fault: status("InvalidRequest", 400) });
    proxy.add({ match: /^DELETE/, times: 1, fault: status("AccessDenied", 403) });
    await expect(putAll()).rejects.toThrow(/InvalidRequest.*unfinished upload could not be removed \(.*AccessDenied/);
    server.uploads.clear();
  });

  it("cancels a part in flight when it is aborted, and removes the upload", async () => {
    const controller = new AbortController();
    const onHit = (): void => {
      setTimeout(() => {
        controller.abort(new Error("stop"));
      }, 30);
    };
    proxy.add({ match: part2, times: 1, fault: { kind: "hang" }, onHit });
    const put = store.put("k", body(), { when: "replace", signal: controller.signal });
    await expect(put).rejects.toThrow("stop");
    expect(server.objects.size).toBe(0);
  });

  it("waits for an upload that is being begun when it is aborted, to remove it", async () => {
    const controller = new AbortController();
    const onHit = (): void => {
      controller.abort(new Error("stop"));
    };
    proxy.add({ match: /^POST .*uploads/, times: 1, fault: { kind: "flip-upload", atBytes: 0 }, onHit });
    const put = store.put("k", body(), { when: "replace", signal: controller.signal });
    await expect(put).rejects.toThrow("stop");
    expect(proxy.lines.filter((line) => line.startsWith("DELETE"))).toHaveLength(1);
  });

  it("fails although its body has stalled, and returns it", async () => {
    async function* stalling(): ByteSource {
      yield bytes.subarray(0, 2 * partBytes);
      await new Promise(() => undefined);
    }
    proxy.add({ match: /partNumber=1&/, times: 1, fault: status("AccessDenied", 403) });
    const put = store.put("k", stalling(), { when: "replace", signal });
    await expect(put).rejects.toMatchObject({ code: "store-denied" });
  });

  it("goes on with its buffers after failures: none is lost", async () => {
    for (let round = 0; round < 6; round += 1) {
      proxy.add({ match: part2, times: 1, fault: status("AccessDenied", 403) });
      await expect(putAll()).rejects.toMatchObject({ code: "store-denied" });
    }
    await putAll();
    expect(server.objects.get("k")?.bytes.equals(bytes)).toBe(true);
  });

  it("takes a create for done when only its reply was lost", async () => {
    proxy.add({ match: /^PUT .*\/k/, times: 1, fault: { kind: "drop-reply" } });
    const put = await store.put("k", Buffer.from("manifest"), { when: "create", signal });
    expect(put.etag).toBe(server.objects.get("k")?.etag);
  });

  it("does so for a streamed object of one part", async () => {
    async function* small(): ByteSource {
      await Promise.resolve();
      yield Buffer.from("manifest");
    }
    proxy.add({ match: /^PUT .*\/k/, times: 1, fault: { kind: "drop-reply" } });
    await store.put("k", small(), { when: "create", signal });
    expect(server.objects.get("k")?.bytes.toString()).toBe("manifest");
  });

  it.for([
    ["without an ETag", {}],
    ["with an ETag", { etag: '"5d41402abc4b2a76b9719d911017c592"' }],
  ] as const)("does not take a 200 %s for an object that is there: it is put again until it is seen", async ([, headers]) => {
    proxy.add({ match: /^PUT .*\/k/, times: 2, fault: { kind: "swallow", headers } });
    const put = await store.put("k", Buffer.from("manifest"), { when: "create", signal });
    expect(server.objects.get("k")?.bytes.toString()).toBe("manifest");
    expect(put.etag).toBe(server.objects.get("k")?.etag);
    expect(policy.notices).toHaveLength(2);
  });

  it("fails when a server says 200 to every put and has the object never", async () => {
    const endpoint = `http://127.0.0.1:${proxy.port}`;
    const hasty = await openOnServer({ endpoint, bucket: "box", provider, policy: impatient({ budgetMs: 5000 }) });
    proxy.add({ match: /^PUT .*\/k/, times: Infinity, fault: { kind: "swallow" } });
    await expect(hasty.put("k", Buffer.from("manifest"), { when: "create", signal })).rejects.toMatchObject({ code: "store-failed" });
    await hasty.close();
  });

  it("does not take a part for sent when the 200 has no ETag", async () => {
    proxy.add({ match: part2, times: 1, fault: { kind: "swallow" } });
    await putAll();
    expect(server.objects.get("k")?.bytes.equals(bytes)).toBe(true);
  });

  it("does not take another's object for its own after a lost reply", async () => {
    proxy.add({
      match: /^PUT .*\/k/,
      times: 1,
      fault: { kind: "reset" },
      onHit: () => {
        const theirs = { bytes: Buffer.from("theirs!!"), etag: "e", modifiedAt: new Date(), metadata: {} };
        server.objects.set("k", theirs);
      },
    });
    const put = store.put("k", Buffer.from("manifest"), { when: "create", signal });
    await expect(put).rejects.toMatchObject({ code: "object-exists" });
    expect(server.objects.get("k")?.bytes.toString()).toBe("theirs!!");
  });

  it.for([
    ["cut off", { kind: "truncate-reply", atBytes: 123_456 }],
    ["reset", { kind: "reset" }],
    ["never answered", { kind: "hang" }],
    ["refused for now", { kind: "status", status: 503, code: "SlowDown" }],
  ] as const)("reads on where a get was %s", async ([, fault]) => {
    await putAll();
    proxy.add({ match: /^GET/, times: 2, fault });
    const read = await gather(store.get("k", { signal }), bytes.length, () => new Error("long"));
    expect(read.equals(bytes)).toBe(true);
    expect(policy.notices).toHaveLength(2);
  });

  it("does not splice two versions when the object is replaced during a get", async () => {
    await putAll();
    proxy.add({ match: /^GET/, times: 1, fault: { kind: "truncate-reply", atBytes: 300_000 } });
    const reading = async (): Promise<void> => {
      for await (const piece of store.get("k", { signal })) {
        const held = server.objects.get("k");
        if (piece.length > 0 && held !== undefined) server.objects.set("k", { ...held, etag: "another" });
      }
    };
    await expect(reading()).rejects.toThrow("was replaced while it was being read");
  });

  it("says who refused, with status and request id, and no secret", async () => {
    proxy.add({
      match: /^HEAD/,
      times: 1,
      fault: { kind: "status", status: 403, code: "AccessDenied", headers: { "x-amz-request-id": "req-42" } },
    });
    const error: unknown = await store.head("k", { signal }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "store-denied" });
    expect((error as Error).message).toMatch(
      /^cannot look for "k" in "s3:\/\/box\/.*: HTTP status 403, request id "req-42"$/,
    );
    expect(JSON.stringify(error)).not.toContain("secret");
  });
});
