/** Lifecycle rules and object locks of real servers, and the answers of those that know no such thing. */
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutObjectLegalHoldCommand,
  PutObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  DeleteBucketCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { randomBytes } from "node:crypto";
import { expect, it, onTestFinished } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { openStore } from "../../src/store/open.ts";
import { defaultRetryPolicy } from "../../src/store/retry.ts";
import type { Store } from "../../src/store/store.ts";
import { never } from "../ferrying.ts";
import { fates, objectsOf, pruning, stock } from "../prune/stocking.ts";
import { need, type S3System } from "../systems.ts";

const signal = never;

function open(url: string, { accessKeyId, secretAccessKey }: Pick<S3System, "accessKeyId" | "secretAccessKey">): Promise<Store> {
  const environment = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  return openStore(url, { partBytes: 5 * MiB, concurrency: 1, retry: { ...defaultRetryPolicy, budgetMs: 5000 }, access: "read", environment });
}

/** A bucket that can lock objects, on a server that has such; it goes away with the test. */
async function lockable(system: S3System): Promise<{ client: S3Client; Bucket: string; store: Store }> {
  const { endpoint, region, accessKeyId, secretAccessKey } = system;
  const client = new S3Client({ endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true });
  const Bucket = `zferry-${randomBytes(6).toString("hex")}`;
  await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
  onTestFinished(async () => {
    const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }));
    for (const { Key, VersionId } of [...Versions, ...DeleteMarkers]) await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention: true }));
    await client.send(new DeleteBucketCommand({ Bucket }));
    client.destroy();
  });
  return { client, Bucket, store: await open(`s3://${Bucket}/host?endpoint=${endpoint}&region=${region}&provider=ceph`, system) };
}

it("rules that delete what is ours are seen, and others are not", async (context) => {
  const { client, Bucket, store } = await lockable(need(context, "s3"));
  expect((await store.rules?.({ signal }))?.expiries).toEqual({ kind: "seen", value: [] });
  const rule = (ID: string, Prefix: string, more: object = {}) => ({ ID, Status: "Enabled" as const, Filter: { Prefix }, Expiration: { Days: 30 }, ...more });
  const Rules = [
    rule("all-of-host", "host/"),
    rule("some", "host/streams/tank/"),
    rule("another", "other/"),
    rule("off", "host/manifests/", { Status: "Disabled" }),
    rule("old-versions", "host/manifests/tank", { Expiration: undefined, NoncurrentVersionExpiration: { NoncurrentDays: 1 } }),
  ];
  await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }));
  const { expiries } = (await store.rules?.({ signal })) ?? {};
  const seen = expiries?.kind === "seen" ? expiries.value.map(({ id, prefix, afterDays }) => `${id} ${prefix} ${afterDays ?? ""}`) : [];
  expect(seen.sort()).toEqual(["all-of-host manifests/ 30", "all-of-host streams/ 30", "some streams/tank/ 30"]);
});

it("locks are seen: of the bucket, of an object, and that there is none", async (context) => {
  const { client, Bucket, store } = await lockable(need(context, "s3"));
  expect((await store.rules?.({ signal }))?.locks).toEqual({ kind: "seen", value: { isEnabled: true, byDefault: null } });
  await store.put("free", Buffer.from("x"), { when: "replace", signal });
  expect(await store.lockOf?.("free", { signal })).toEqual({ kind: "seen", value: null });
  expect(await store.lockOf?.("missing", { signal })).toEqual({ kind: "seen", value: null });
  await client.send(new PutObjectLegalHoldCommand({ Bucket, Key: "host/free", LegalHold: { Status: "ON" } }));
  expect(await store.lockOf?.("free", { signal })).toMatchObject({ kind: "seen", value: { isOnHold: true, until: null } });
  await client.send(new PutObjectLegalHoldCommand({ Bucket, Key: "host/free", LegalHold: { Status: "OFF" } }));
  const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000);
  await client.send(new PutObjectRetentionCommand({ Bucket, Key: "host/free", Retention: { Mode: "GOVERNANCE", RetainUntilDate: until } }));
  expect(await store.lockOf?.("free", { signal })).toEqual({ kind: "seen", value: { until, mode: "GOVERNANCE", isOnHold: false } });
  const Rule = { DefaultRetention: { Mode: "GOVERNANCE" as const, Days: 7 } };
  await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule } }));
  expect((await store.rules?.({ signal }))?.locks).toEqual({ kind: "seen", value: { isEnabled: true, byDefault: { mode: "GOVERNANCE", days: 7 } } });
});

it("a backup of which one chunk is locked stays, with its full, and what is not locked goes", async (context) => {
  const { client, Bucket, store } = await lockable(need(context, "s3"));
  await stock(store, [
    { name: "full-1", at: "2026-01-01T00:00Z", guid: 1 },
    { name: "inc-1a", at: "2026-01-02T00:00Z", on: 1 },
    { name: "inc-1b", at: "2026-01-03T00:00Z", on: 1 },
    { name: "full-2", at: "2026-02-01T00:00Z", guid: 2 },
  ]);
  const until = new Date(Math.ceil(Date.now() / 1000) * 1000 + 3_600_000);
  const Key = `host/${objectsOf("inc-1a")[1] ?? ""}`;
  await client.send(new PutObjectRetentionCommand({ Bucket, Key, Retention: { Mode: "GOVERNANCE", RetainUntilDate: until } }));
  const outcome = await pruning(store, { now: () => new Date() });
  expect(fates(outcome)).toEqual({ removed: ["inc-1b"], stays: ["full-1", "inc-1a", "full-2"] });
  expect(outcome.backups.flatMap(({ reasons }) => reasons.map(({ text }) => text))).toContain(`locked until ${until.toISOString()} (governance)`);
});

it("a simulator of R2 that knows neither is no failure", async (context) => {
  const system = need(context, "r2");
  const store = await open(`s3://${system.buckets[0] ?? ""}/rules?endpoint=${system.endpoint}&provider=r2`, system);
  const rules = await store.rules?.({ signal });
  expect(rules?.expiries).toMatchObject({ kind: "unknown", why: expect.stringContaining("501") as string });
  expect(rules?.locks).toEqual({ kind: "seen", value: { isEnabled: false, byDefault: null } });
});

it("who may not ask is told so, and it is no failure", async (context) => {
  const system = need(context, "s3");
  const { Bucket } = await lockable(system);
  const store = await open(`s3://${Bucket}/host?endpoint=${system.endpoint}&region=${system.region}&provider=ceph`, { accessKeyId: "NOBODY", secretAccessKey: "wrong" });
  for (const look of Object.values((await store.rules?.({ signal })) ?? {})) expect(look).toMatchObject({ kind: "unknown", why: expect.stringContaining("403") as string });
});
