/**
 * A store in a bucket: S3, R2, B2, MinIO, Ceph and their like. Small objects go up in one request, larger ones by
 * `multipart.ts`. Requests of streamed puts are retried here, part by part, because their body cannot be replayed;
 * every other verb does a thing once and leaves its repetition to `withRetry`.
 */
import type { Readable } from "node:stream";
import type { _Error as S3Failure, GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import type { ByteSource } from "../bytes.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import type { LinkedController } from "./abort.ts";
import { linkedController, reasonOf } from "./abort.ts";
import { compareKeys } from "./keys.ts";
import { uploadInParts } from "./multipart.ts";
import { listUnfinishedUploads, removeUnfinishedUploads } from "./s3-unfinished.ts";
import { checkedRange, objectMissing, objectReplaced } from "./outcomes.ts";
import { checksumOf, cutParts } from "./parts.ts";
import type { BucketRules, Look, ObjectLock } from "./rules.ts";
import { asS3Error, isMissing, isRefusedByCondition } from "./s3-errors.ts";
import { putWhole } from "./s3-put.ts";
import { bucketRules, lockOfObject } from "./s3-rules.ts";
import type { S3SessionOptions } from "./s3-session.ts";
import { etagOf, S3Session, storedObject } from "./s3-session.ts";
import type { GetOptions, ListOptions, NotedObject, ObjectKey, PutOptions, Store, StoredObject, StoreLimits, UnfinishedPut, UploadOptions } from "./store.ts";
import { truncatedReply } from "./transient.ts";
import { putBytes } from "./with-retry.ts";

/** Keys in one DeleteObjects (docs.aws). */
const bulkDeleteCount = 1000;
/** DeleteObject requests at a time, where there is no bulk delete. */
const deleteConcurrency = 8;

interface Cancellable {
  readonly signal: AbortSignal;
}

export class S3Store implements Store {
  readonly url: string;
  readonly limits: StoreLimits;
  readonly #session: S3Session;
  readonly #partBytes: number;

  constructor(options: S3SessionOptions) {
    this.url = options.url;
    const { limits } = options.provider;
    this.limits = { ...limits, maxObjectBytes: Math.min(limits.maxObjectBytes, limits.maxPartCount * options.partBytes) };
    this.#partBytes = options.partBytes;
    this.#session = new S3Session(options);
  }

  async put(key: ObjectKey, body: Uint8Array | ByteSource, options: PutOptions): Promise<StoredObject> {
    this.#session.fullKey(key);
    options.signal.throwIfAborted();
    if (!(body instanceof Uint8Array)) return this.#putStream(key, body, options);
    if (body.length > this.#partBytes) return this.#putStream(key, only(body), options);
    const payload = { bytes: body, checksum: checksumOf(body, this.#session.checksumKind) };
    return putWhole(this.#session, key, payload, options);
  }

  async *get(key: ObjectKey, options: GetOptions): ByteSource {
    const { signal, range } = options;
    const what = `read "${key}" from "${this.url}"`;
    if (range !== undefined && range.startBytes >= range.endBytes) return this.#getNothing(key, options);
    // Held until the last byte: aborting it is what ends a body that is being read.
    const request = linkedController(signal);
    let isRead = false;
    try {
      const reply = await this.#beginGet(key, options, request);
      const object = storedObject(key, reply, totalBytesOf(reply));
      const { startBytes, endBytes } = checkedRange(object, range);
      options.onFound?.(object);
      let missingBytes = endBytes - startBytes;
      for await (const piece of reply.Body as Readable as AsyncIterable<Uint8Array>) {
        missingBytes -= piece.length;
        if (missingBytes < 0) throw truncatedReply("the server sent more than was asked for");
        yield piece;
      }
      if (missingBytes > 0) throw truncatedReply(`the reply ended ${missingBytes} bytes early`);
      isRead = true;
    } catch (error) {
      throw signal.aborted ? reasonOf(signal) : asS3Error(error, what);
    } finally {
      if (!isRead) request.abort(new Error("no longer read"));
      request.release();
    }
  }

  async head(key: ObjectKey, { signal }: Cancellable): Promise<StoredObject | null> {
    const found = await this.#session.head(key, signal);
    return found === null ? null : storedObject(key, found);
  }

  async *list(prefix: string, { signal, after }: ListOptions): AsyncGenerator<StoredObject, void> {
    let token: string | undefined;
    let last = "";
    do {
      const page = await this.#listPage(prefix, { after, token, signal });
      for (const { Key, Size, LastModified, ETag } of page.Contents ?? []) {
        if (Key === undefined) throw asS3Error(truncatedReply("an entry lacks its key"), `list "${this.url}"`);
        if (compareKeys(last, Key) >= 0) throw new ZferryError("store-failed", `"${this.url}" lists keys out of order`);
        last = Key;
        yield storedObject(this.#session.listedKey(Key, prefix), { LastModified, ETag }, Size);
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (page.IsTruncated === true && token === undefined) {
        throw asS3Error(truncatedReply("a page lacks the token of the next"), `list "${this.url}"`);
      }
    } while (token !== undefined);
  }

  async delete(keys: readonly ObjectKey[], { signal }: Cancellable): Promise<void> {
    keys.forEach((key) => this.#session.fullKey(key));
    const [size, remove] = this.#session.provider.bulkDelete
      ? [bulkDeleteCount, (some: readonly ObjectKey[]): Promise<void> => this.#deleteMany(some, signal)]
      : [
          deleteConcurrency,
          async (some: readonly ObjectKey[]): Promise<void> => {
            await Promise.all(some.map((key) => this.#deleteOne(key, signal)));
          },
        ];
    for (let start = 0; start < keys.length; start += size) {
      signal.throwIfAborted();
      await remove(keys.slice(start, start + size));
    }
  }

  listUnfinished(prefix: string, { signal }: Cancellable): Promise<readonly UnfinishedPut[]> {
    return listUnfinishedUploads(this.#session, prefix, signal);
  }

  removeUnfinished(prefix: string, { signal }: Cancellable): Promise<number> {
    return removeUnfinishedUploads(this.#session, prefix, signal);
  }

  async upload(options: UploadOptions): Promise<StoredObject> {
    const { uploadNoted } = await import("./s3-upload.ts"); // with it a library that only files need
    return uploadNoted(this.#session, this.#partBytes, options);
  }

  async noted(key: ObjectKey, { signal }: Cancellable): Promise<NotedObject | null> {
    const found = await this.#session.head(key, signal);
    return found === null ? null : { ...storedObject(key, found), notes: { ...found.Metadata } };
  }

  rules({ signal }: Cancellable): Promise<BucketRules> {
    return bucketRules(this.#session, signal);
  }

  lockOf(key: ObjectKey, { signal }: Cancellable): Promise<Look<ObjectLock | null>> {
    return lockOfObject(this.#session, key, signal);
  }

  close(): Promise<void> {
    this.#session.client.destroy();
    this.#session.buffers.clear();
    return Promise.resolve();
  }

  async #putStream(key: ObjectKey, body: ByteSource, put: PutOptions): Promise<StoredObject> {
    const session = this.#session;
    const run = linkedController(put.signal);
    const parts = cutParts(body, {
      buffers: session.buffers,
      checksum: () => session.checksumKind,
      signal: run.signal,
    });
    try {
      const { value: first } = await parts.next();
      if (first === undefined) throw new ZferryError("bug", "a body without a part");
      if (!first.isLast) return await uploadInParts({ session, key, parts, first, run, put });
      try {
        return await putBytes(this, key, first.bytes, { ...put, policy: session.policy });
      } finally {
        session.buffers.give(first.buffer);
      }
    } finally {
      await parts.return();
      run.release();
    }
  }

  /** The reply's head; its body comes until `request` is aborted. */
  async #beginGet(key: ObjectKey, options: GetOptions, request: LinkedController): Promise<GetObjectCommandOutput> {
    const session = this.#session;
    const { range, etag } = options;
    const command = new GetObjectCommand({
      ...session.target(key),
      ...(range === undefined ? {} : { Range: `bytes=${range.startBytes}-${range.endBytes - 1}` }),
      ...(etag === undefined ? {} : { IfMatch: `"${etag}"` }),
    });
    try {
      const reply = await session.patiently(request, {}, (http) => session.client.send(command, http));
      if (etag !== undefined && etagOf(reply) !== etag) throw objectReplaced(key, this.url);
      return reply;
    } catch (error) {
      if (isRefusedByCondition(error)) throw objectReplaced(key, this.url);
      if (isMissing(error)) throw objectMissing(key, this.url, error);
      throw error;
    }
  }

  /** HTTP cannot ask for no bytes; whether they could have been read is still said. */
  async #getNothing(key: ObjectKey, { signal, range, etag, onFound }: GetOptions): Promise<void> {
    const object = await this.head(key, { signal });
    if (object === null) throw objectMissing(key, this.url);
    if (etag !== undefined && etag !== object.etag) throw objectReplaced(key, this.url);
    checkedRange(object, range);
    onFound?.(object);
  }

  async #listPage(
    prefix: string,
    { after, token, signal }: { after: string | undefined; token: string | undefined; signal: AbortSignal },
  ) {
    const session = this.#session;
    const command = new ListObjectsV2Command({
      Bucket: session.bucket,
      Prefix: session.fullPrefix(prefix),
      ...(after === undefined ? {} : { StartAfter: session.fullPrefix(after) }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
    });
    try {
      return await session.once((http) => session.client.send(command, http), { signal });
    } catch (error) {
      throw signal.aborted ? reasonOf(signal) : asS3Error(error, `list "${this.url}"`);
    }
  }

  async #deleteOne(key: ObjectKey, signal: AbortSignal): Promise<void> {
    const { client } = this.#session;
    try {
      const command = new DeleteObjectCommand(this.#session.target(key));
      await this.#session.once((http) => client.send(command, http), { signal });
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal);
      if (!isMissing(error)) throw asS3Error(error, `delete "${key}" from "${this.url}"`);
    }
  }

  async #deleteMany(keys: readonly ObjectKey[], signal: AbortSignal): Promise<void> {
    const session = this.#session;
    const Objects = keys.map((key) => ({ Key: session.fullKey(key) }));
    const command = new DeleteObjectsCommand({ Bucket: session.bucket, Delete: { Objects, Quiet: true } });
    try {
      const reply = await session.once((http) => session.client.send(command, http), { signal });
      const failed = reply.Errors?.find(({ Code }) => Code !== "NoSuchKey");
      if (failed !== undefined) throw deleteError(failed, reply.$metadata.requestId);
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal);
      throw isZferryError(error) ? error : asS3Error(error, `delete from "${this.url}"`);
    }
  }
}

/** One key's failure in the reply to many, in the form of a failed request. */
function deleteError(failed: S3Failure, requestId: string | undefined): Error {
  const httpStatusCode = failed.Code === "AccessDenied" ? 403 : undefined;
  return Object.assign(new Error(`${failed.Message ?? ""} of "${failed.Key ?? "?"}"`), {
    name: failed.Code ?? "InternalError",
    $metadata: { httpStatusCode, requestId },
  });
}

/** The whole object's size, from a reply with all of it or a part. */
function totalBytesOf({ ContentRange, ContentLength }: GetObjectCommandOutput): number | undefined {
  if (ContentRange === undefined) return ContentLength;
  const total = /\/(\d+)$/.exec(ContentRange)?.[1];
  return total === undefined ? undefined : Number(total);
}

async function* only(bytes: Uint8Array): ByteSource {
  await Promise.resolve();
  yield bytes;
}
