#!/usr/bin/env node
/** lib-storage.mjs BUCKET KEY < STREAM — stores stdin with `Upload` of @aws-sdk/lib-storage, parts as large and as many as zferry's. */
import { S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";

const [Bucket, Key] = process.argv.slice(2);
const client = new S3Client({ endpoint: process.env.AWS_ENDPOINT_URL, region: "us-east-1", forcePathStyle: true });
await new Upload({ client, params: { Bucket, Key, Body: process.stdin }, partSize: 16 * 1024 * 1024, queueSize: 4 }).done();
client.destroy();
