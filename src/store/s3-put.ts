/**
 * One object in one request, and what is the same for objects in parts: the condition a put may carry, and the headers
 * that let the server check what it received.
 */
import { PutObjectCommand } from "@aws-sdk/client-s3";
import type { Readable } from "node:stream";
import { KiB } from "../bytes.ts";
import { isZferryError } from "../errors.ts";
import { objectExists } from "./outcomes.ts";
import type { Payload } from "./parts.ts";
import { slicesOf } from "./parts.ts";
import { asS3Error, isMissing, isRefusedByCondition } from "./s3-errors.ts";
import type { S3Session } from "./s3-session.ts";
import { etagOf, storedObject } from "./s3-session.ts";
import type { ObjectKey, PutOptions, StoredObject } from "./store.ts";
import { truncatedReply } from "./transient.ts";

/** Up to here a body goes as one buffer, and is signed: the hash costs less than the machinery. */
const oneWriteBytes = 256 * KiB;

/** Headers by which the server checks a body. */
export function checksumHeaders({ checksum }: Payload): {
  ChecksumCRC32?: string;
  ChecksumAlgorithm?: "CRC32";
  ContentMD5?: string;
} {
  return checksum.kind === "crc32"
    ? { ChecksumCRC32: checksum.base64, ChecksumAlgorithm: "CRC32" }
    : { ContentMD5: checksum.base64 };
}

/** Headers by which the server decides a conditional write; none for a provider that does not. */
export function conditionHeaders(
  when: PutOptions["when"],
  isHonoured: boolean,
): { IfNoneMatch?: "*"; IfMatch?: string } {
  if (when === "replace" || !isHonoured) return {};
  return when === "create" ? { IfNoneMatch: "*" } : { IfMatch: `"${when.etag}"` };
}

/**
 * Looks whether the condition holds now, for a server that might not look by itself.
 *
 * @throws ZferryError `object-exists`
 */
export async function checkCondition(session: S3Session, key: ObjectKey, options: PutOptions): Promise<void> {
  const { when, signal } = options;
  if (when === "replace") return;
  const found = await session.head(key, signal);
  const holds = when === "create" ? found === null : found !== null && etagOf(found) === when.etag;
  if (!holds) throw objectExists(key, session.url, when);
}

/** The body for one attempt, sent by `send`; a reply to a body that was not read to its end is none. */
export async function sendBody<T>(bytes: Uint8Array, send: (body: Uint8Array | Readable) => Promise<T>): Promise<T> {
  if (bytes.length <= oneWriteBytes) return send(bytes);
  const body = slicesOf(bytes);
  const reply = await send(body);
  if (!body.readableEnded) throw truncatedReply("the server answered before it had read the body");
  return reply;
}

/** Puts one object with one PutObject, once. */
export async function putWhole(
  session: S3Session,
  key: ObjectKey,
  payload: Payload,
  options: PutOptions,
): Promise<StoredObject> {
  const { when, signal } = options;
  const { conditions } = session.provider;
  if (conditions !== "atomic") await checkCondition(session, key, options);
  const input = {
    ...session.target(key),
    ...checksumHeaders(payload),
    ...conditionHeaders(when, conditions !== "none"),
    ContentLength: payload.bytes.length,
  };
  try {
    const etag = await session.once(
      async (http) => {
        const reply = await sendBody(payload.bytes, (Body) =>
          session.client.send(new PutObjectCommand({ ...input, Body }), http),
        );
        return etagOf({ ETag: session.checkReceipt(payload, reply) });
      },
      { signal, bodyBytes: payload.bytes.length },
    );
    if (payload.bytes.length > 0) options.onStored?.(payload.bytes.length);
    return await seenAsPut(session, key, { sizeBytes: payload.bytes.length, etag }, signal);
  } catch (error) {
    if (signal.aborted || isZferryError(error)) throw error;
    // `If-Match` on a key that is gone is a 404 (docs.aws PutObject).
    if (isRefusedByCondition(error) || (typeof when === "object" && isMissing(error))) {
      throw objectExists(key, session.url, when, error);
    }
    throw asS3Error(error, `put "${key}" into "${session.url}"`);
  }
}

/**
 * What was put, with the time the store gives it; our own version even if another writer has replaced it already.
 *
 * @throws an error worth another try when nothing is there: a 200 is not believed against the store's own word
 */
async function seenAsPut(
  session: S3Session,
  key: ObjectKey,
  put: { readonly sizeBytes: number; readonly etag: string },
  signal: AbortSignal,
): Promise<StoredObject> {
  const found = await session.head(key, signal);
  if (found === null) throw truncatedReply("the server said 200, and has no such object");
  if (etagOf(found) !== put.etag) return { key, ...put, modifiedAt: new Date() };
  return storedObject(key, found);
}
