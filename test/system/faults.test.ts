/**
 * Everything a network and a service can do to a run (issue 3 §2), done once each to a whole `backup` and to a whole
 * `restore` before a real S3 server: what passes is got over, what does not is said at once and not tried again and again.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { built } from "../build.ts";
import type { Ended } from "../cli/zferry.ts";
import type { Fault, FaultRule } from "../fault-proxy.ts";
import { need } from "../systems.ts";
import { Crossing } from "./crossing.ts";
import { payloadOf, streamOf } from "./synthetic.ts";

const minutes = 60_000;
/** Six chunks of two parts, but for the last, which goes up in one request. */
const stream = streamOf(payloadOf(53 * MiB));

const part = (chunk: number, number: number): RegExp => new RegExp(`^PUT [^?]*\\.00000${chunk}\\?.*partNumber=${number}&`);
const begin = (chunk: number): RegExp => new RegExp(`^POST [^?]*\\.00000${chunk}\\?uploads`);
const complete = (chunk: number): RegExp => new RegExp(`^POST [^?]*\\.00000${chunk}\\?.*uploadId=`);
const look = (chunk: number): RegExp => new RegExp(`^HEAD [^?]*\\.00000${chunk}`);
const read = (chunk: number): RegExp => new RegExp(`^GET [^?]*\\.00000${chunk}`);
const list = /^GET [^?]*\?.*list-type=2/;
const manifest = /^GET [^?]*manifests\/tank/;
const commit = /^PUT [^?]*manifests\//;

const once = (match: RegExp, fault: Fault): FaultRule => ({ match, times: 1, fault });
const answer = (status: number, code: string, headers: Record<string, string> = {}): Fault => ({ kind: "status", status, code, headers });
/** What an edge before the service says, in HTML. */
const page = (status: number): Fault => answer(status, "<html>");

/** A kind of fault, where it strikes going up and where coming down; in words, why it cannot come down. */
type Row = readonly [name: string, up: readonly FaultRule[], down: readonly FaultRule[] | string];

const nothingSent = "a restore sends no bodies";

const schedule: readonly Row[] = [
  ["408", [once(part(0, 1), answer(408, "RequestTimeout"))], [once(read(0), answer(408, "RequestTimeout"))]],
  ["429", [once(part(0, 2), answer(429, "TooManyRequests"))], [once(read(0), answer(429, "TooManyRequests"))]],
  ["500", [once(part(1, 1), answer(500, "InternalError"))], [once(read(1), answer(500, "InternalError"))]],
  ["502", [once(part(1, 2), page(502))], [once(read(1), page(502))]],
  ["503 SlowDown", [once(part(2, 1), answer(503, "SlowDown", { "retry-after": "1" }))], [once(read(2), answer(503, "SlowDown", { "retry-after": "1" }))]],
  ["504", [once(part(2, 2), page(504))], [once(manifest, page(504))]],
  ["520", [once(part(3, 1), page(520))], [once(read(2), page(520))]],
  ["522", [once(part(3, 2), page(522))], [once(read(3), page(522))]],
  ["524", [once(part(4, 1), page(524))], [once(read(3), page(524))]],
  ["IncompleteBody", [once(part(4, 2), answer(400, "IncompleteBody"))], nothingSent],
  ["BadDigest", [once(part(0, 2), answer(400, "BadDigest"))], nothingSent],
  ["BadDigest, found by the server in a part that was damaged", [once(part(1, 2), { kind: "flip-upload", atBytes: 400_000 })], nothingSent],
  ["a reset before the request", [once(part(2, 1), { kind: "reset" })], [once(read(4), { kind: "reset" })]],
  ["a reset in the middle of the request", [once(part(3, 1), { kind: "reset-upload", atBytes: MiB })], "a request without a body has no middle"],
  ["a reset behind the request", [once(part(4, 1), { kind: "drop-reply" })], [once(read(4), { kind: "drop-reply" })]],
  ["a reply that is cut off", [once(begin(2), { kind: "truncate-reply", atBytes: 60 })], [once(list, { kind: "truncate-reply", atBytes: 60 })]],
  ["a 200 with an error in it", [once(complete(1), answer(200, "InternalError"))], [once(list, answer(200, "InternalError"))]],
  [
    "a Complete whose answer is lost, and then there is no such upload",
    [once(complete(3), { kind: "drop-reply" }), once(look(3), answer(404, "NotFound")), once(complete(3), answer(404, "NoSuchUpload"))],
    "a restore completes nothing",
  ],
  ["a commit whose answer is lost", [once(commit, { kind: "drop-reply" })], "a restore commits nothing"],
  ["a clock that is wrong once", [once(part(4, 2), answer(403, "RequestTimeTooSkewed"))], [once(read(5), answer(403, "RequestTimeTooSkewed"))]],
  ["a body that breaks", [once(part(2, 2), { kind: "reset-upload", atBytes: 3 * MiB })], [once(read(0), { kind: "end-reply", atBytes: 1_234_567 })]],
];

