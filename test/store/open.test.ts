import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GiB, KiB, MiB, TiB } from "../../src/bytes.ts";
import { openStore, storeLimits } from "../../src/store/open.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import { checkSizes } from "../../src/store/sizes.ts";
import { findCredentials } from "../../src/store/credentials.ts";
import type { S3Location } from "../../src/store/url.ts";
import { parseStoreUrl } from "../../src/store/url.ts";

const options = {
  partBytes: 5 * MiB,
  concurrency: 2,
  retry: defaultRetryPolicy,
  access: "write",
  environment: {},
} as const;
const keys = { AWS_ACCESS_KEY_ID: "id", AWS_SECRET_ACCESS_KEY: "an-unused-secret" };

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zferry-open-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

function s3(url: string, environment = {}): S3Location {
  const location = parseStoreUrl(url, environment);
  if (location.kind !== "s3") throw new Error("not a bucket");
  return location;
}

it("an open bucket takes objects of as many parts of its size as the provider allows", async () => {
  for (const [partBytes, most] of [[5 * MiB, 50_000 * MiB], [5 * GiB, 50_000 * GiB]] as const) {
    const store = await openStore("s3://bucket", { ...options, partBytes, environment: { ...keys, AWS_REGION: "eu-central-1" } });
    expect(store.limits.maxObjectBytes).toBe(most);
    await store.close();
  }
});

