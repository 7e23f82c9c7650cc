/**
 * The cutter against what else cuts a stream: stream-chunker, which copies quadratically, and lib-storage's buffering,
 * which is what its `Upload` does before a part is sent.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Upload } from "@aws-sdk/lib-storage";
import chunker from "stream-chunker";
import { cut } from "../dist/stream/cut.js";

const MiB = 1048576;
const slice = Buffer.alloc(64 * 1024, 7);

async function* source(bytes) {
  for (let sent = 0; sent < bytes; sent += slice.length) yield slice;
}

async function withCut(bytes, chunkBytes) {
  let count = 0;
  for await (const { body } of cut(source(bytes), { chunkBytes })) {
    for await (const piece of body) count += piece.length;
  }
  if (count !== bytes) throw new Error("cut lost bytes");
}

async function withStreamChunker(bytes, chunkBytes) {
  let count = 0;
  await pipeline(Readable.from(source(bytes), { objectMode: false }), chunker(chunkBytes, { flush: true }), async (chunks) => {
    for await (const chunk of chunks) count += chunk.length;
  });
  if (count !== bytes) throw new Error("stream-chunker lost bytes");
}

/** A client that takes parts and forgets them: what is left is lib-storage's own work. */
const forgetful = {
  config: {
    requestHandler: {},
    endpoint: async () => ({ hostname: "localhost", path: "/", protocol: "http:" }),
    forcePathStyle: true,
    requestChecksumCalculation: async () => "WHEN_REQUIRED",
  },
  send: async ({ constructor: { name } }) => (name === "CreateMultipartUploadCommand" ? { UploadId: "u" } : { ETag: "e" }),
};

async function withLibStorage(bytes, chunkBytes) {
  const params = { Bucket: "b", Key: "k", Body: Readable.from(source(bytes), { objectMode: false }) };
  await new Upload({ client: forgetful, params, partSize: chunkBytes, queueSize: 4 }).done();
}

export async function cutSuite() {
  return [8, 16].map((chunkMiB) => {
    const bytes = 128 * MiB;
    return {
      name: `${chunkMiB} MiB from 64 KiB slices`,
      bytes,
      contenders: [
        { name: "stream-chunker (baseline)", run: () => withStreamChunker(bytes, chunkMiB * MiB) },
        { name: "lib-storage Upload", run: () => withLibStorage(bytes, chunkMiB * MiB) },
        { name: "zferry cut", run: () => withCut(bytes, chunkMiB * MiB) },
      ],
    };
  });
}
