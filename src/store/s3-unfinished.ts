/**
 * Multipart uploads nobody will complete: what a run that was killed leaves on S3, invisible to `list` and paid for.
 */
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import type { MultipartUpload } from "@aws-sdk/client-s3";
import { reasonOf } from "./abort.ts";
import { asS3Error, isNoUpload } from "./s3-errors.ts";
import type { S3Session } from "./s3-session.ts";
import { statusOf } from "./transient.ts";

/**
 * Aborts every upload of a key under `prefix`. A server that cannot list them (miniflare: 501; MinIO answers only for
 * whole keys) gives none, and its own expiry removes them.
 *
 * @returns how many were aborted
 */
export async function removeUnfinishedUploads(session: S3Session, prefix: string, signal: AbortSignal): Promise<number> {
  const what = `look for unfinished uploads under "${prefix}"`;
  const seen = new Set<string>();
  try {
    for (;;) {
      const page = await firstPage(session, prefix, signal);
      const uploads = page.filter(({ UploadId = "" }) => !seen.has(UploadId));
      for (const { Key, UploadId = "" } of uploads) {
        seen.add(UploadId);
        const command = new AbortMultipartUploadCommand({ Bucket: session.bucket, Key, UploadId });
        await session.once((http) => session.client.send(command, http), { signal }).catch((error: unknown) => {
          if (!isNoUpload(error)) throw error;
        });
      }
      if (uploads.length === 0) return seen.size;
    }
  } catch (error) {
    if (signal.aborted) throw reasonOf(signal);
    if (statusOf(error) === 501) return seen.size;
    throw asS3Error(error, what);
  }
}

/** Up to a thousand of them; after they were aborted the next thousand are the first. */
async function firstPage(session: S3Session, prefix: string, signal: AbortSignal): Promise<readonly MultipartUpload[]> {
  const command = new ListMultipartUploadsCommand({ Bucket: session.bucket, Prefix: session.fullPrefix(prefix) });
  const { Uploads = [] } = await session.once((http) => session.client.send(command, http), { signal });
  return Uploads;
}
