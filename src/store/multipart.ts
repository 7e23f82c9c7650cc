/**
 * The multipart engine: Create, UploadPart, Complete, and on any failure Abort. Parts are sent as the body yields them,
 * as many at a time as the store has leave for; each is retried by itself until it is in. Nothing becomes visible before
 * Complete, and nothing stays behind when the upload fails: what is in flight is cancelled and waited for, the upload is
 * aborted, and the server asked whether it is gone.
 *
 * After Complete a HEAD decides, not the reply: replies get lost, Complete may say 200 and mean an error, and a repeated
 * Complete is `NoSuchUpload` on some servers. The object is ours if it carries this upload's token.
 */
import { createHash, randomBytes } from "node:crypto";
import type { CompletedPart } from "@aws-sdk/client-s3";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { isZferryError, ZferryError } from "../errors.ts";
import type { LinkedController } from "./abort.ts";
import { objectExists } from "./outcomes.ts";
import type { Part } from "./parts.ts";
import { retry } from "./retry.ts";
import { asS3Error, isNoUpload, isRefusedByCondition, s3CodeOf } from "./s3-errors.ts";
import { checkCondition, checksumHeaders, conditionHeaders, sendBody } from "./s3-put.ts";
import type { S3Session } from "./s3-session.ts";
import { etagOf, storedObject } from "./s3-session.ts";
import type { ObjectKey, PutOptions, StoredObject } from "./store.ts";
import { statusOf, truncatedReply } from "./transient.ts";

/** User metadata that tells our upload from another's under the same key. */
const tokenName = "zferry-upload";
/** How long a failed put may take to clean up behind itself. */
const cleanupMs = 30_000;
/** The same for one that was cancelled: who stops a run in an outage does not want to wait for its end. */
const cancelledCleanupMs = 3_000;
/** How often an upload is aborted: a part that was still on its way may land after the first time (docs.aws). */
const abortTries = 3;
/** Idle times for Create: no cancelling is heard meanwhile. */
const createPatience = 1;
/**
 * Idle times for Complete, half an hour. AWS and MinIO say 200 at once and then send white space while they put the parts
 * together, which takes them minutes (docs.aws CompleteMultipartUpload). One that is given up too early is no loss: it is
 * repeated, and before that a HEAD tells whether it has succeeded meanwhile.
 */
const completePatience = 30;

interface Upload {
  readonly session: S3Session;
  readonly key: ObjectKey;
  readonly uploadId: string;
  readonly token: string;
  /** What Complete wants to hear, by part index; gaps are parts not yet in. */
  readonly completed: CompletedPart[];
  sizeBytes: number;
}

interface UploadOptions {
  readonly session: S3Session;
  readonly key: ObjectKey;
  /** At least two parts, in order. Their buffers are given back to the session's pool. */
  readonly parts: AsyncGenerator<Part, void>;
  readonly first: Part;
  /** Aborted here when one part fails, which ends the others and the reading of the body. */
  readonly run: LinkedController;
  readonly put: PutOptions;
}

/** Uploads one object in parts. When it throws, no request is in flight and no buffer is held. */
export async function uploadInParts({ session, key, parts, first, run, put }: UploadOptions): Promise<StoredObject> {
  const flights = new Set<Promise<void>>();
  let upload: Upload | null = null;
  let unsent: Part | null = first;
  try {
    upload = await createUpload(session, key, run.signal);
    run.signal.throwIfAborted();
    for (let part = first; ; part = await nextOf(parts)) {
      unsent = part;
      checkCount(session, part);
      const slot = await session.requests.take(run.signal);
      unsent = null;
      session.onPart(1);
      const flight = sendPart(upload, part, run, put).finally(() => {
        session.onPart(-1);
        session.requests.give(slot);
        flights.delete(flight);
      });
      flights.add(flight);
      if (part.isLast) break;
    }
    await Promise.all(flights);
    run.signal.throwIfAborted();
    return await completeUpload(upload, put);
  } catch (error) {
    // The first reason is the one that counts: a part's failure, not the end of the reading that it caused.
    run.abort(error);
    await Promise.allSettled(flights);
    throw upload === null ? run.signal.reason : await abandon(upload, run.signal.reason, put.signal.aborted ? cancelledCleanupMs : cleanupMs);
  } finally {
    if (unsent !== null) session.buffers.give(unsent.buffer);
  }
}

