/** What the tests of the S3 store share: stores on a server, and a clock that does not wait. */
import type { Store } from "../../src/store/store.ts";
import type { RetryNotice, RetryPolicy } from "../../src/store/retry.ts";
import { openBucket } from "../../src/store/s3-client.ts";
import { parseStoreUrl } from "../../src/store/url.ts";
import { withRetry } from "../../src/store/with-retry.ts";
import { KiB, MiB } from "../../src/bytes.ts";

/** The smallest part real servers take. */
export const realPartBytes = 5 * MiB;

/** For a server of ours: small for speed, large enough to be sent in slices. */
export const partBytes = 512 * KiB;

/** A policy whose waits take no time but count as if they did, and which remembers its notices. */
export function impatient(overrides: Partial<RetryPolicy> = {}): RetryPolicy & { readonly notices: RetryNotice[] } {
  const notices: RetryNotice[] = [];
  let nowMs = 0;
  return {
    budgetMs: 3_600_000,
    firstDelayMs: 500,
    maxDelayMs: 60_000,
    onRetry: (notice) => notices.push(notice),
    clock: {
      now: () => nowMs,
      sleep: (ms, signal) => {
        signal.throwIfAborted();
        nowMs += ms;
        return new Promise((resolve) => {
          setImmediate(resolve);
        });
      },
      random: () => 0.5,
    },
    ...overrides,
    notices,
  };
}

interface OnServerOptions {
  /** `http://host:port`, with a path if need be. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly prefix?: string;
  readonly provider: string;
  readonly policy?: RetryPolicy;
  readonly idleMs?: number;
  readonly partBytes?: number;
  readonly caFile?: string;
  readonly keys?: { readonly access: string; readonly secret: string };
}

/** A store on a local server, opened as a user would, but for the check of the part size. */
export async function openOnServer(options: OnServerOptions): Promise<Store> {
  const { endpoint, bucket, prefix = "", provider, policy = impatient(), idleMs, caFile, keys } = options;
  const ca = caFile === undefined ? "" : `&ca=${encodeURIComponent(caFile)}`;
  const url = `s3://${bucket}/${prefix}?endpoint=${encodeURIComponent(endpoint)}&provider=${provider}${ca}`;
  const environment = { AWS_ACCESS_KEY_ID: keys?.access ?? "key", AWS_SECRET_ACCESS_KEY: keys?.secret ?? "secret" };
  const location = parseStoreUrl(url, environment);
  if (location.kind !== "s3") throw new Error("not a bucket");
  const store = await openBucket(location, {
    partBytes: options.partBytes ?? partBytes,
    concurrency: 2,
    retry: policy,
    environment,
    ...(idleMs === undefined ? {} : { idleMs }),
  });
  return withRetry(store, policy);
}