/** The rows that did not happen as often as the schedule says. */
function unfired(crossing: Crossing, way: "up" | "down"): string[] {
  return schedule
    .map(([name, up, down]) => ({ name, rules: way === "up" ? up : typeof down === "string" ? [] : down }))
    .filter(({ rules }) => rules.some((rule) => crossing.place.proxy.hitCount(rule) !== rule.times))
    .map(({ name }) => name);
}

describe("a backup and its restore through a network where everything goes wrong once", () => {
  beforeAll(built);

  it("come to their ends, and the stream is the same", { timeout: 3 * minutes }, async (context) => {
    const crossing = await Crossing.over(need(context, "s3"), stream);
    const { proxy, bucket } = crossing.place;
    for (const [, up] of schedule) up.forEach((rule) => { proxy.add(rule); });
    const backup = await crossing.backup();
    expect(backup.exit, backup.stderr).toBe(0);
    expect(unfired(crossing, "up")).toEqual([]);
    expectLines(backup.stderr);
    // The one that was begun by the request whose reply was cut off: nobody knows its id. `prune` removes it.
    expect(await bucket.openUploadCount()).toBeLessThanOrEqual(1);

    for (const [, , down] of schedule) if (typeof down !== "string") down.forEach((rule) => { proxy.add(rule); });
    const restored = await crossing.restore();
    expect(restored.exit, restored.stderr).toBe(0);
    crossing.expectReceived();
    expectLines(restored.stderr);
    expect(unfired(crossing, "down")).toEqual([]);
    expectReadOn(crossing, 1_234_567);
  });
});

/** After the range that broke came one that began behind what had arrived, and had the same end. */
function expectReadOn({ place }: Crossing, brokenAtBytes: number): void {
  const ranges = place.proxy.requests.filter(({ line }) => read(0).test(line)).map(({ range, fault }) => ({ fault, ...bytesOf(range) }));
  const broken = ranges.find(({ fault }) => fault?.kind === "end-reply");
  const next = ranges.find(({ end, start }) => end === broken?.end && start !== broken.start);
  expect(next?.start).toBeGreaterThan((broken?.start ?? 0) + brokenAtBytes - MiB);
  expect(next?.start).toBeLessThanOrEqual((broken?.start ?? 0) + brokenAtBytes);
}

function bytesOf(range: string | null): { readonly start: number; readonly end: number } {
  const [start, end] = (range ?? "").replace("bytes=", "").split("-").map(Number);
  return { start: start ?? -1, end: end ?? -1 };
}

/** Each is a message of its own: what a service said is not spilt over many lines. */
function expectLines(stderr: string): void {
  expect(stderr.split("\n").filter((line) => line !== "" && !line.startsWith("zferry: "))).toEqual([]);
}

