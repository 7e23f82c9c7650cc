/**
 * Where providers of "S3" differ, in one table, so that nothing else asks which one it talks to. Rows are what their
 * documents say or what was measured; what was neither is set to what works everywhere.
 */
import { GiB, MiB, TiB } from "../bytes.ts";
import type { StoreLimits } from "./store.ts";

export const providerNames = ["aws", "r2", "b2", "minio", "ceph", "gcs", "wasabi", "generic"] as const;

export type ProviderName = (typeof providerNames)[number];

export interface Provider {
  readonly name: ProviderName;
  readonly limits: StoreLimits;
  /** `https://host/bucket/key` rather than `https://bucket.host/key`. */
  readonly pathStyle: boolean;
  /** What to sign for when nobody said; null leaves it to the SDK (its config file, then an error). */
  readonly region: string | null;
  /**
   * How a part is known to have arrived as it was sent. `crc32`: sent along, refused if wrong, and required to be echoed
   * (3.9 GiB/s on one core; a server that echoes nothing gets `md5` from then on). `md5`: `Content-MD5`, which every
   * server but AWS's newest features understands (0.46 GiB/s).
   */
  readonly checksum: "crc32" | "md5";
  /** The tag of a part is its MD5 and the tag of a multipart object the MD5 of those, `-` and their count. */
  readonly etagIsMd5: boolean;
  /**
   * What `If-None-Match: *` and `If-Match` on PutObject are worth. `atomic`: of many exactly one wins. `tried`: sent, but
   * some versions ignore it, so a HEAD comes first. `none`: refused or ignored; only the HEAD decides, and two writers
   * at the same instant can both win.
   */
  readonly conditions: "atomic" | "tried" | "none";
  /** The same on CompleteMultipartUpload: honoured, or not to be relied on (then a HEAD comes first). */
  readonly conditionalComplete: boolean;
  /** DeleteObjects works, a thousand keys at once; otherwise one request per key. */
  readonly bulkDelete: boolean;
}

/** 10,000 parts of 5 MiB to 5 GiB: everybody's numbers (docs.aws qfacts, read 2026-09). */
const awsLimits: StoreLimits = {
  minPartBytes: 5 * MiB,
  maxPartBytes: 5 * GiB,
  maxPartCount: 10_000,
  maxObjectBytes: 10_000 * 5 * GiB,
  sameKeySpacingMs: 0,
};

/** 5 TiB is what AWS allowed until 2025 and what those who follow it still do. One write a second is R2's and GCS's limit. */
const usualLimits: StoreLimits = { ...awsLimits, maxObjectBytes: 5 * TiB, sameKeySpacingMs: 1000 };

/** "5 MiB less than 5 GiB", "5 GiB less than 5 TiB" (cloudflare-docs r2/platform/limits, footnotes 2 to 4). */
const r2Limits: StoreLimits = { ...usualLimits, maxPartBytes: 5 * GiB - 5 * MiB, maxObjectBytes: 5 * TiB - 5 * GiB };

/** A radosgw of one's own has no such limit. */
const cephLimits: StoreLimits = { ...usualLimits, sameKeySpacingMs: 0 };

const generic: Provider = {
  name: "generic",
  limits: usualLimits,
  pathStyle: true,
  region: "us-east-1",
  checksum: "md5",
  etagIsMd5: false,
  conditions: "tried",
  conditionalComplete: false,
  bulkDelete: false,
};

const providers: Readonly<Record<ProviderName, Provider>> = {
  generic,
  // An ETag is no MD5 under SSE-KMS.
  aws: {
    ...generic,
    name: "aws",
    limits: awsLimits,
    pathStyle: false,
    region: null,
    checksum: "crc32",
    conditions: "atomic",
    conditionalComplete: true,
    bulkDelete: true,
  },
  // A condition that fails on Complete destroys the upload (release note 2023-08-11), so none is sent there. The tags of
  // parts are MD5s by its documents but not in Cloudflare's own simulator; Content-MD5 is verified by both.
  r2: {
    ...generic,
    name: "r2",
    limits: r2Limits,
    region: "auto",
    conditions: "atomic",
    bulkDelete: true,
  },
  // Refuses x-amz-checksum-* headers and conditional PutObject ("not implemented"), and DeleteObjects needs the former.
  b2: { ...generic, name: "b2", conditions: "none" },
  minio: { ...generic, name: "minio", checksum: "crc32", etagIsMd5: true, bulkDelete: true },
  // RGW 20 was checked for all of these; 16 and 18 ignore conditions on Complete and checksums, hence "tried".
  ceph: {
    ...generic,
    name: "ceph",
    limits: cephLimits,
    checksum: "crc32",
    etagIsMd5: true,
    conditions: "tried",
    conditionalComplete: true,
    bulkDelete: true,
  },
  // The S3 spelling of conditions is ignored (aws-sdk-java-v2#6055).
  gcs: { ...generic, name: "gcs", region: "auto", conditions: "none" },
  wasabi: { ...generic, name: "wasabi", bulkDelete: true },
};

const hosts: readonly (readonly [suffix: string, name: ProviderName])[] = [
  ["amazonaws.com", "aws"],
  ["amazonaws.com.cn", "aws"],
  ["r2.cloudflarestorage.com", "r2"],
  ["backblazeb2.com", "b2"],
  ["storage.googleapis.com", "gcs"],
  ["wasabisys.com", "wasabi"],
];

export function providerNamed(name: ProviderName): Provider {
  return providers[name];
}

export function isProviderName(text: string): text is ProviderName {
  return (providerNames as readonly string[]).includes(text);
}

/** The provider by the host of its endpoint; no endpoint is AWS, an unknown host is `generic`. */
export function providerOf(endpoint: URL | null): Provider {
  if (endpoint === null) return providers.aws;
  const host = endpoint.hostname.toLowerCase();
  const known = hosts.find(([suffix]) => host === suffix || host.endsWith(`.${suffix}`));
  return known === undefined ? generic : providers[known[1]];
}
