/**
 * How much of a reply is read. The SDK takes the whole of every reply that is not an object's content (listings,
 * receipts, and every refusal) into memory before it looks at it, however long a server makes it.
 */
import { Readable } from "node:stream";
import type { S3Client } from "@aws-sdk/client-s3";
import { KiB, MiB } from "../bytes.ts";
import { truncatedReply } from "./transient.ts";

/**
 * Most of one such reply. The longest that is honest is a page of a listing: a thousand keys of 1,024 bytes, escaped as
 * XML, and their upload ids, are below 8 MiB, and some servers can be set to longer pages.
 */
const maxReplyBytes = 16 * MiB;

/** What the SDK's HTTP handler gives; it types it as unknown. */
interface HttpReply {
  readonly statusCode: number;
  body: unknown;
}

/**
 * Reads those replies before the SDK does; a longer one is an error worth another try, because whoever stands in the way
 * of a store for a while may have sent it. An error of reading stays what it is: the SDK would give it the reply's status,
 * and half a 404 would be an object that is not there. An object's content is left alone, `S3Store.get` bounds that.
 */
export function boundReplies(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (request) => {
        const result = await next(request);
        const reply = result.response as HttpReply;
        const isContent = commandName === "GetObjectCommand" && reply.statusCode < 300;
        if (!isContent && reply.body instanceof Readable) reply.body = await wholeOf(reply.body);
        return result;
      },
    // The lowest of the last step sees the reply before anything that reads it.
    { step: "deserialize", priority: "low", name: "boundReplies" },
  );
}

/** All of it in one buffer that grows: a server may send a byte at a time, and a list of those takes a hundredfold. */
async function wholeOf(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  let buffer = Buffer.alloc(4 * KiB);
  let bytes = 0;
  for await (const piece of body) {
    const endBytes = bytes + piece.length;
    if (endBytes > maxReplyBytes) throw truncatedReply(`the reply is longer than ${maxReplyBytes / MiB} MiB`);
    if (endBytes > buffer.length) buffer = Buffer.concat([buffer], Math.max(endBytes, 2 * buffer.length));
    buffer.set(piece, bytes);
    bytes = endBytes;
  }
  return buffer.subarray(0, bytes);
}
