import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ByteSource } from "../../src/bytes.ts";
import { gather } from "../../src/bytes.ts";
import type { Store } from "../../src/store/store.ts";
import type { S3Responder } from "../s3-responder.ts";
import { startResponder } from "../s3-responder.ts";
import { collect, patternOf } from "../store.bodies.ts";
import { storeSuite } from "../store.suite.ts";
import { openOnServer, partBytes } from "./s3-bench.ts";

const { signal } = new AbortController();
let crc: S3Responder;
let md5: S3Responder;

beforeAll(async () => {
  crc = await startResponder({ bucket: "box", knowsCrc32: true });
  md5 = await startResponder({ bucket: "box", knowsCrc32: false });
});
afterAll(async () => {
  await crc.close();
  await md5.close();
});
afterEach(() => {
  for (const server of [crc, md5]) {
    server.objects.clear();
    server.uploads.clear();
    server.requests.length = 0;
  }
});

const on = (server: S3Responder, provider: string, prefix = ""): Promise<Store> =>
  openOnServer({ endpoint: `http://127.0.0.1:${server.port}`, bucket: "box", provider, prefix });

const leftoversOf = (server: () => S3Responder) => () => Promise.resolve([...server().uploads.keys()]);

storeSuite("the S3 store on a server with CRC-32", {
  partBytes,
  listLength: 230,
  open: () => on(crc, "ceph", "some/prefix"),
  leftovers: leftoversOf(() => crc),
});
storeSuite("the S3 store on a server like R2", {
  partBytes,
  listLength: 20,
  open: () => on(md5, "r2"),
  leftovers: leftoversOf(() => md5),
});

describe("the S3 store", () => {
  const body = async function* (sizeBytes: number): ByteSource {
    await Promise.resolve();
    yield patternOf(sizeBytes);
  };
  const linesOf = (server: S3Responder): string[] =>
    server.requests.map(({ method, url }) => `${method} ${url.replace(/uploadId=[0-9a-f]+/, "uploadId=U")}`);

  it("sends a body of one part with one PutObject, and a longer one in equal parts", async () => {
    const store = await on(md5, "r2");
    await store.put("one", body(partBytes), { when: "replace", signal });
    expect(linesOf(md5)).toEqual(["PUT /box/one?x-id=PutObject", "HEAD /box/one"]);
    md5.requests.length = 0;
    await store.put("three", body(2 * partBytes + 1), { when: "replace", signal });
    expect(linesOf(md5).sort()).toEqual([
      "HEAD /box/three",
      "POST /box/three?uploadId=U",
      "POST /box/three?uploads=",
      "PUT /box/three?partNumber=1&uploadId=U&x-id=UploadPart",
      "PUT /box/three?partNumber=2&uploadId=U&x-id=UploadPart",
      "PUT /box/three?partNumber=3&uploadId=U&x-id=UploadPart",
    ]);
    const sizes = md5.requests
      .filter(({ url }) => url.includes("partNumber"))
      .map(({ headers }) => headers["content-length"]);
    expect(sizes.map(Number).sort((left, right) => right - left)).toEqual([partBytes, partBytes, 1]);
  });

  it.for(["ceph", "r2", "generic"])(
    "sends parts to %s with a length, a checksum and nothing R2 refuses",
    async (provider) => {
      const server = provider === "ceph" ? crc : md5;
      const store = await on(server, provider);
      await store.put("k", body(partBytes + 1), { when: "replace", signal });
      const parts = server.requests.filter(({ url }) => url.includes("partNumber"));
      expect(parts).toHaveLength(2);
      for (const { headers } of parts) {
        expect(Number(headers["content-length"])).toBeGreaterThan(0);
        expect(headers.expect).toBeUndefined();
        expect(headers["transfer-encoding"]).toBeUndefined();
        expect(headers["content-encoding"]).toBeUndefined();
        expect(headers["x-amz-trailer"]).toBeUndefined();
        expect(headers[provider === "ceph" ? "x-amz-checksum-crc32" : "content-md5"]).toMatch(/^[A-Za-z0-9+/]+=*$/);
        expect(headers[provider === "ceph" ? "content-md5" : "x-amz-checksum-crc32"]).toBeUndefined();
      }
    },
  );

  it("falls back to MD5 once a server has left a CRC-32 unanswered", async () => {
    const store = await on(md5, "minio");
    await store.put("a", body(10), { when: "replace", signal });
    await store.put("b", body(10), { when: "replace", signal });
    const checks = md5.requests
      .filter(({ method }) => method === "PUT")
      .map(({ headers }) => headers["content-md5"] !== undefined);
    expect(checks).toEqual([false, true]);
  });

  it("has two objects in flight at a boundary with the buffers of one pool", async () => {
    const store = await on(md5, "r2");
    const keys = ["c/0", "c/1", "c/2", "c/3"];
    await Promise.all(keys.map((key) => store.put(key, body(2 * partBytes), { when: "replace", signal })));
    expect((await collect(store.list("c/", { signal }))).map(({ key }) => key)).toEqual(keys);
  });

  it("tells a missing bucket from a missing object, for every verb", async () => {
    const store = await openOnServer({ endpoint: `http://127.0.0.1:${crc.port}`, bucket: "other", provider: "ceph" });
    const gone = { code: "store-not-found" };
    await expect(store.head("k", { signal })).rejects.toMatchObject(gone);
    await expect(collect(store.get("k", { signal }))).rejects.toMatchObject(gone);
    await expect(collect(store.list("", { signal }))).rejects.toMatchObject(gone);
    await expect(store.delete(["k"], { signal })).rejects.toMatchObject(gone);
    await expect(store.put("k", Buffer.from("x"), { when: "create", signal })).rejects.toMatchObject(gone);
    await expect(store.put("k", body(partBytes + 1), { when: "replace", signal })).rejects.toMatchObject(gone);
  });

  it("keeps its keys below its prefix, and sees no others", async () => {
    const inside = await on(crc, "ceph", "my/prefix/");
    const whole = await on(crc, "ceph");
    await whole.put("my/prefixed", Buffer.from("x"), { when: "replace", signal });
    await inside.put("k", Buffer.from("x"), { when: "replace", signal });
    expect([...crc.objects.keys()].sort()).toEqual(["my/prefix/k", "my/prefixed"]);
    expect((await collect(inside.list("", { signal }))).map(({ key }) => key)).toEqual(["k"]);
    const long = "x".repeat(1020);
    await expect(inside.head(long, { signal })).rejects.toMatchObject({ code: "store-failed" });
    expect(await whole.head(long, { signal })).toBeNull();
  });

  it("reads an object that is replaced between two gets by the version asked for", async () => {
    const store = await on(crc, "ceph");
    const { etag } = await store.put("k", Buffer.from("one"), { when: "replace", signal });
    expect((await gather(store.get("k", { signal, etag }), 9, () => new Error("long"))).toString()).toBe("one");
  });

  it("deletes one by one where there is no bulk delete", async () => {
    const store = await on(md5, "b2");
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    for (const key of keys) await store.put(key, Buffer.from("x"), { when: "replace", signal });
    md5.requests.length = 0;
    await store.delete(keys, { signal });
    expect(linesOf(md5)).toHaveLength(20);
    expect(md5.objects.size).toBe(0);
  });
});
