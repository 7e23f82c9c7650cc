/**
 * Objects with words of their own beside them (user metadata), uploaded by `Upload` of `@aws-sdk/lib-storage`: one request
 * for small ones, parts for others. For the files of `mode: files`; streams go by `multipart.ts`.
 *
 * The library sees to parts and their order. What it leaves out is put under it, into the client it is given: every
 * request is retried by itself, checked by a checksum, and bound in time; one that fails for good ends the reading of the
 * body, which the library would read on to its end; an upload that fails is aborted even when it was cancelled; and what is
 * there in the end is looked at.
 */
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  PutObjectCommand,
  type PutObjectCommandOutput,
  S3Client,
  UploadPartCommand,
  type UploadPartCommandOutput,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import type { ByteSource } from "../bytes.ts";
import { MiB } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { type LinkedController, linkedController } from "./abort.ts";
import { checksumOf } from "./parts.ts";
import { retry } from "./retry.ts";
import { asS3Error, isNoUpload } from "./s3-errors.ts";
import { checksumHeaders, sendBody } from "./s3-put.ts";
import type { S3Session } from "./s3-session.ts";
import { storedObject } from "./s3-session.ts";
import type { ObjectKey, StoredObject, UploadOptions } from "./store.ts";
import { truncatedReply } from "./transient.ts";

/** User metadata that tells this upload from another's under the same key. */
const tokenName = "zferry-upload";
/** How long a failed upload may take to clean up behind itself. */
const cleanupMs = 10_000;
/** Parts that are planned for at most, of the 10,000 that there may be: files grow. */
const plannedParts = 9000;
/** Idle times for Complete, as in `multipart.ts`. */
const completePatience = 30;

interface Uploading {
  readonly session: S3Session;
  readonly key: ObjectKey;
  readonly token: string;
  readonly run: LinkedController;
}

/** @throws what `body` throws, and the store's codes; then nothing of it is visible */
export async function uploadNoted(session: S3Session, partBytes: number, { key, body, notes, inFlight, expectedBytes, signal }: UploadOptions): Promise<StoredObject> {
  const run = linkedController(signal);
  const uploading = { session, key, token: randomBytes(8).toString("hex"), run };
  const sent = { bytes: 0 };
  const stream = Readable.from(counted(body, sent, run.signal), { objectMode: false });
  stream.on("error", () => undefined); // told by the library, or of no more interest
  try {
    const upload = new Upload({
      client: clientFor(uploading),
      params: { ...session.target(key), Body: stream, Metadata: { ...notes, [tokenName]: uploading.token } },
      partSize: Math.max(partBytes, Math.ceil(expectedBytes / plannedParts / MiB) * MiB),
      queueSize: inFlight,
    });
    await upload.done();
    signal.throwIfAborted();
    return await lookAt(uploading, sent.bytes);
  } catch (error) {
    run.abort(error);
    throw signal.aborted ? signal.reason : asS3Error(run.signal.reason, `put "${key}" into "${session.url}"`);
  } finally {
    stream.destroy();
    run.release();
  }
}

async function* counted(body: ByteSource, sent: { bytes: number }, signal: AbortSignal): ByteSource {
  for await (const piece of body) {
    signal.throwIfAborted();
    sent.bytes += piece.length;
    yield piece;
  }
}

/** The session's client, as the library uses one, with what it does not do by itself. */
function clientFor(uploading: Uploading): S3Client {
  const client = Object.create(uploading.session.client) as S3Client;
  const send = async (command: Parameters<S3Client["send"]>[0]): Promise<unknown> => {
    const isCleanup = command instanceof AbortMultipartUploadCommand;
    const signal = isCleanup ? AbortSignal.timeout(cleanupMs) : uploading.run.signal;
    try {
      return await sendPatiently(command, uploading, signal);
    } catch (error) {
      if (!isCleanup) uploading.run.abort(error); // the library's other lanes would read on
      throw error;
    }
  };
  return Object.assign(client, { send });
}

function sendPatiently(command: Parameters<S3Client["send"]>[0], uploading: Uploading, signal: AbortSignal): Promise<unknown> {
  const { session, key } = uploading;
  const what = `putting "${key}"`;
  return retry(
    async (attempt) => {
      try {
        if (command instanceof PutObjectCommand || command instanceof UploadPartCommand) return await sendPayload(command, session, signal);
        if (command instanceof CreateMultipartUploadCommand) return await createUpload(command, session, signal);
        const patience = command instanceof CompleteMultipartUploadCommand ? { patience: completePatience } : {};
        return await session.once((http) => session.client.send(command as never, http), { signal, ...patience });
      } catch (error) {
        if (attempt > 1 && command instanceof CompleteMultipartUploadCommand && isNoUpload(error)) return completed(uploading, error, signal);
        if (command instanceof AbortMultipartUploadCommand && isNoUpload(error)) return {};
        throw error;
      }
    },
    { what, policy: session.policy, signal },
  );
}

/** Parts with a CRC-32 are refused by AWS unless this was said before; the library says it only of checksums of its own. */
function createUpload({ input }: CreateMultipartUploadCommand, session: S3Session, signal: AbortSignal): Promise<CreateMultipartUploadCommandOutput> {
  const checksum = session.checksumKind === "crc32" ? { ChecksumAlgorithm: "CRC32" as const } : {};
  return session.once((http) => session.client.send(new CreateMultipartUploadCommand({ ...input, ...checksum }), http), { signal });
}

type PayloadReply = PutObjectCommandOutput | UploadPartCommandOutput;

/** With the headers by which the server checks what it receives, and a look at what it says it has. */
async function sendPayload(command: PutObjectCommand | UploadPartCommand, session: S3Session, signal: AbortSignal): Promise<PayloadReply> {
  const bytes = command.input.Body;
  if (!(bytes instanceof Uint8Array)) throw new ZferryError("bug", "a part that is no bytes");
  const payload = { bytes, checksum: checksumOf(bytes, session.checksumKind) };
  const headers = { ...checksumHeaders(payload), ContentLength: bytes.length };
  return session.once(
    async (http) => {
      const reply = await sendBody(bytes, (Body) => {
        if (command instanceof UploadPartCommand) return session.client.send(new UploadPartCommand({ ...command.input, ...headers, Body }), http);
        return session.client.send(new PutObjectCommand({ ...command.input, ...headers, Body }), http);
      });
      session.checkReceipt(payload, reply);
      return reply;
    },
    { signal, bodyBytes: bytes.length },
  );
}

/** A Complete whose answer was lost had done its work, if the object is this upload's. */
async function completed({ session, key, token }: Uploading, error: unknown, signal: AbortSignal): Promise<Partial<CompleteMultipartUploadCommandOutput>> {
  const found = await session.head(key, signal);
  if (found?.Metadata?.[tokenName] !== token) throw error;
  return {};
}

/** Nobody's word is taken for it: the object is there, it is ours, and all of it. */
async function lookAt({ session, key, token, run }: Uploading, sentBytes: number): Promise<StoredObject> {
  return retry(
    async () => {
      const found = await session.head(key, run.signal);
      if (found === null) throw truncatedReply("the server said 200, and has no such object");
      const object = storedObject(key, found);
      if (found.Metadata?.[tokenName] === token && object.sizeBytes === sentBytes) return object;
      throw new ZferryError("store-failed", `"${key}" in "${session.url}" is not what was sent: ${object.sizeBytes} of ${sentBytes} bytes`);
    },
    { what: `looking at "${key}"`, policy: session.policy, signal: run.signal },
  );
}
