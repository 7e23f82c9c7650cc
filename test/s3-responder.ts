/**
 * The least S3 server that a store can be tested against on any machine: one bucket, in memory, on loopback. It checks
 * what real servers check and clients get wrong (length, MD5, CRC-32, conditions, part sizes as R2 wants them) and signs
 * nothing: signatures are what the tests with a real server are for.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { crc32 } from "node:zlib";

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

interface HeldObject {
  readonly bytes: Buffer;
  readonly etag: string;
  readonly modifiedAt: Date;
  readonly metadata: Readonly<Record<string, string>>;
}

interface HeldUpload {
  readonly key: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether its parts come with a CRC-32, which has to be said when it is begun. */
  readonly hasCrc32: boolean;
  readonly parts: Map<number, HeldObject>;
}

export interface S3Responder {
  readonly port: number;
  readonly requests: SeenRequest[];
  readonly objects: Map<string, HeldObject>;
  readonly uploads: Map<string, HeldUpload>;
  close(): Promise<void>;
}

interface ResponderOptions {
  readonly bucket: string;
  /** Whether CRC-32 is verified and echoed, as AWS and RGW 20 do; the others ignore the header. */
  readonly knowsCrc32: boolean;
  /** Keys that nothing can be written to now: 503, and to be tried again in half a minute. */
  readonly busy?: RegExp;
}

/** A refusal, in S3's words. */
class Refusal extends Error {
  readonly status: number;
  readonly s3Code: string;

  constructor(status: number, s3Code: string) {
    super(s3Code);
    this.status = status;
    this.s3Code = s3Code;
  }
}

