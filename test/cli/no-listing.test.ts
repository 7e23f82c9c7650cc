/**
 * A key that may put, get, list and delete, and may not look for unfinished uploads (`s3:ListBucketMultipartUploads` is a
 * right of its own): nothing that zferry does depends on that look, and what it leaves undone is told.
 */
import { rmSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { type FaultProxy, startFaultProxy } from "../fault-proxy.ts";
import { type S3Responder, startResponder } from "../s3-responder.ts";
import { nightly, type Pool, streamOf } from "./pool.ts";
import { documentOf, type Ended, Scene } from "./zferry.ts";

interface Denied {
  readonly scene: Scene;
  readonly pool: Pool;
  readonly server: S3Responder;
  readonly proxy: FaultProxy;
  readonly run: (words: readonly string[], options?: Parameters<Scene["run"]>[1]) => Promise<Ended>;
}

const denied = { kind: "status", status: 403, code: "AccessDenied" } as const;
const chunks = /^PUT .*streams/;
const backup = ["backup", "--dataset", "tank/src"];
const later = new Date("2026-11-22T00:00:00Z");

/** A store in memory that refuses the look, all the time. */
async function bucket(): Promise<Denied> {
  const server = await startResponder({ bucket: "bucket", knowsCrc32: true });
  const proxy = await startFaultProxy(server.port);
  onTestFinished(async () => {
    await proxy.close();
    await server.close();
  });
  proxy.add({ match: /^GET .*\?.*uploads=/, times: Infinity, fault: denied });
  const [scene, pool] = [new Scene(), nightly()];
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "an-unused-secret", ...pool.env };
  const url = `s3://bucket/host?endpoint=http://127.0.0.1:${proxy.port}`;
  const place = ["--store", url, "--state-dir", scene.stateDir, "--retry-for", "0s"];
  const run: Denied["run"] = (words, options) => scene.run([...words, ...place, ...(words[0] === "prune" ? [] : scene.forBob)], { ...options, env });
  return { scene, pool, server, proxy, run };
}

function streamsIn({ objects }: S3Responder): string[] {
  return [...objects.keys()].filter((key) => key.includes("/streams/"));
}

it("a backup whose zfs send fails is cleaned up after, and the next night is as any other", async () => {
  const { scene, pool, server, proxy, run } = await bucket();
  pool.change((state) => (state.faults = { send: { at: 100_000, exit: 1 } }));
  const failed = await run(backup);
  expect(failed.exit, failed.stderr).toBe(14);
  expect(failed.stderr).toContain("left to the bucket's lifecycle rules");
  proxy.assertAllFired();
  expect([scene.journalPath, streamsIn(server), pool.dataset("tank/src").snapshots]).toEqual([null, [], {}]);

  pool.change((state) => (state.faults = {}));
  const next = await run(backup, { now: later });
  expect(next.exit, next.stderr).toBe(0);
});

it("a backup that the store failed is gone on with by the next night", async () => {
  const { scene, pool, server, proxy, run } = await bucket();
  proxy.add({ match: chunks, times: 1, fault: denied });
  expect(await run(backup)).toMatchObject({ exit: 15 });
  expect(scene.journalPath).not.toBeNull();
  const { exit, stderr } = await run(backup, { now: later });
  expect(exit, stderr).toBe(0);
  expect(stderr).toContain("goes on with an unfinished upload");
  proxy.assertAllFired();
  expect([scene.journalPath, Object.keys(pool.dataset("tank/src").snapshots).length]).toEqual([null, 1]);
  expect([...server.objects.keys()].filter((key) => key.includes("/manifests/"))).toHaveLength(1);
});

it("a put that the store failed is gone on with by --resume", async () => {
  const { scene, proxy, run } = await bucket();
  const put = ["put", "tank/src@one"];
  proxy.add({ match: chunks, times: 1, fault: denied });
  expect(await run(put, { stdin: streamOf("one") })).toMatchObject({ exit: 15 });
  const { exit, stderr } = await run([...put, "--resume"], { stdin: streamOf("one") });
  expect(exit, stderr).toBe(0);
  proxy.assertAllFired();
  expect(scene.journalPath).toBeNull();
});

it("prune removes the objects of a stray all the same", async () => {
  const { scene, server, proxy, run } = await bucket();
  await run(["put", "tank/src@one"], { stdin: streamOf("one") });
  proxy.add({ match: /^PUT .*manifests/, times: 1, fault: denied });
  expect(await run(["put", "tank/src@two"], { stdin: streamOf("two") })).toMatchObject({ exit: 15 });
  rmSync(scene.stateDir, { recursive: true });
  const ended = await run(["prune", "--strays", "--yes", "--json"], { now: new Date(Date.now() + 30 * 24 * 3_600_000) });
  expect(ended.exit, ended.stderr).toBe(0);
  expect(documentOf(ended).attempts).toMatchObject([{ backup: "tank/src@two", outcome: "removed", unfinishedCount: 0 }]);
  expect(streamsIn(server).filter((key) => key.includes("@two"))).toEqual([]);
});
