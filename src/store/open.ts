/**
 * From a URL to a store that can be used: the right kind, with its credentials, behind the retries.
 */
import type { Credentials, Environment } from "./credentials.ts";
import { openDirectory } from "./directory.ts";
import { embeddedLimits } from "./memory.ts";
import type { RetryPolicy } from "./retry.ts";
import { checkPartSize } from "./sizes.ts";
import type { Store, StoreLimits } from "./store.ts";
import { parseStoreUrl } from "./url.ts";
import { withRetry } from "./with-retry.ts";

export interface OpenOptions {
  /** Size of every part but an object's last. Bounds the memory of uploads, with `concurrency`. */
  readonly partBytes: number;
  /** Parts in flight. */
  readonly concurrency: number;
  readonly retry: RetryPolicy;
  /** Told of each part that is sent (1), and that is in or has failed (-1). */
  readonly onPart?: (change: 1 | -1) => void;
  /** `write` makes a folder that is missing, and tidies it. */
  readonly access: "read" | "write";
  /** Where credentials, region and home folder are looked up: `process.env`, or a test's own. */
  readonly environment: Environment;
  /** The keys of a bucket, where the environment and profiles are not to be asked. */
  readonly credentials?: Credentials | null;
  /** No byte either way for this long fails a request, and it is tried again: 60,000 when left out. */
  readonly idleMs?: number;
}

/**
 * Opens a store. Nothing is asked of a bucket yet: a wrong name shows at the first verb.
 *
 * @throws ZferryError `usage` (the URL), `size-limits` (the part size), `secret-unusable`, `store-denied` (no
 * credentials), `store-not-found` (no folder)
 */
export async function openStore(url: string, options: OpenOptions): Promise<Store> {
  const location = parseStoreUrl(url, options.environment);
  if (location.kind === "directory") {
    return withRetry(await openDirectory(location.path, options.access), options.retry);
  }
  checkPartSize(options.partBytes, location.provider.limits);
  const { openBucket } = await import("./s3-client.ts"); // with it the AWS SDK, which a folder does without
  return withRetry(await openBucket(location, options), options.retry);
}

/** What the store at a URL takes, without opening it. @throws ZferryError `usage` */
export function storeLimits(url: string, environment: Environment): StoreLimits {
  const location = parseStoreUrl(url, environment);
  return location.kind === "directory" ? embeddedLimits : location.provider.limits;
}
