/**
 * What all requests to one bucket share: the client, the keys' prefix, the provider's quirks, the pools, and one way of
 * making a request that leaves nothing behind when it fails.
 */
import { createHash } from "node:crypto";
import type { HeadObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { GetObjectCommand, HeadObjectCommand } from "@aws-sdk/client-s3";
import { KiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import type { LinkedController } from "./abort.ts";
import { linkedController, reasonOf, withinTime } from "./abort.ts";
import { checkKey } from "./keys.ts";
import type { ChecksumKind, Payload } from "./parts.ts";
import { Pool } from "./pool.ts";
import type { Provider } from "./providers.ts";
import type { RetryPolicy } from "./retry.ts";
import { asS3Error, isMissing } from "./s3-errors.ts";
import type { ObjectKey, StoredObject } from "./store.ts";
import { badDigest, truncatedReply } from "./transient.ts";

/** Options of one `client.send`. */
export interface HttpOptions {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout: number;
}

interface RequestOptions {
  readonly signal: AbortSignal;
  /** Bytes of the request's body. */
  readonly bodyBytes?: number;
  /** How many idle times it may take from its beginning to the reply's last byte, besides those for the body; else {@link usualPatience}. */
  readonly patience?: number;
}

export interface S3SessionOptions {
  readonly client: S3Client;
  readonly bucket: string;
  /** Before every key: empty, or ends with a slash. */
  readonly base: string;
  readonly url: string;
  readonly provider: Provider;
  readonly partBytes: number;
  /** Part uploads in flight, over all puts of the store. */
  readonly concurrency: number;
  readonly policy: RetryPolicy;
  readonly onPart?: (change: 1 | -1) => void;
  /** No byte either way for this long ends a request. */
  readonly idleMs: number;
}

/**
 * Idle times, so five minutes: a server is idle for no longer than one before it answers, and the largest reply that is
 * honest, a page of a listing of some MiB, comes within the others over any line a backup can be made over. Without it a
 * reply that comes byte by byte, each within the idle time, would never end.
 */
const usualPatience = 5;

/** A body slower than this is not worth waiting for; it bounds a request whose bytes trickle. */
const slowestBytesPerMs = (16 * KiB) / 1000;

export class S3Session {
  readonly client: S3Client;
  readonly bucket: string;
  readonly url: string;
  readonly provider: Provider;
  readonly policy: RetryPolicy;
  readonly onPart: (change: 1 | -1) => void;
  /**
   * `concurrency` + 1 of them, of one part each, made when first needed: what is in flight, and one being filled, of this
   * object or of the next, which starts while this one ends. This is all the memory uploads take.
   */
  readonly buffers: Pool<Buffer>;
  /** Leave to have a part in flight. */
  readonly requests: Pool<symbol>;
  /** The provider's; `md5` once the server has left a CRC-32 unanswered. */
  checksumKind: ChecksumKind;
  readonly #base: string;
  readonly #idleMs: number;
  /** A 404 of a HEAD has no body to say whether the object or the bucket is missing. */
  #bucketSeen = false;

  constructor(options: S3SessionOptions) {
    this.client = options.client;
    this.bucket = options.bucket;
    this.url = options.url;
    this.provider = options.provider;
    this.policy = options.policy;
    this.onPart = options.onPart ?? (() => undefined);
    this.checksumKind = options.provider.checksum;
    this.buffers = new Pool<Buffer>(options.concurrency + 1, () => Buffer.allocUnsafeSlow(options.partBytes));
    this.requests = new Pool(options.concurrency, () => Symbol("request"));
    this.#base = options.base;
    this.#idleMs = options.idleMs;
  }

  /** The key as the bucket has it. */
  fullKey(key: ObjectKey): string {
    checkKey(`${this.#base}${key}`);
    return `${this.#base}${key}`;
  }

  /** Any start of a key, as the bucket has it. */
  fullPrefix(prefix: string): string {
    return `${this.#base}${prefix}`;
  }

  /**
   * A key from a list of what begins with `prefix`, as the store's users have it. What is listed may be deleted, so a
   * server's word is not taken for where it lies.
   *
   * @throws ZferryError `store-failed` for one that lies elsewhere
   */
  listedKey(fullKey: string, prefix: string): ObjectKey {
    const asked = this.fullPrefix(prefix);
    if (fullKey.startsWith(asked)) return fullKey.slice(this.#base.length);
    throw new ZferryError("store-failed", `"${this.url}" lists "${fullKey}", which is not under "${asked}"`, {
      hint: "check the endpoint: this is no answer of an S3 service",
    });
  }

  /** Bucket and key, as every command wants them. */
  target(key: ObjectKey): { Bucket: string; Key: string } {
    return { Bucket: this.bucket, Key: this.fullKey(key) };
  }

  /**
   * One request, once. When it has failed, its socket is destroyed as well: a server may refuse before it has read the
   * body, and the rest of a buffer that is reused would go on being sent.
   */
  async once<T>(work: (http: HttpOptions) => Promise<T>, options: RequestOptions): Promise<T> {
    const { signal } = options;
    const attempt = linkedController(signal);
    try {
      return await this.patiently(attempt, options, work);
    } catch (error) {
      attempt.abort(error);
      throw signal.aborted ? reasonOf(signal) : error;
    } finally {
      attempt.release();
    }
  }

  /** For a request that goes on when `work` has its reply's head, until it is aborted; {@link once} is for all others. */
  patiently<T>(
    request: LinkedController,
    { bodyBytes = 0, patience = usualPatience }: Omit<RequestOptions, "signal">,
    work: (http: HttpOptions) => Promise<T>,
  ): Promise<T> {
    const bodyMs = Math.ceil(bodyBytes / slowestBytesPerMs);
    const http = { abortSignal: request.signal, requestTimeout: this.#idleMs + bodyMs };
    return withinTime(request, this.#idleMs * patience + bodyMs, () => work(http));
  }

  /** Metadata of an object, null when there is none in a bucket that exists. */
  async head(key: ObjectKey, signal: AbortSignal): Promise<HeadObjectCommandOutput | null> {
    const what = `look for "${key}" in "${this.url}"`;
    try {
      const found = await this.once((http) => this.client.send(new HeadObjectCommand(this.target(key)), http), {
        signal,
      });
      this.#bucketSeen = true;
      return found;
    } catch (error) {
      if (signal.aborted || !isMissing(error)) throw signal.aborted ? reasonOf(signal) : asS3Error(error, what);
    }
    if (!this.#bucketSeen) await this.#checkBucket(key, signal, what);
    return null;
  }

  /** Asks with a verb whose refusal says what is missing, and which needs no permission beyond reading. */
  async #checkBucket(key: ObjectKey, signal: AbortSignal, what: string): Promise<void> {
    try {
      const command = new GetObjectCommand({ ...this.target(key), Range: "bytes=0-0" });
      await this.once(
        async (http) => {
          await this.client.send(command, http);
          throw truncatedReply("the object appeared between two looks");
        },
        { signal },
      );
    } catch (error) {
      if (signal.aborted) throw reasonOf(signal);
      if (!isMissing(error)) throw asS3Error(error, what);
      this.#bucketSeen = true;
    }
  }

  /**
   * Compares what the server says it received with what was sent, by its CRC-32 or else by the MD5 in its ETag. A reply
   * without an ETag is none: something on the way said 200 to a body that nobody stored.
   *
   * @returns the ETag as the server wrote it
   * @throws an error that is worth another try, up to three times for other bytes
   */
  checkReceipt(payload: Payload, reply: Receipt): string {
    const { ETag } = reply;
    if (ETag === undefined || etagOf(reply) === "") throw truncatedReply("the reply lacks an ETag");
    this.#compareReceipt(payload, reply);
    return ETag;
  }

  #compareReceipt(payload: Payload, reply: Receipt): void {
    const { kind, base64 } = payload.checksum;
    if (kind === "crc32" && reply.ChecksumCRC32 === base64) return;
    if (kind === "crc32" && reply.ChecksumCRC32 !== undefined) throw badDigest("the server received other bytes");
    // It ignores the header. What it does promise is checked from here on, at a higher price.
    if (kind === "crc32") this.checksumKind = "md5";
    else if (!this.provider.etagIsMd5) return; // It compared Content-MD5 itself.
    const md5 = kind === "md5" ? Buffer.from(base64, "base64") : createHash("md5").update(payload.bytes).digest();
    if (etagOf(reply) !== md5.toString("hex")) throw badDigest("the server received other bytes, by its ETag");
  }
}

/** What a server says about bytes it received. */
interface Receipt {
  readonly ETag?: string | undefined;
  readonly ChecksumCRC32?: string | undefined;
}

/** What a server says about an object it has. */
interface Found {
  readonly ContentLength?: number | undefined;
  readonly LastModified?: Date | undefined;
  readonly ETag?: string | undefined;
}

/** The entity tag without quotes. */
export function etagOf(reply: { readonly ETag?: string | undefined }): string {
  return (reply.ETag ?? "").replace(/^"|"$/g, "");
}

/** @throws an error worth another try when the reply lacks what every reply has */
export function storedObject(key: ObjectKey, found: Found, sizeBytes = found.ContentLength): StoredObject {
  const etag = etagOf(found);
  if (sizeBytes === undefined || found.LastModified === undefined || etag === "") {
    throw asS3Error(truncatedReply("the reply lacks size, time or ETag"), `learn about "${key}"`);
  }
  return { key, sizeBytes, modifiedAt: found.LastModified, etag };
}