/** A refusal that time does not heal, the code and the hint it is told with, and the requests it strikes from then on. */
type Refusal = readonly [name: string, answer: Fault, code: string, hint: RegExp, struck: RegExp];

const credentials = /access key/;
const writes = /^PUT|^POST [^?]*\?(uploads|uploadId)/;

const refusals: readonly Refusal[] = [
  ["a key that is not known any more", answer(403, "InvalidAccessKeyId"), "store-denied", credentials, /./],
  ["a key that was revoked", answer(403, "AccessDenied"), "store-denied", credentials, /./],
  ["a secret that was changed", answer(403, "SignatureDoesNotMatch"), "store-denied", credentials, /./],
  ["a token that has expired", answer(400, "ExpiredToken"), "store-denied", credentials, /./],
  ["a token that is not valid any more", answer(400, "InvalidToken"), "store-denied", credentials, /./],
  ["a bucket that is gone", answer(404, "NoSuchBucket"), "store-not-found", /bucket's name/, /./],
  ["a quota that is used up", answer(403, "QuotaExceeded"), "store-full", /quota/, writes],
  ["a disk that is full", answer(507, "InsufficientStorage"), "store-full", /quota/, writes],
];

/** Strikes the first request that matches and every later one that is struck, while a run goes on; and heals. */
async function refused({ place: { proxy } }: Crossing, match: RegExp, refusal: Refusal, run: () => Promise<Ended>): Promise<void> {
  const [name, fault, code, hint, struck] = refusal;
  let seenCount = Infinity;
  const onHit = (): void => {
    seenCount = proxy.requests.length;
    proxy.add({ match: struck, times: Infinity, fault });
  };
  proxy.add({ match, times: 1, fault, onHit });
  const { exit, stderr } = await run();
  expect(exit, `${name}: ${stderr}`).toBe(15);
  const { error } = errorOf(stderr);
  expect(error, name).toMatchObject({ code, exit: 15, hint: expect.stringMatching(hint) as string });
  expect(stderr).not.toContain("trying again");
  expect(proxy.requests.length - seenCount, name).toBeGreaterThanOrEqual(0);
  expect(proxy.requests.length - seenCount, name).toBeLessThanOrEqual(12);
  proxy.heal();
}

/** The last line of a run with `--json` that failed. */
function errorOf(stderr: string): { readonly error: unknown } {
  return { error: JSON.parse(stderr.trimEnd().split("\n").at(-1) ?? "") as unknown };
}

describe("what time does not heal is said at once, on a few requests", () => {
  const short = streamOf(payloadOf(12 * MiB));

  it("to a backup, which is kept, and goes on when all is mended", { timeout: 2 * minutes }, async (context) => {
    const crossing = await Crossing.over(need(context, "s3"), short);
    for (const refusal of refusals) {
      await refused(crossing, part(0, 2), refusal, () => crossing.backupHere("--json"));
      expect(crossing.scene.journalPath).not.toBeNull();
      expect(crossing.pool.alive).toEqual([]);
    }
    expect(await crossing.backupHere()).toMatchObject({ exit: 0, stderr: expect.stringContaining("goes on with an unfinished upload") as string });
    await crossing.expectRestored();
    expect(await crossing.place.bucket.openUploadCount()).toBe(0);
  });

  it("to a restore, which leaves nothing half received; only quotas do not concern it", { timeout: 2 * minutes }, async (context) => {
    const crossing = await Crossing.over(need(context, "s3"), short);
    expect(await crossing.backupHere()).toMatchObject({ exit: 0 });
    const reading = refusals.filter(([, , code]) => code !== "store-full");
    for (const [index, refusal] of reading.entries()) {
      await refused(crossing, read(1), refusal, () => crossing.restoreHere("--json"));
      expect(crossing.pool.received(index)).toMatchObject({ ended: false });
      expect(crossing.pool.alive).toEqual([]);
    }
  });
});