async function nextOf(parts: AsyncGenerator<Part, void>): Promise<Part> {
  const next = await parts.next();
  if (next.done === true) throw new ZferryError("bug", "a body ended without a last part");
  return next.value;
}

function checkCount(session: S3Session, part: Part): void {
  const { maxPartCount } = session.provider.limits;
  if (part.index < maxPartCount) return;
  throw new ZferryError("size-limits", `an object in "${session.url}" cannot have more than ${maxPartCount} parts`, {
    hint: "use larger parts or smaller chunks",
  });
}

/**
 * Creating is not cancelled but waited for (one idle time at most, a minute): an upload whose id never reached us cannot be aborted.
 */
async function createUpload(session: S3Session, key: ObjectKey, signal: AbortSignal): Promise<Upload> {
  const { client, policy } = session;
  const token = randomBytes(8).toString("hex");
  const checksum = session.checksumKind === "crc32" ? { ChecksumAlgorithm: "CRC32" as const } : {};
  const command = { ...session.target(key), ...checksum, Metadata: { [tokenName]: token } };
  const what = `begin the upload of "${key}" into "${session.url}"`;
  const uploadId = await retry(
    async () => {
      const unhurried = new AbortController().signal;
      try {
        const reply = await session.once((http) => client.send(new CreateMultipartUploadCommand(command), http), {
          signal: unhurried,
          patience: createPatience,
        });
        if (reply.UploadId === undefined) throw truncatedReply("the reply lacks an upload id");
        return reply.UploadId;
      } catch (error) {
        throw asS3Error(error, what);
      }
    },
    { what, policy, signal },
  );
  return { session, key, uploadId, token, completed: [], sizeBytes: 0 };
}

/** Sends one part until it is in, and gives its buffer back. Its failure is the failure of the run. */
async function sendPart(upload: Upload, part: Part, run: LinkedController, put: PutOptions): Promise<void> {
  const { session, key } = upload;
  const what = `send part ${part.index + 1} of "${key}" to "${session.url}"`;
  try {
    upload.completed[part.index] = await retry(() => sendPartOnce(upload, part, run.signal, what), {
      what,
      policy: session.policy,
      signal: run.signal,
    });
    upload.sizeBytes += part.bytes.length;
    put.onStored?.(part.bytes.length);
  } catch (error) {
    run.abort(error);
  } finally {
    session.buffers.give(part.buffer);
  }
}

async function sendPartOnce(upload: Upload, part: Part, signal: AbortSignal, what: string): Promise<CompletedPart> {
  const { session, key, uploadId } = upload;
  const PartNumber = part.index + 1;
  const ContentLength = part.bytes.length;
  const input = { ...session.target(key), ...checksumHeaders(part), UploadId: uploadId, PartNumber, ContentLength };
  try {
    return await session.once(
      async (http) => {
        const reply = await sendBody(part.bytes, (Body) =>
          session.client.send(new UploadPartCommand({ ...input, Body }), http),
        );
        const ETag = session.checkReceipt(part, reply);
        const echoed = reply.ChecksumCRC32 === undefined ? {} : { ChecksumCRC32: reply.ChecksumCRC32 };
        return { PartNumber, ETag, ...echoed };
      },
      { signal, bodyBytes: ContentLength },
    );
  } catch (error) {
    throw signal.aborted ? error : asS3Error(error, what);
  }
}

async function completeUpload(upload: Upload, put: PutOptions): Promise<StoredObject> {
  const { session, key } = upload;
  const what = `complete the upload of "${key}" into "${session.url}"`;
  return retry(
    async (attempt) => {
      const done = attempt === 1 ? null : await ownObject(upload, put.signal);
      if (done !== null) return done;
      if (!session.provider.conditionalComplete || session.provider.conditions !== "atomic") {
        await checkCondition(session, key, put);
      }
      await completeOnce(upload, put, what);
      const found = await ownObject(upload, put.signal);
      if (found !== null) return found;
      throw new ZferryError("store-failed", `"${key}" was uploaded, but "${session.url}" holds something else there`, {
        hint: "two programs may be writing to this store",
      });
    },
    { what, policy: session.policy, signal: put.signal },
  );
}