export async function startResponder({ bucket, knowsCrc32, busy }: ResponderOptions): Promise<S3Responder> {
  const requests: SeenRequest[] = [];
  const state: State = { objects: new Map(), uploads: new Map(), knowsCrc32, busy };
  const server = createServer((request, reply) => {
    const { method = "", url = "", headers } = request;
    requests.push({ method, url, headers });
    respond(state, bucket, request, reply).catch((error: unknown) => {
      refuse(request, reply, error);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    objects: state.objects,
    uploads: state.uploads,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

interface State extends Pick<S3Responder, "objects" | "uploads"> {
  readonly knowsCrc32: boolean;
  readonly busy: RegExp | undefined;
}

interface Call {
  readonly state: State;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Buffer | string;
}

function refuse(request: IncomingMessage, reply: ServerResponse, error: unknown): void {
  const refusal = error instanceof Refusal ? error : new Refusal(500, "InternalError");
  request.resume();
  reply.writeHead(refusal.status, { "content-type": "application/xml", "x-amz-request-id": "test-request", ...(refusal.status === 503 ? { "retry-after": "30" } : {}) });
  reply.end(
    request.method === "HEAD" ? undefined : `<Error><Code>${refusal.s3Code}</Code><Message>no</Message></Error>`,
  );
}

async function respond(state: State, bucket: string, request: IncomingMessage, reply: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "", "http://localhost");
  const [, asked = "", ...rest] = url.pathname.split("/").map(decodeURIComponent);
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  if (asked !== bucket) throw new Refusal(404, "NoSuchBucket");
  const call = {
    state,
    key: rest.join("/"),
    query: url.searchParams,
    headers: request.headers,
    body: Buffer.concat(pieces),
  };
  if (request.method === "PUT" && state.busy?.test(call.key) === true) throw new Refusal(503, "SlowDown");
  const handler = handlers[request.method ?? ""];
  if (handler === undefined) throw new Refusal(501, "NotImplemented");
  const answer = handler(call);
  reply.writeHead(answer.status ?? 200, { "content-length": Buffer.byteLength(answer.body ?? ""), ...answer.headers });
  reply.end(request.method === "HEAD" ? undefined : answer.body);
}

const handlers: Readonly<Record<string, (call: Call) => Answer>> = {
  PUT: (call) => (call.query.has("partNumber") ? putPart(call) : putObject(call)),
  POST: (call) => {
    if (call.query.has("uploads")) return createUpload(call);
    return call.query.has("delete") ? deleteObjects(call) : completeUpload(call);
  },
  GET: (call) => {
    if (call.query.has("list-type")) return listObjects(call);
    if (call.query.has("uploads")) return listUploads(call);
    return call.query.has("uploadId") ? listParts(call) : getObject(call);
  },
  HEAD: (call) => ({ headers: headersOf(found(call)) }),
  DELETE: (call) => (call.query.has("uploadId") ? abortUpload(call) : deleteObject(call)),
};

/** Checks a body as it came and gives back what it is stored as. */
function received({ state, headers, body }: Call, metadata = {}): { held: HeldObject; reply: Record<string, string> } {
  if (headers["content-length"] === undefined) throw new Refusal(411, "MissingContentLength");
  const md5 = createHash("md5").update(body);
  const etag = md5.copy().digest("hex");
  const wanted = headers["content-md5"];
  if (wanted !== undefined && wanted !== md5.digest("base64")) throw new Refusal(400, "BadDigest");
  const reply: Record<string, string> = { etag: `"${etag}"` };
  const crc = headers["x-amz-checksum-crc32"];
  if (state.knowsCrc32 && typeof crc === "string") {
    const octets = Buffer.alloc(4);
    octets.writeUInt32BE(crc32(body));
    if (crc !== octets.toString("base64")) throw new Refusal(400, "BadDigest");
    reply["x-amz-checksum-crc32"] = crc;
  }
  return { held: { bytes: body, etag, modifiedAt: new Date(), metadata }, reply };
}

function checkConditions({ state, key, headers }: Call): void {
  const there = state.objects.get(key);
  if (headers["if-none-match"] === "*" && there !== undefined) throw new Refusal(412, "PreconditionFailed");
  const wanted = headers["if-match"];
  if (wanted === undefined) return;
  if (there === undefined) throw new Refusal(404, "NoSuchKey");
  if (wanted !== `"${there.etag}"`) throw new Refusal(412, "PreconditionFailed");
}

function putObject(call: Call): Answer {
  checkConditions(call);
  const { held, reply } = received(call, metadataOf(call));
  call.state.objects.set(call.key, held);
  return { headers: reply };
}

function metadataOf({ headers }: Call): Record<string, string> {
  const own = Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-"));
  return Object.fromEntries(own.map(([name, value]) => [name, String(value)]));
}

function createUpload(call: Call): Answer {
  const uploadId = randomBytes(8).toString("hex");
  const hasCrc32 = call.headers["x-amz-checksum-algorithm"] === "CRC32";
  call.state.uploads.set(uploadId, { key: call.key, metadata: metadataOf(call), hasCrc32, parts: new Map() });
  return { body: `<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>` };
}

/** All of them on one page, begun when they are asked for. */
function listUploads({ state, query }: Call): Answer {
  const own = [...state.uploads].filter(([, { key }]) => key.startsWith(query.get("prefix") ?? ""));
  const begun = new Date().toISOString();
  const entries = own.map(([id, { key }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${begun}</Initiated></Upload>`);
  return { body: `<ListMultipartUploadsResult>${entries.join("")}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>` };
}

function uploadOf({ state, query, key }: Call): HeldUpload {
  const upload = state.uploads.get(query.get("uploadId") ?? "");
  if (upload?.key !== key) throw new Refusal(404, "NoSuchUpload");
  return upload;
}

/** As AWS: "Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc32" (aws-sdk-js-v3#6922). */
function putPart(call: Call): Answer {
  const upload = uploadOf(call);
  const hasCrc32 = call.headers["x-amz-checksum-crc32"] !== undefined;
  if (call.state.knowsCrc32 && hasCrc32 !== upload.hasCrc32) throw new Refusal(400, "InvalidRequest");
  const { held, reply } = received(call);
  upload.parts.set(Number(call.query.get("partNumber")), held);
  return { headers: reply };
}

/** Parts as the client lists them, of equal size but the last (cloudflare-docs r2/objects/multipart-objects). */
function completeUpload(call: Call): Answer {
  const upload = uploadOf(call);
  checkConditions(call);
  const xml = call.body.toString();
  const numbers = [...xml.matchAll(/<PartNumber>(\d+)</g)].map((match) => Number(match[1]));
  const parts = numbers.map((number) => upload.parts.get(number));
  if (numbers.length === 0 || !parts.every((part) => part !== undefined)) throw new Refusal(400, "InvalidPart");
  if (call.state.knowsCrc32 && upload.hasCrc32 && xml.split("<ChecksumCRC32>").length - 1 !== numbers.length) throw new Refusal(400, "InvalidRequest");
  const sizes = parts.map((part) => part.bytes.length);
  const firstBytes = sizes[0] ?? 0;
  if (sizes.slice(0, -1).some((size) => size !== firstBytes) || (sizes.at(-1) ?? 0) > firstBytes) {
    throw new Refusal(400, "InvalidPart");
  }
  const md5s = parts.map((part) => part.etag).join("");
  const etag = `${createHash("md5").update(md5s, "hex").digest("hex")}-${parts.length}`;
  const bytes = Buffer.concat(parts.map((part) => part.bytes));
  call.state.objects.set(call.key, { bytes, etag, modifiedAt: new Date(), metadata: upload.metadata });
  call.state.uploads.delete(call.query.get("uploadId") ?? "");
  return { body: `<CompleteMultipartUploadResult><ETag>"${etag}"</ETag></CompleteMultipartUploadResult>` };
}

function abortUpload(call: Call): Answer {
  uploadOf(call);
  call.state.uploads.delete(call.query.get("uploadId") ?? "");
  return { status: 204 };
}

function listParts(call: Call): Answer {
  uploadOf(call);
  return { body: "<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>" };
}

function found({ state, key, headers }: Call): HeldObject {
  const object = state.objects.get(key);
  if (object === undefined) throw new Refusal(404, "NoSuchKey");
  const wanted = headers["if-match"];
  if (wanted !== undefined && wanted !== `"${object.etag}"`) throw new Refusal(412, "PreconditionFailed");
  return object;
}

function headersOf(object: HeldObject): Record<string, string | number> {
  const { bytes, etag, modifiedAt, metadata } = object;
  return { etag: `"${etag}"`, "last-modified": modifiedAt.toUTCString(), "content-length": bytes.length, ...metadata };
}

function getObject(call: Call): Answer {
  const object = found(call);
  const range = /^bytes=(\d+)-(\d+)$/.exec(call.headers.range ?? "");
  if (range === null) return { headers: headersOf(object), body: object.bytes };
  const [start, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, object.bytes.length)];
  if (start >= object.bytes.length) throw new Refusal(416, "InvalidRange");
  const body = object.bytes.subarray(start, end);
  const contentRange = `bytes ${start}-${end - 1}/${object.bytes.length}`;
  const headers = { ...headersOf(object), "content-length": body.length, "content-range": contentRange };
  return { status: 206, headers, body };
}

function deleteObject({ state, key }: Call): Answer {
  state.objects.delete(key);
  return { status: 204 };
}

function deleteObjects({ state, body }: Call): Answer {
  for (const [, key = ""] of body.toString().matchAll(/<Key>(.*?)<\/Key>/g)) state.objects.delete(unescapeXml(key));
  return { body: "<DeleteResult></DeleteResult>" };
}

/** Pages of a hundred, so that small tests turn pages. */
const pageLength = 100;

function listObjects({ state, query }: Call): Answer {
  const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
  const keys = [...state.objects.keys()]
    .filter((key) => key.startsWith(query.get("prefix") ?? ""))
    .sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
    .filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
  const entries = keys.slice(0, pageLength).map((key) => {
    const object = state.objects.get(key);
    const size = `<Size>${object?.bytes.length ?? 0}</Size><ETag>"${object?.etag ?? ""}"</ETag>`;
    const time = `<LastModified>${object?.modifiedAt.toISOString() ?? ""}</LastModified>`;
    return `<Contents><Key>${escapeXml(key)}</Key>${size}${time}</Contents>`;
  });
  const last = keys[pageLength - 1];
  const next =
    keys.length > pageLength && last !== undefined
      ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${escapeXml(last)}</NextContinuationToken>`
      : "<IsTruncated>false</IsTruncated>";
  return { body: `<ListBucketResult>${next}${entries.join("")}</ListBucketResult>` };
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

const characters = new Map(Object.entries({ lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" }));

function unescapeXml(text: string): string {
  return text.replace(/&([a-z]+);/g, (entity, name: string) => characters.get(name) ?? entity);
}
