/** Objects with notes on a server that is as strict as AWS with checksums, and on one that knows none, as R2. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gather, MiB } from "../../src/bytes.ts";
import type { Store } from "../../src/store/store.ts";
import { type S3Responder, startResponder } from "../s3-responder.ts";
import { patternOf } from "../store.bodies.ts";
import { openOnServer, realPartBytes } from "./s3-bench.ts";

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

async function uploaded(store: Store, bytes: Buffer): Promise<void> {
  if (store.upload === undefined || store.noted === undefined) throw new Error("a store that keeps no notes");
  const body = async function* (): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    yield bytes;
  };
  await store.upload({ key: "k", body: body(), notes: { "zferry-size": "17" }, expectedBytes: bytes.length, inFlight: 2, signal });
  expect(await store.noted("k", { signal })).toMatchObject({ sizeBytes: bytes.length, notes: { "zferry-size": "17" } });
  expect((await gather(store.get("k", { signal }), 64 * MiB, () => new Error("long"))).equals(bytes)).toBe(true);
}

describe("an object with notes", () => {
  it.for(["ceph", "minio", "r2"])("is sent to %s whole and in parts, with the checksums it takes", async (provider) => {
    const server = provider === "ceph" ? crc : md5; // like a MinIO of before 2022
    const store = await openOnServer({ endpoint: `http://127.0.0.1:${server.port}`, bucket: "box", provider, partBytes: realPartBytes });
    await uploaded(store, patternOf(10));
    await uploaded(store, patternOf(2 * realPartBytes + 1));
    expect([...server.uploads.keys()]).toEqual([]);
    await store.close();
  });
});
