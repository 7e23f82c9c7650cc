/**
 * A bucket of its own for a test, on a real server.
 */
import { randomBytes } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { Agent } from "node:https";
import { readFileSync } from "node:fs";
import type { S3System } from "../systems.ts";

export interface Bucket {
  readonly name: string;
  /** For `--store`. */
  readonly url: string;
  /** Variables with the credentials. */
  readonly env: Readonly<Record<string, string>>;
  /** Every key in it, in order. */
  keys(): Promise<string[]>;
  openUploadCount(): Promise<number>;
  /** With all that is in it: the server keeps its objects in memory, which a few gigabytes fill. */
  remove(): Promise<void>;
}

export async function newBucket(system: S3System): Promise<Bucket> {
  const { endpoint, region, accessKeyId, secretAccessKey, caFile } = system;
  const ca = caFile === null ? {} : { httpsAgent: new Agent({ ca: readFileSync(caFile) }) };
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: true,
    requestHandler: new NodeHttpHandler(ca),
  });
  const name = `zferry-${randomBytes(6).toString("hex")}`;
  await client.send(new CreateBucketCommand({ Bucket: name }));
  const trust = caFile === null ? "" : `&ca=${encodeURIComponent(caFile)}`;
  const keys = async (): Promise<string[]> => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: name }));
    return Contents.map(({ Key = "" }) => Key);
  };
  return {
    name,
    url: `s3://${name}/host?endpoint=${endpoint}&region=${region}&provider=ceph${trust}`,
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    keys,
    async openUploadCount() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: name }));
      return Uploads.length;
    },
    async remove() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: name }));
      for (const { Key, UploadId } of Uploads) await client.send(new AbortMultipartUploadCommand({ Bucket: name, Key, UploadId }));
      const Objects = (await keys()).map((Key) => ({ Key }));
      if (Objects.length > 0) await client.send(new DeleteObjectsCommand({ Bucket: name, Delete: { Objects } }));
      await client.send(new DeleteBucketCommand({ Bucket: name }));
    },
  };
}
