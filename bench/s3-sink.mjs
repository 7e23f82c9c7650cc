#!/usr/bin/env node
/**
 * s3-sink.mjs [--rate BYTES] [KEY CERTIFICATE] — an S3 server that throws away what it is given, on a free port of the loopback, which it
 * prints. What is in the bucket `discard` has a size and a tag but no content, unless it is small; what is in `keep` is kept
 * in memory. Nothing is signed or checked, and a CRC-32 is echoed as the client sent it: the server is not what is measured.
 * With a rate it takes no more than that many bytes of bodies a second, as a link would.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

/** Manifests and leases are read back; chunks are not. */
const smallBytes = 1024 * 1024;
const objects = new Map();
const uploads = new Map();
let serial = 0;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { rate: { type: "string" } } });
const bytesPerMs = values.rate === undefined ? Infinity : Number(values.rate) / 1000;
/** When all that was taken so far would have come over a link of that rate; in ms, as performance.now(). */
let takenAt = 0;
const [keyFile, certificateFile] = positionals;
const server =
  keyFile === undefined ? createServer() : createTlsServer({ key: readFileSync(keyFile), cert: readFileSync(certificateFile) });
server.on("request", (request, reply) => {
  respond(request).then(
    ({ status = 200, headers = {}, body = "" }) => {
      reply.writeHead(status, { "content-length": Buffer.byteLength(body), "x-amz-request-id": "sink", ...headers });
      reply.end(request.method === "HEAD" ? undefined : body);
    },
    () => reply.destroy(),
  );
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().once("end", () => process.exit()); // whoever started it has gone

async function respond(request) {
  const { pathname, searchParams } = new URL(request.url, "http://sink");
  const [, bucket, ...rest] = pathname.split("/").map(decodeURIComponent);
  const call = { request, headers: request.headers, query: searchParams, path: `${bucket}/${rest.join("/")}`, key: rest.join("/"), bucket };
  const keeps = bucket === "keep" || Number(request.headers["content-length"] ?? 0) <= smallBytes;
  call.body = await receive(request, keeps);
  if (call.key === "") return ofBucket(call);
  switch (request.method) {
    case "PUT":
      return call.query.has("partNumber") ? putPart(call) : putObject(call);
    case "POST":
      return call.query.has("uploads") ? createUpload(call) : completeUpload(call);
    case "DELETE":
      uploads.delete(call.query.get("uploadId"));
      if (!call.query.has("uploadId")) objects.delete(call.path);
      return { status: 204 };
    default:
      return readObject(call);
  }
}

/** Counts a body, and keeps it when asked to. */
async function receive(request, keeps) {
  const pieces = [];
  let sizeBytes = 0;
  request.on("data", (piece) => {
    sizeBytes += piece.length;
    if (keeps) pieces.push(piece);
    if (bytesPerMs < Infinity) pace(request, piece.length);
  });
  await once(request, "end");
  const decodedBytes = request.headers["x-amz-decoded-content-length"];
  const bytes = keeps ? Buffer.concat(pieces) : null;
  if (decodedBytes === undefined) return { sizeBytes, bytes };
  return { sizeBytes: Number(decodedBytes), bytes: bytes === null ? null : withoutFrames(bytes) };
}

/** Stops reading for as long as the link would need. */
function pace(request, bytes) {
  takenAt = Math.max(takenAt, performance.now()) + bytes / bytesPerMs;
  const restMs = takenAt - performance.now();
  if (restMs < 5) return; // timers are no finer
  request.pause();
  sleep(restMs).then(() => request.resume());
}

/** The body of `aws-chunked`: `SIZE[;…]CRLF bytes CRLF`, up to a size of 0. */
function withoutFrames(framed) {
  const pieces = [];
  for (let at = 0; ; ) {
    const lineEnd = framed.indexOf("\r\n", at);
    const sizeBytes = Number.parseInt(framed.toString("latin1", at, lineEnd), 16);
    if (!(sizeBytes > 0)) return Buffer.concat(pieces);
    pieces.push(framed.subarray(lineEnd + 2, lineEnd + 2 + sizeBytes));
    at = lineEnd + 2 + sizeBytes + 2;
  }
}

function newObject(sizeBytes, pieces, headers) {
  serial += 1;
  const metadata = Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-")));
  return { sizeBytes, pieces, metadata, etag: `sink-${serial}`, modifiedAt: new Date() };
}

function receipt({ etag }, headers) {
  const crc = headers["x-amz-checksum-crc32"];
  return { etag: `"${etag}"`, ...(crc === undefined ? {} : { "x-amz-checksum-crc32": crc }) };
}

function putObject({ path, body, headers }) {
  const there = objects.get(path);
  const wanted = headers["if-match"];
  if ((headers["if-none-match"] === "*" && there !== undefined) || (wanted !== undefined && wanted !== `"${there?.etag}"`)) {
    return { status: 412, body: "<Error><Code>PreconditionFailed</Code></Error>" };
  }
  const object = newObject(body.sizeBytes, body.bytes === null ? null : [body.bytes], headers);
  objects.set(path, object);
  return { headers: receipt(object, headers) };
}

function createUpload({ headers }) {
  serial += 1;
  uploads.set(String(serial), { parts: new Map(), headers });
  return { body: `<InitiateMultipartUploadResult><UploadId>${serial}</UploadId></InitiateMultipartUploadResult>` };
}

function putPart({ query, body, headers }) {
  const part = newObject(body.sizeBytes, body.bytes === null ? null : [body.bytes], {});
  uploads.get(query.get("uploadId"))?.parts.set(Number(query.get("partNumber")), part);
  return { headers: receipt(part, headers) };
}

function completeUpload({ path, query }) {
  const upload = uploads.get(query.get("uploadId"));
  if (upload === undefined) return { status: 404, body: "<Error><Code>NoSuchUpload</Code></Error>" };
  const parts = [...upload.parts].sort(([left], [right]) => left - right).map(([, part]) => part);
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  const pieces = parts.every((part) => part.pieces !== null) ? parts.flatMap((part) => part.pieces) : null;
  const object = newObject(sizeBytes, pieces, upload.headers);
  objects.set(path, object);
  uploads.delete(query.get("uploadId"));
  return { body: `<CompleteMultipartUploadResult><ETag>"${object.etag}"</ETag></CompleteMultipartUploadResult>` };
}

function readObject({ path, query, headers }) {
  const object = query.has("uploadId") ? undefined : objects.get(path);
  if (object === undefined) return { status: 404, body: "<Error><Code>NoSuchKey</Code></Error>" };
  const { sizeBytes, etag, modifiedAt, metadata } = object;
  const described = { etag: `"${etag}"`, "last-modified": modifiedAt.toUTCString(), "content-length": sizeBytes, ...metadata };
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "");
  const body = object.pieces === null ? "" : Buffer.concat(object.pieces);
  if (range === null || body === "") return { headers: described, body };
  const part = body.subarray(Number(range[1]), Number(range[2]) + 1);
  const contentRange = `bytes ${range[1]}-${Number(range[1]) + part.length - 1}/${sizeBytes}`;
  return { status: 206, headers: { ...described, "content-length": part.length, "content-range": contentRange }, body: part };
}

/** Lists (all at once), empties, and agrees to everything else. */
function ofBucket({ request, query, bucket, body }) {
  if (request.method === "POST" && query.has("delete")) {
    for (const [, key] of body.bytes.toString().matchAll(/<Key>(.*?)<\/Key>/g)) objects.delete(`${bucket}/${key}`);
    return { body: "<DeleteResult></DeleteResult>" };
  }
  if (query.has("uploads")) return { body: "<ListMultipartUploadsResult></ListMultipartUploadsResult>" };
  const start = `${bucket}/${query.get("prefix") ?? ""}`;
  const after = `${bucket}/${query.get("start-after") ?? ""}`;
  const entries = [...objects.keys()].filter((path) => path.startsWith(start) && path > after).sort().map((path) => {
    const { sizeBytes, etag, modifiedAt } = objects.get(path);
    const facts = `<Size>${sizeBytes}</Size><ETag>"${etag}"</ETag><LastModified>${modifiedAt.toISOString()}</LastModified>`;
    return `<Contents><Key>${path.slice(bucket.length + 1)}</Key>${facts}</Contents>`;
  });
  return { body: `<ListBucketResult><IsTruncated>false</IsTruncated>${entries.join("")}</ListBucketResult>` };
}
