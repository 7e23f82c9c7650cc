/**
 * The S3 servers that uploads are measured against: the sink beside this file, started here, and a real one named by
 * ZFERRY_TEST_S3, in which a bucket of our own is made and removed.
 */
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, createWriteStream, readFileSync, writeFileSync } from "node:fs";
import { Agent } from "node:https";
import { fileURLToPath } from "node:url";
import { pipeline } from "node:stream/promises";
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { partBytes } from "./lines.mjs";
import { isData } from "./proof.mjs";
import { atEnd } from "./scratch.mjs";

const region = "us-east-1";
/** How long a real server is left alone after a run: Ceph collects what was deleted, and must neither fill up nor be busy. */
const settleMsPerGiB = 6000;

/**
 * Starts the sink; with `tls` it has a certificate that is made for the occasion, by openssl.
 *
 * @param bytesPerSecond - what it takes at most; null: as much as it can
 */
export async function openSink(bench, { tls = false, bytesPerSecond = null } = {}) {
  const pair = tls ? makeCertificate(bench) : [];
  const program = fileURLToPath(new URL("s3-sink.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, ...(bytesPerSecond === null ? [] : ["--rate", String(bytesPerSecond)]), ...pair], { stdio: ["pipe", "pipe", "inherit"] });
  const stop = atEnd(() => child.kill("SIGKILL"));
  const [port] = await once(child.stdout, "data");
  const endpoint = `${tls ? "https" : "http"}://127.0.0.1:${String(port).trim()}`;
  const account = { endpoint, accessKeyId: "bench", secretAccessKey: "bench", caFile: pair[1] ?? null };
  // Its tags are no MD5s, which rclone expects of Ceph.
  const target = makeTarget(bench, { ...account, name: sinkName(tls, bytesPerSecond), rcloneProvider: "Other" });
  return { ...target, bucket: "discard", proofBucket: "keep", settleMsPerGiB: 0, close: async () => stop() };
}

function sinkName(tls, bytesPerSecond) {
  const link = bytesPerSecond === null ? "" : ` behind ${(bytesPerSecond * 8) / 1e9} Gbit/s`;
  return `discarding sink${tls ? ", TLS" : ""}${link}`;
}

/** The server of ZFERRY_TEST_S3 (and ZFERRY_TEST_S3_ACCESS_KEY, ZFERRY_TEST_S3_SECRET_KEY), null when it is not named. */
export async function openRealStore(bench) {
  const { ZFERRY_TEST_S3: endpoint, ZFERRY_TEST_S3_ACCESS_KEY: accessKeyId, ZFERRY_TEST_S3_SECRET_KEY: secretAccessKey } = process.env;
  if (!endpoint || !accessKeyId || !secretAccessKey) return null;
  const target = makeTarget(bench, { endpoint, accessKeyId, secretAccessKey, caFile: null, name: "real S3 server", rcloneProvider: "Ceph" });
  const bucket = `zferry-bench-${randomBytes(6).toString("hex")}`;
  await target.client.send(new CreateBucketCommand({ Bucket: bucket }));
  const close = async () => {
    await target.empty(bucket);
    await target.client.send(new DeleteBucketCommand({ Bucket: bucket }));
  };
  return { ...target, bucket, proofBucket: bucket, settleMsPerGiB, close };
}

function makeTarget(bench, account) {
  const { name, endpoint, accessKeyId, secretAccessKey, caFile } = account;
  const trust = caFile === null ? "" : `&ca=${caFile}`;
  const handler = caFile === null ? {} : { httpsAgent: new Agent({ ca: readFileSync(caFile) }) };
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    requestHandler: new NodeHttpHandler(handler),
  });
  return {
    name,
    client,
    env: environment(bench, account),
    /** For `--store`. Ceph's row has the checksum that costs least, CRC-32. */
    url: (bucket, folder) => `s3://${bucket}/${folder}?endpoint=${endpoint}&region=${region}&provider=ceph${trust}`,
    sizes: async (bucket, folder) => (await list(client, bucket, folder)).filter(({ Key }) => isData(Key)).map(({ Size }) => Size),
    fetch: (bucket, folder, into) => fetchAll(client, { bucket, folder, into }),
    empty: (bucket) => empty(client, bucket),
  };
}

/** For every program that uploads, each in its own words. */
function environment({ scratch }, { endpoint, accessKeyId, secretAccessKey, caFile, rcloneProvider }) {
  const configuration = scratch.path("aws-config");
  writeFileSync(configuration, `[default]\nregion = ${region}\ns3 =\n  addressing_style = path\n  multipart_chunksize = ${partBytes}\n`);
  const keys = { ACCESS_KEY_ID: accessKeyId, SECRET_ACCESS_KEY: secretAccessKey };
  const rclone = { TYPE: "s3", PROVIDER: rcloneProvider, ENDPOINT: endpoint, REGION: region, ...keys };
  // The aws command's own variable, AWS_CA_BUNDLE, is set in its line only: rclone fails when it sees it.
  const trust = caFile === null ? {} : { SINK_CA: caFile, NODE_EXTRA_CA_CERTS: caFile, RCLONE_CA_CERT: caFile };
  writeFileSync(scratch.path("rclone.conf"), "");
  return {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_CONFIG_FILE: configuration,
    AWS_ENDPOINT_URL: endpoint,
    RCLONE_CONFIG: scratch.path("rclone.conf"),
    ...Object.fromEntries(Object.entries(rclone).map(([key, value]) => [`RCLONE_CONFIG_BENCH_${key}`, value])),
    ...trust,
  };
}

async function list(client, Bucket, folder) {
  const entries = [];
  for (let token; ; ) {
    const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix: folder, ContinuationToken: token }));
    entries.push(...(page.Contents ?? []));
    if (page.IsTruncated !== true) return entries;
    token = page.NextContinuationToken;
  }
}

/** Writes the data objects into a folder, under names that sort as the keys do. */
async function fetchAll(client, { bucket, folder, into }) {
  const entries = (await list(client, bucket, folder)).filter(({ Key }) => isData(Key));
  const files = [];
  for (const { Key } of entries.sort((left, right) => (left.Key < right.Key ? -1 : 1))) {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key }));
    mkdirSync(`${into}/${files.length}`);
    const file = `${into}/${files.length}/${Key.split("/").at(-1)}`;
    await pipeline(Body, createWriteStream(file));
    files.push(file);
  }
  return files;
}

async function empty(client, Bucket) {
  for (const { Key } of await list(client, Bucket, "")) await client.send(new DeleteObjectCommand({ Bucket, Key }));
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
  for (const { Key, UploadId } of Uploads) await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
}

function makeCertificate({ scratch }) {
  const [key, certificate] = [scratch.path("sink.key"), scratch.path("sink.pem")];
  const words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
  const name = ["-subj", "/CN=zferry bench", "-addext", "subjectAltName=IP:127.0.0.1"];
  const { status } = spawnSync("openssl", [...words, ...name, "-keyout", key, "-out", certificate], { stdio: "ignore" });
  if (status !== 0) throw new Error("openssl, which makes the sink's certificate, is missing or failed");
  return [key, certificate];
}
