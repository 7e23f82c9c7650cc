/** A store to work with: a bucket, or a folder. Close it when nothing needs it any more. */
import { defaultRetryPolicy, openStore, type Store } from "zferry";

/** @param url - `s3://bucket/prefix?endpoint=…&region=…`, or the path of a folder */
export function storeAt(url: string): Promise<Store> {
  return openStore(url, {
    partBytes: 16 * 1024 * 1024,
    concurrency: 4,
    retry: defaultRetryPolicy,
    access: "write",
    environment: process.env,
  });
}
