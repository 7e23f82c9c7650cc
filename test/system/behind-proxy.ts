/**
 * A bucket on the real S3 server that is reached through a proxy which breaks things.
 */
import { onTestFinished } from "vitest";
import { gather, MiB } from "../../src/bytes.ts";
import { openStore } from "../../src/store/open.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import type { Store } from "../../src/store/store.ts";
import { type BodyWitness, type FaultProxy, startFaultProxy } from "../fault-proxy.ts";
import type { S3System } from "../systems.ts";
import { type Bucket, newBucket } from "./bucket.ts";

export interface ProxiedBucket {
  /** The bucket as it is, not through the proxy. */
  readonly bucket: Bucket;
  readonly proxy: FaultProxy;
  /** For `--store`: the way through the proxy. */
  readonly url: string;
  /** A small object, not through the proxy. */
  read(key: string): Promise<Buffer>;
}

/** The smallest parts a real server takes, and two of them to a chunk. */
export const sizes = ["--part-size", "5MiB", "--chunk-size", "10MiB"] as const;

/** Makes a bucket and a proxy before it; the proxy ends with the test, and the bucket is emptied. */
export async function bucketBehindProxy(system: S3System, witness?: BodyWitness): Promise<ProxiedBucket> {
  const [bucket, proxy] = await Promise.all([newBucket(system), startFaultProxy(Number(new URL(system.endpoint).port), witness)]);
  onTestFinished(async () => {
    await proxy.close();
    await empty(bucket);
  });
  return {
    bucket,
    proxy,
    url: bucket.url.replace(system.endpoint, `http://127.0.0.1:${proxy.port}`),
    read: (key) => readObject(bucket, key),
  };
}

/** Gives back what a bucket holds: the server of the tests keeps everything in memory. */
export function empty(bucket: Bucket): Promise<void> {
  return withStore(bucket, async (store) => {
    const keys: string[] = [];
    for await (const { key } of store.list("", { signal })) keys.push(key);
    await store.delete(keys, { signal });
  });
}

function readObject(bucket: Bucket, key: string): Promise<Buffer> {
  return withStore(bucket, (store) => gather(store.get(key, { signal }), MiB, () => new Error(`"${key}" is not small`)));
}

const { signal } = new AbortController();

async function withStore<T>({ url, env }: Bucket, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(url, { partBytes: 5 * MiB, concurrency: 1, retry: defaultRetryPolicy, access: "write", environment: env });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