describe("the URL of a store", () => {
  it.for([
    ["/srv/backups", "/srv/backups"],
    ["./backups", "./backups"],
    ["../backups", "../backups"],
    [".", "."],
    ["/with ?odd#name", "/with ?odd#name"],
    ["file:///srv/with%20space", "/srv/with space"],
  ] as const)("%s is a folder", ([url, path]) => {
    expect(parseStoreUrl(url, {})).toEqual({ kind: "directory", path });
  });

  it.for<[string, Partial<Record<keyof S3Location | "name", unknown>>]>([
    ["s3://bucket", { bucket: "bucket", base: "", name: "aws", region: null, pathStyle: false, endpoint: null }],
    ["s3://bucket/a/b/", { base: "a/b/" }],
    ["s3://bucket/a%20b", { base: "a b/" }],
    [
      "s3://bucket?region=eu-central-1&profile=night&ca=/etc/ca.pem",
      { region: "eu-central-1", profile: "night", caFile: "/etc/ca.pem" },
    ],
    ["s3://b-1.x?endpoint=https://abc.r2.cloudflarestorage.com", { name: "r2", region: "auto", pathStyle: true }],
    ["s3://bkt?endpoint=https://abc.eu.r2.cloudflarestorage.com", { name: "r2" }],
    ["s3://bkt?endpoint=https://s3.us-west-004.backblazeb2.com", { name: "b2", region: "us-west-004" }],
    ["s3://bkt?endpoint=https://s3.eu-west-2.wasabisys.com", { name: "wasabi", region: "eu-west-2" }],
    ["s3://bkt?endpoint=https://storage.googleapis.com", { name: "gcs" }],
    ["s3://bkt?endpoint=https://s3.eu-north-1.amazonaws.com", { name: "aws", region: "eu-north-1", pathStyle: false }],
    ["s3://bkt?endpoint=https://notamazonaws.com", { name: "generic", region: "us-east-1" }],
    ["s3://bkt?endpoint=http://10.0.0.2:9000&provider=minio&path_style=false", { name: "minio", pathStyle: false }],
  ])("%s is a bucket", ([url, expected]) => {
    const location = s3(url);
    expect({ ...location, name: location.provider.name }).toMatchObject(expected);
  });

  it("takes region and endpoint from the environment, as the SDK does, but the region for AWS only", () => {
    expect(s3("s3://bkt", { AWS_REGION: "eu-west-1" }).region).toBe("eu-west-1");
    expect(
      s3("s3://bkt", { AWS_ENDPOINT_URL_S3: "https://x.r2.cloudflarestorage.com", AWS_REGION: "eu-west-1" }).region,
    ).toBe("auto");
  });

  it.for([
    ["", /not the URL of a store/],
    ["backups", /not the URL of a store/],
    ["ftp://host/x", /no kind of store "ftp"/],
    ["file://host/x", /no kind of store "file"/],
    ["s3://", /not the URL|not the name of a bucket/],
    ["s3://bu_cket!/x", /not the URL|not the name of a bucket/],
    ["s3://bucket?bogus=1", /no parameter "bogus"/],
    ["s3://bucket?region=", /"region" needs exactly one value/],
    ["s3://bucket?region=a&region=b", /"region" needs exactly one value/],
    ["s3://bucket?provider=acme", /no provider "acme"/],
    ["s3://bucket?path_style=yes", /path_style is true or false/],
    ["s3://bucket?endpoint=host:9000", /is not an endpoint/],
    ["s3://bucket/%zz", /percent-encoding/],
    ["s3://bucket#x", /no #fragment/],
  ] as const)("%j is refused with a hint where one helps", ([url, message]) => {
    expect(() => parseStoreUrl(url, {})).toThrow(message);
    expect(() => parseStoreUrl(url, {})).toThrow(expect.objectContaining({ code: "usage" }) as Error);
  });

  it.for([
    "s3://AKIA123:hush@bucket/x",
    "s3://bucket?endpoint=https://AKIA123:hush@host",
    "s3://bucket?secret_key=hush",
    "AKIA123:hush@bucket",
    "ftp://user:hush@host/",
  ])("a secret in %j is refused and not repeated", (url) => {
    expect.assertions(2);
    try {
      parseStoreUrl(url, {});
    } catch (error) {
      expect(error).toMatchObject({ code: "usage" });
      expect(`${String(error)} ${JSON.stringify(error)}`).not.toContain("hush");
    }
  });
});

describe("credentials", () => {
  it("come from the environment, or from a profile when one is named", async () => {
    const path = join(folder, "credentials");
    await writeFile(
      path,
      [
        ["[default]", "aws_access_key_id = d", "aws_secret_access_key=dd", ""],
        ["[night]", "aws_access_key_id=n", "aws_secret_access_key = nn", "aws_session_token=t"],
        ["[half]", "aws_access_key_id=h", ""],
      ]
        .flat()
        .join("\n"),
    );
    const environment = { AWS_SHARED_CREDENTIALS_FILE: path };
    const find = (profile: string | null, more = {}): unknown =>
      findCredentials({ profile, environment: { ...environment, ...more } });
    expect(await find(null, keys)).toEqual({ accessKeyId: "id", secretAccessKey: "an-unused-secret" });
    expect(await find("night", keys)).toEqual({ accessKeyId: "n", secretAccessKey: "nn", sessionToken: "t" });
    expect(await find(null)).toEqual({ accessKeyId: "d", secretAccessKey: "dd" });
    expect(await find(null, { AWS_PROFILE: "night" })).toMatchObject({ accessKeyId: "n" });
    expect(await find("half")).toBeNull();
    expect(await find("none")).toBeNull();
    expect(await findCredentials({ profile: null, environment: { HOME: folder } })).toBeNull();
    expect(await findCredentials({ profile: null, environment: {} })).toBeNull();
  });

  it("that cannot be read are worth an error", async () => {
    const environment = { AWS_SHARED_CREDENTIALS_FILE: folder };
    await expect(findCredentials({ profile: null, environment })).rejects.toMatchObject({ code: "secret-unusable" });
  });
});

describe("openStore", () => {
  it("opens a folder, and makes it only to write", async () => {
    const path = join(folder, "new");
    await expect(openStore(path, { ...options, access: "read" })).rejects.toMatchObject({ code: "store-not-found" });
    const store = await openStore(`file://${path}`, options);
    expect((await stat(path)).isDirectory()).toBe(true);
    expect(store.url).toBe(`file://${path}`);
  });

  it("refuses a bucket that is not at AWS without credentials, and asks nobody for them", async () => {
    const url = "s3://bucket?endpoint=https://s3.example.org";
    await expect(openStore(url, options)).rejects.toMatchObject({ code: "store-denied" });
    await expect(openStore(`${url}&profile=x`, options)).rejects.toThrow('in the profile "x"');
  });

  it("names a bucket with its prefix and endpoint, and holds no secret", async () => {
    const store = await openStore("s3://bucket/p?endpoint=https://h:1/path&provider=ceph", {
      ...options,
      environment: keys,
    });
    expect(store.url).toBe("s3://bucket/p/?endpoint=https://h:1");
    await store.close();
  });

  it("refuses a part the provider does not take, and a certificate that cannot be read", async () => {
    const url = "s3://bucket?endpoint=https://h";
    const small = { ...options, environment: keys, partBytes: 5 * MiB - 1 };
    await expect(openStore(url, small)).rejects.toMatchObject({ code: "size-limits" });
    const opened = openStore(`${url}&ca=${folder}/none.pem`, { ...options, environment: keys });
    await expect(opened).rejects.toMatchObject({ code: "usage" });
  });
});

describe("sizes", () => {
  const r2 = storeLimits("s3://bucket?endpoint=https://x.r2.cloudflarestorage.com", {});
  const aws = storeLimits("s3://bucket", {});
  const local = storeLimits("/srv", {});

  it.for([
    ["a chunk of one part", r2, 5 * MiB, 5 * MiB],
    ["10,000 parts", r2, 160_000 * MiB, 16 * MiB],
    ["R2's largest part", r2, 5 * GiB - 5 * MiB, 5 * GiB - 5 * MiB],
    ["AWS's largest part", aws, 50 * GiB, 5 * GiB],
    ["small ones in a folder", local, 4 * KiB, 4 * KiB],
    ["very large ones in a folder", local, 4 * TiB, GiB],
  ] as const)("%s are fine", ([, limits, chunkBytes, partBytes]) => {
    expect(() => {
      checkSizes({ chunkBytes, partBytes, limits });
    }).not.toThrow();
  });

  it.for([
    ["parts below 5 MiB", r2, 16 * MiB, 4 * MiB, /use 5 MiB to 5115 MiB/],
    ["parts of 5 GiB at R2", r2, 10 * GiB, 5 * GiB, /to 5115 MiB/],
    ["a chunk that is no multiple", r2, 16 * MiB, 5 * MiB, /multiple of the part size/],
    ["a chunk below a part", r2, 8 * MiB, 16 * MiB, /multiple of the part size/],
    ["no chunk", r2, 0, 16 * MiB, /multiple of the part size/],
    ["10,001 parts", r2, 10_001 * 16 * MiB, 16 * MiB, /use parts of at least 17 MiB/],
    ["objects over 5 TiB", r2, 5 * TiB, GiB, /use at most/],
    ["4 KiB less a byte in a folder", local, 4095, 4095, /use 4 KiB/],
  ] as const)("%s are refused with what would do", ([, limits, chunkBytes, partBytes, hint]) => {
    expect.assertions(2);
    try {
      checkSizes({ chunkBytes, partBytes, limits });
    } catch (error) {
      expect(error).toMatchObject({ code: "size-limits" });
      expect((error as { hint: string }).hint).toMatch(hint);
    }
  });
});
