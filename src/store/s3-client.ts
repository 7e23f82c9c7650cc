/**
 * The client of one bucket: whose it is, how it connects, and how long it waits. Everything the SDK would do by itself
 * and does not do well enough (checksums, 100-continue, retries, timeouts) is switched off or set here.
 */
import { readFile } from "node:fs/promises";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { rootCertificates } from "node:tls";
import { S3Client } from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { ZferryError } from "../errors.ts";
import type { Credentials, Environment } from "./credentials.ts";
import { findCredentials } from "./credentials.ts";
import type { RetryPolicy } from "./retry.ts";
import { boundReplies } from "./s3-replies.ts";
import { S3Store } from "./s3.ts";
import { type S3Location, s3UrlOf } from "./url.ts";

/** Until a connection stands. */
const connectMs = 10_000;
/** No byte either way. R2 and AWS answer within seconds; a part that is being read keeps the socket busy. */
const defaultIdleMs = 60_000;
/**
 * Sockets beyond the parts in flight: heads, lists and deletes must never wait for one, because the SDK counts that
 * wait as connecting.
 */
const spareSockets = 32;

const say = (): void => undefined;
/** The SDK writes to the console otherwise, once for each failed part; `onRetry` tells the user already. */
const silence = { trace: say, debug: say, info: say, warn: say, error: say };

export interface BucketOptions {
  /** Not checked against the provider's limits: `openStore` does that. */
  readonly partBytes: number;
  readonly concurrency: number;
  readonly retry: RetryPolicy;
  readonly onPart?: (change: 1 | -1) => void;
  readonly environment: Environment;
  /** Goes before all that is looked up. */
  readonly credentials?: Credentials | null;
  readonly idleMs?: number;
}

/** @throws ZferryError `store-denied` (no credentials), `secret-unusable` or `usage` (a file that cannot be read) */
export async function openBucket(location: S3Location, options: BucketOptions): Promise<S3Store> {
  const { bucket, base, provider } = location;
  const idleMs = options.idleMs ?? defaultIdleMs;
  return new S3Store({
    client: await connect(location, { ...options, idleMs }),
    bucket,
    base,
    provider,
    url: s3UrlOf(location),
    partBytes: options.partBytes,
    concurrency: options.concurrency,
    policy: options.retry,
    ...(options.onPart === undefined ? {} : { onPart: options.onPart }),
    idleMs,
  });
}

interface ConnectOptions extends BucketOptions {
  readonly idleMs: number;
}

async function connect(location: S3Location, options: ConnectOptions): Promise<S3Client> {
  const { endpoint, region, pathStyle, profile, provider } = location;
  const credentials = options.credentials ?? (await findCredentials({ profile: location.profile, environment: options.environment }));
  if (credentials === null && provider.name !== "aws") refuseWithoutCredentials(location);
  const client = new S3Client({
    ...(endpoint === null ? {} : { endpoint: endpoint.href }),
    ...(region === null ? {} : { region }),
    ...(credentials === null ? {} : { credentials }),
    ...(profile === null ? {} : { profile }),
    forcePathStyle: pathStyle,
    // R2 never answers 100, and each part would wait six seconds for it on a connection of its own.
    expectContinueHeader: false,
    // The checksums we want are sent by us; the SDK's own would turn a body into chunks that B2 and R2 refuse.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // `retry.ts` does that. The SDK's counts tries, gives up after 36 of them and leaves out 408, 520 and BadDigest.
    maxAttempts: 1,
    logger: silence,
    requestHandler: await httpHandler(location, options),
  });
  boundReplies(client);
  return client;
}

async function httpHandler(location: S3Location, options: ConnectOptions): Promise<NodeHttpHandler> {
  const sockets = { keepAlive: true, maxSockets: options.concurrency + spareSockets };
  const ca = location.caFile === null ? {} : { ca: [...rootCertificates, await readCertificate(location.caFile)] };
  return new NodeHttpHandler({
    httpAgent: new HttpAgent(sockets),
    httpsAgent: new HttpsAgent({ ...sockets, ...ca }),
    connectionTimeout: connectMs,
    socketTimeout: options.idleMs,
    requestTimeout: options.idleMs,
    // Without it the SDK only writes a warning, and waits for ever.
    throwOnRequestTimeout: true,
  });
}

function refuseWithoutCredentials({ bucket, profile }: S3Location): never {
  const where = profile === null ? "" : ` in the profile "${profile}"`;
  throw new ZferryError("store-denied", `there are no credentials for the bucket "${bucket}"${where}`, {
    hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with ?profile=",
  });
}

async function readCertificate(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new ZferryError("usage", `cannot read the certificate "${path}"`, { hint: "check ?ca=", cause: error });
  }
}
