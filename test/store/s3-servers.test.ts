/**
 * The contract again, on the real servers of `test/systems.ts`. Without a server there is a test that says so.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { startFaultProxy } from "../fault-proxy.ts";
import { patternOf } from "../store.bodies.ts";
import { storeSuite } from "../store.suite.ts";
import type { S3System } from "../systems.ts";
import { look, need } from "../systems.ts";
import { impatient, openOnServer, realPartBytes } from "./s3-bench.ts";

const { signal } = new AbortController();

interface Server {
  readonly name: string;
  readonly system: "s3" | "s3Tls" | "r2";
  readonly provider: string;
  /** Buckets can be made and unfinished uploads listed. */
  readonly isWhole: boolean;
}

const servers: readonly Server[] = [
  { name: "Ceph RGW", system: "s3", provider: "ceph", isWhole: true },
  { name: "Ceph RGW over TLS", system: "s3Tls", provider: "ceph", isWhole: true },
  { name: "Cloudflare's local R2", system: "r2", provider: "r2", isWhole: false },
];

for (const server of servers) {
  const found = look(server.system);
  if (found !== null) testOn(server, found);
  else
    it(`the S3 store on ${server.name} keeps the contract of a store`, (context) => void need(context, server.system));
}

function testOn({ name, provider, isWhole }: Server, system: S3System): void {
  const { endpoint, caFile } = system;
  const keys = { access: system.accessKeyId, secret: system.secretAccessKey };
  const bucket = system.buckets[0] ?? "zferry-suite";
  const client = clientOf(system);
  const prefixOf = new WeakMap<Store, string>();
  const open = async (options: Partial<Parameters<typeof openOnServer>[0]> = {}): Promise<Store> => {
    const prefix = `suite/${randomBytes(6).toString("hex")}`;
    const caOption = caFile === null ? {} : { caFile };
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
        if (!String(error).includes("BucketAlready")) throw error;
      }
    });
    afterAll(() => {
      client.destroy();
    });

    storeSuite("the S3 store on it", { partBytes: realPartBytes, listLength: 40, open: () => open(), leftovers });

    describe("the S3 store on it", () => {
      it("is refused with a wrong secret, at every verb", async () => {
        const store = await open({ keys: { ...keys, secret: "wrong" } });
        await expect(store.put("k", Buffer.from("x"), { when: "create", signal })).rejects.toMatchObject({
          code: "store-denied",
        });
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

function clientOf({ endpoint, region, caFile, accessKeyId, secretAccessKey }: S3System): S3Client {
  const agent = caFile === null ? {} : { httpsAgent: new Agent({ ca: readFileSync(caFile) }) };
  const credentials = { accessKeyId, secretAccessKey };
  const requestHandler = new NodeHttpHandler(agent);
  return new S3Client({ endpoint, region, forcePathStyle: true, credentials, requestHandler });
}
