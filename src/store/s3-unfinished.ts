/**
 * Multipart uploads nobody will complete: what a run that was killed leaves on S3, invisible to `list` and paid for.
 */
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from "@aws-sdk/client-s3";
import type { ListMultipartUploadsCommandOutput, MultipartUpload } from "@aws-sdk/client-s3";
import { reasonOf } from "./abort.ts";
import { asS3Error, isNoUpload } from "./s3-errors.ts";
import type { S3Session } from "./s3-session.ts";
import type { UnfinishedPut } from "./store.ts";
import { statusOf, truncatedReply } from "./transient.ts";

/**
 * Aborts every upload of a key under `prefix`. A server that cannot list them (miniflare: 501; MinIO answers only for
 * whole keys) gives none, and its own expiry removes them.
 *
 * @returns how many were aborted
 * @throws ZferryError `store-failed` for one that is listed and lies elsewhere, and the store's codes
 */
export async function removeUnfinishedUploads(session: S3Session, prefix: string, signal: AbortSignal): Promise<number> {
  const what = `look for unfinished uploads under "${prefix}"`;
  const seen = new Set<string>();
  try {
    for (;;) {
      const page = await firstPage(session, prefix, signal);
      const uploads = page.filter(({ UploadId = "" }) => !seen.has(UploadId));
      for (const { Key = "", UploadId = "" } of uploads) {
        session.listedKey(Key, prefix);
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

/**
 * Every upload of a key under `prefix`; none from a server that cannot list them.
 *
 * @throws ZferryError `store-failed` for an answer that does not end, and the store's codes
 */
export async function listUnfinishedUploads(session: S3Session, prefix: string, signal: AbortSignal): Promise<readonly UnfinishedPut[]> {
  const what = `look for unfinished uploads under "${prefix}"`;
  const found: UnfinishedPut[] = [];
  let marker: PageMarker = {};
  try {
    for (;;) {
      const page = await onePage(session, prefix, marker, signal);
      for (const { Key, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || Initiated === undefined) throw truncatedReply("an upload lacks its key or its time");
        found.push({ key: session.listedKey(Key, prefix), startedAt: Initiated });
      }
      if (page.IsTruncated !== true) return found;
      const next = { KeyMarker: page.NextKeyMarker ?? "", UploadIdMarker: page.NextUploadIdMarker ?? "" };
      if (next.KeyMarker === (marker.KeyMarker ?? "") && next.UploadIdMarker === (marker.UploadIdMarker ?? "")) {
        throw truncatedReply("a page does not say where the next one begins");
      }
      marker = next;
    }
  } catch (error) {
    if (signal.aborted) throw reasonOf(signal);
    if (statusOf(error) === 501) return found;
    throw asS3Error(error, what);
  }
}

interface PageMarker {
  readonly KeyMarker?: string;
  readonly UploadIdMarker?: string;
}

function onePage(session: S3Session, prefix: string, marker: PageMarker, signal: AbortSignal): Promise<ListMultipartUploadsCommandOutput> {
  const command = new ListMultipartUploadsCommand({ Bucket: session.bucket, Prefix: session.fullPrefix(prefix), ...marker });
  return session.once((http) => session.client.send(command, http), { signal });
}

/** Up to a thousand of them; after they were aborted the next thousand are the first. */
async function firstPage(session: S3Session, prefix: string, signal: AbortSignal): Promise<readonly MultipartUpload[]> {
  const { Uploads = [] } = await onePage(session, prefix, {}, signal);
  return Uploads;
}
