/**
 * The contract again, on real servers, each named by its environment variable; `.ci/run` starts them all. Without a
 * server there is a test that says so, and that fails where nothing may be missing (`ZFERRY_TEST_ALL_SYSTEMS=1`).
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { startFaultProxy } from "../fault-proxy.ts";
import { patternOf, storeSuite } from "../store.suite.ts";
import { impatient, openOnServer, realPartBytes } from "./s3-bench.ts";

const { env } = process;
const { signal } = new AbortController();
const keys = {
  access: env.ZFERRY_TEST_S3_ACCESS_KEY ?? "TESTKEY0000000000000",
  secret: env.ZFERRY_TEST_S3_SECRET_KEY ?? "testsecret000000000000000000000000000000",
};

interface Server {
  readonly name: string;
  /** Holds the endpoint; the tests need it. */
  readonly variable: string;
  readonly provider: string;
  readonly bucket: string;
  /** Buckets can be made and unfinished uploads listed. */
  readonly isWhole: boolean;
  readonly caFile?: string;
  readonly missing?: string;
}

const caFile = env.ZFERRY_TEST_S3_CA;
const servers: readonly Server[] = [
  { name: "Ceph RGW", variable: "ZFERRY_TEST_S3", provider: "ceph", bucket: "zferry-suite", isWhole: true },
  {
    name: "Ceph RGW over TLS",
    variable: "ZFERRY_TEST_S3_TLS",
    provider: "ceph",
    bucket: "zferry-suite",
    isWhole: true,
    ...(caFile === undefined ? { missing: "ZFERRY_TEST_S3_CA" } : { caFile }),
  },
  { name: "Cloudflare's local R2", variable: "ZFERRY_TEST_R2", provider: "r2", bucket: "test-bucket", isWhole: false },
];

for (const server of servers) {
  const endpoint = env[server.variable];
  if (endpoint === undefined || server.missing !== undefined) reportMissing(server);
  else testOn(server, endpoint);
}

function reportMissing({ name, variable, missing }: Server): void {
  it(`the S3 store on ${name} keeps the contract of a store`, (context) => {
    const reason = `${missing ?? variable} does not name a server`;
    if (env.ZFERRY_TEST_ALL_SYSTEMS === "1") expect.fail(reason);
    context.skip(reason);
  });
}

function testOn({ name, provider, bucket, isWhole, caFile: ca }: Server, endpoint: string): void {
  const client = clientOf(endpoint, ca);
  const prefixOf = new WeakMap<Store, string>();
  const open = async (options: Partial<Parameters<typeof openOnServer>[0]> = {}): Promise<Store> => {
    const prefix = `suite/${randomBytes(6).toString("hex")}`;
    const caOption = ca === undefined ? {} : { caFile: ca };
    const store = await openOnServer({
      endpoint,
      bucket,
      provider,
      prefix,
      keys,
      partBytes: realPartBytes,
      ...caOption,
      ...options,
    });
    prefixOf.set(store, prefix);
    return store;
  };
  const leftovers = async (store: Store): Promise<string[]> => {
    if (!isWhole) return [];
    const listed = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefixOf.get(store) }));
    return (listed.Uploads ?? []).map(({ Key = "" }) => Key);
  };

  describe(name, () => {
  beforeAll(async () => {
    if (!isWhole) return;
    try {
      await client.send(new CreateBucketCommand({ Bucket: bucket }));
    } catch (error) {
      if (!String(error).includes('BucketAlready')) throw error;
    }
  });
  afterAll(() => {
    client.destroy();
  });

  storeSuite("the S3 store on it", { partBytes: realPartBytes, listLength: 40, open: () => open(), leftovers });

  describe("the S3 store on it", () => {
    it("is refused with a wrong secret, at every verb", async () => {
      const store = await open({ keys: { ...keys, secret: "wrong" } });
      await expect(store.put("k", Buffer.from("x"), { when: "create", signal })).rejects.toMatchObject({ code: "store-denied" });
      await expect(store.head("k", { signal })).rejects.toMatchObject({ code: "store-denied" });
      await store.close();
    });

    // Behind TLS a proxy cannot flip what it cannot read.
    if (endpoint.startsWith("https:")) return;
    it("notices a bit that flips on the way up, and sends the part again", async () => {
      const { port, pathname } = new URL(endpoint);
      const proxy = await startFaultProxy(Number(port));
      const policy = impatient();
      const store = await open({ endpoint: `http://127.0.0.1:${proxy.port}${pathname.replace(/\/$/, "")}`, policy });
      proxy.add({ match: /partNumber=1&/, times: 2, fault: { kind: "flip-upload", atBytes: 3_000_000 } });
      proxy.add({ match: /^POST .*uploadId=/, times: 1, fault: { kind: "drop-reply" } });
      const bytes = patternOf(realPartBytes + 7);
      async function* body(): AsyncGenerator<Uint8Array> {
        await Promise.resolve();
        yield bytes;
      }
      await store.put("k", body(), { when: "replace", signal });
      proxy.assertAllFired();
      const whole = { startBytes: 0, endBytes: bytes.length };
      let offset = 0;
      for await (const piece of store.get("k", { signal, range: whole })) {
        expect(Buffer.compare(piece, bytes.subarray(offset, offset + piece.length))).toBe(0);
        offset += piece.length;
      }
      expect(policy.notices.filter(({ what }) => what.startsWith("send part 1"))).toHaveLength(2);
      await store.close();
      await proxy.close();
    });
  });
  });
}

function clientOf(endpoint: string, ca: string | undefined): S3Client {
  const agent = ca === undefined ? {} : { httpsAgent: new Agent({ ca: readFileSync(ca) }) };
  return new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: keys.access, secretAccessKey: keys.secret },
    requestHandler: new NodeHttpHandler(agent),
  });
}