/** Returns when the upload is completed, by this request or an earlier one whose reply was lost. */
async function completeOnce(upload: Upload, put: PutOptions, what: string): Promise<void> {
  const { session, key, uploadId, completed } = upload;
  const command = new CompleteMultipartUploadCommand({
    ...session.target(key),
    ...conditionHeaders(put.when, session.provider.conditionalComplete),
    UploadId: uploadId,
    MultipartUpload: { Parts: completed },
  });
  try {
    await session.once((http) => session.client.send(command, http), { signal: put.signal, patience: completePatience });
  } catch (error) {
    if (put.signal.aborted) throw error;
    const refused = isRefusedByCondition(error) || (typeof put.when === "object" && statusOf(error) === 404);
    // AWS wants every part again after this one (docs.aws CompleteMultipartUpload); a stream cannot give them.
    const conflict = s3CodeOf(error) === "ConditionalRequestConflict";
    if ((refused || conflict || isNoUpload(error)) && (await ownObject(upload, put.signal)) !== null) return;
    if (refused || conflict) throw objectExists(key, session.url, put.when, error);
    throw asS3Error(error, what);
  }
}

/**
 * The object under the key if this upload made it, otherwise null.
 *
 * @throws ZferryError `store-failed` when it is ours and not what was sent
 */
async function ownObject(upload: Upload, signal: AbortSignal): Promise<StoredObject | null> {
  const { session, key } = upload;
  const found = await session.head(key, signal);
  if (found?.Metadata?.[tokenName] !== upload.token) return null;
  const object = storedObject(key, found);
  const expectedEtag = session.provider.etagIsMd5 ? md5OfParts(upload.completed) : null;
  if (object.sizeBytes === upload.sizeBytes && (expectedEtag === null || expectedEtag === object.etag)) return object;
  const has = `"${session.url}" has ${object.sizeBytes}, ETag "${object.etag}"`;
  throw new ZferryError("store-failed", `"${key}" was uploaded with ${upload.sizeBytes} bytes, but ${has}`, {
    hint: "delete it and try again; tell the provider",
  });
}

/** `md5(md5s)-N`; null when a part's tag is no MD5 (encrypted by the server's own keys). */
function md5OfParts(completed: readonly CompletedPart[]): string | null {
  const tags = completed.map(etagOf);
  if (!tags.every((tag) => /^[0-9a-f]{32}$/.test(tag))) return null;
  return `${createHash("md5").update(tags.join(""), "hex").digest("hex")}-${tags.length}`;
}

/** Aborts the upload and sees that it is gone. Returns what to throw: `reason`, which a failed cleanup joins. */
async function abandon(upload: Upload, reason: unknown, budgetMs: number): Promise<unknown> {
  const { key } = upload;
  const policy = { ...upload.session.policy, budgetMs, maxDelayMs: 2000 };
  const signal = AbortSignal.timeout(budgetMs);
  try {
    for (let attempt = 1; attempt <= abortTries; attempt += 1) {
      await retry(() => abortOnce(upload, signal), {
        what: `remove the unfinished upload of "${key}"`,
        policy,
        signal,
      });
      if (await isGone(upload, signal)) return reason;
    }
    throw new Error("the server still lists it");
  } catch (error) {
    if (!isZferryError(reason)) return reason;
    const why = error instanceof Error ? error.message : String(error);
    return new ZferryError(reason.code, `${reason.message}; its unfinished upload could not be removed (${why})`, {
      hint: reason.hint ?? "let the bucket's lifecycle rules remove unfinished uploads",
      cause: reason,
    });
  }
}

async function abortOnce({ session, key, uploadId }: Upload, signal: AbortSignal): Promise<void> {
  const command = new AbortMultipartUploadCommand({ ...session.target(key), UploadId: uploadId });
  try {
    await session.once((http) => session.client.send(command, http), { signal });
  } catch (error) {
    if (!isNoUpload(error)) throw asS3Error(error, `remove the unfinished upload of "${key}"`);
  }
}

async function isGone({ session, key, uploadId }: Upload, signal: AbortSignal): Promise<boolean> {
  const command = new ListPartsCommand({ ...session.target(key), UploadId: uploadId, MaxParts: 1 });
  try {
    await session.once((http) => session.client.send(command, http), { signal });
    return false;
  } catch (error) {
    // A server that cannot list, or a key that may not, is taken at its word about the Abort.
    if (statusOf(error) === 404 || statusOf(error) === 501 || statusOf(error) === 403) return true;
    throw asS3Error(error, `look for the unfinished upload of "${key}"`);
  }
}
