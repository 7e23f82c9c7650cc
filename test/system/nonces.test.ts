/**
 * One nonce, one plaintext: a source that gives other bytes at the second try is never encrypted under the keys of the
 * first. Shown on the bytes themselves, by a proxy that keeps all that left the process, also in requests that were cut off.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { keyCheck } from "../../src/openpgp/session.ts";
import { built } from "../build.ts";
import { Pool } from "../cli/pool.ts";
import { type Ended, Scene } from "../cli/zferry.ts";
import { need, type S3System } from "../systems.ts";
import { bucketBehindProxy, type ProxiedBucket, sizes } from "./behind-proxy.ts";
import { NonceRecord } from "./nonce-record.ts";
import { changedAt, payloadOf, streamOf } from "./synthetic.ts";

const minutes = 60_000;
const [partBytes, chunkBytes] = [5 * MiB, 10 * MiB];
const payload = payloadOf(22 * MiB);
/** Where the first try is stopped: in the second part of chunk 1, with chunk 0 stored and chunk 2 on its way. */
const stalledPart = /^PUT [^?]*\.000001\?.*partNumber=2&/;
const stallAtBytes = MiB;

interface Manifest {
  readonly attempt: string;
  readonly encryption: { readonly keyCheck: string };
  readonly chunks: readonly { readonly sha256: string }[];
}

interface Header {
  readonly attempt: string;
  readonly sessionKey: string;
  readonly nonce: string;
}

/** A pretended pool whose only stream can be changed, the store behind the proxy, and what the proxy saw. */
class Stage {
  readonly scene = new Scene();
  readonly pool = new Pool({ streams: ["it.zfs"], datasets: { "tank/a": { snapshots: {} } } });
  readonly record: NonceRecord;
  readonly place: ProxiedBucket;

  private constructor(record: NonceRecord, place: ProxiedBucket) {
    this.record = record;
    this.place = place;
    this.give(payload);
  }

  static async on(system: S3System): Promise<Stage> {
    const record = new NonceRecord({ chunkBytes, partBytes });
    return new Stage(record, await bucketBehindProxy(system, record.witness));
  }

  /** What `zfs send` reads from now on. */
  give(data: Buffer): void {
    writeFileSync(join(this.pool.folder, "it.zfs"), streamOf(data));
  }

  get journal(): string[] {
    const path = this.scene.journalPath;
    return path === null ? [] : readFileSync(path, "utf8").split("\n").filter((line) => line !== "");
  }

  /** Keeps only some lines of the journal: each has a checksum of its own, so that this is not noticed. */
  forget(isKept: (line: string) => boolean): void {
    writeFileSync(this.scene.journalPath ?? "", this.journal.filter(isKept).map((line) => `${line}\n`).join(""));
  }

  get header(): Header {
    const [line = ""] = this.journal;
    return (JSON.parse(line.slice(9)) as { header: Header }).header;
  }

  get #words(): string[] {
    return ["--store", this.place.url, "--state-dir", this.scene.stateDir, ...sizes];
  }

  /** A backup that is killed when a part of chunk 1 has left it in part, and chunk 0 is stored. */
  async killedBackup(): Promise<Header> {
    const { proxy, bucket } = this.place;
    const rule = { match: stalledPart, times: 1, fault: { kind: "stall-upload", atBytes: stallAtBytes } } as const;
    proxy.add(rule);
    const first = await this.scene.start(["backup", "--dataset", "tank/a", ...this.#words, ...this.scene.forBob], { stdin: new Uint8Array(), env: this.#env });
    const { attempt } = await this.#until(() => this.journal.some((line) => line.includes('"chunk":{"index":0,')) && this.record.hasSeen(this.header.attempt, 1, partBytes + stallAtBytes - 1) && this.header);
    first.kill("SIGKILL");
    expect((await first.ended).killedBy).toBe("SIGKILL");
    for (const pid of this.pool.alive) process.kill(pid, "SIGKILL");
    await proxy.refuse(); // ends what it still holds open
    await proxy.admit();
    expect((await bucket.keys()).some((key) => key.endsWith(`${attempt}/${this.#leaf}.zfs.gpg.000000`))).toBe(true);
    expect(this.journal.some((line) => line.includes('"mark":{"chunk":1,"index":1,'))).toBe(true);
    return this.header;
  }

  get #env(): Record<string, string> {
    return { ...this.pool.env, ...this.place.bucket.env };
  }

  get #leaf(): string {
    const [name = ""] = Object.keys(this.pool.dataset("tank/a").snapshots);
    return `a@${name}`;
  }

  async #until<T>(look: () => T | false): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== false) return found;
      await sleep(20);
    }
  }

  /** The next night's backup, which finds the journal. */
  backup(): Promise<Ended> {
    return this.scene.spawn(["backup", "--dataset", "tank/a", ...this.#words, ...this.scene.forBob], { env: this.#env });
  }

  async stored(): Promise<{ readonly manifest: Manifest; readonly stream: Buffer }> {
    const name = `tank/${this.#leaf}`;
    const words = ["get", name, "--store", this.place.bucket.url, "--state-dir", this.scene.stateDir, ...this.scene.asBob];
    const { exit, stderr, stdout } = await this.scene.spawn(words, { env: this.#env });
    expect(exit, stderr).toBe(0);
    const manifest = await this.place.read(`manifests/${name}.json`);
    return { manifest: JSON.parse(manifest.toString()) as Manifest, stream: stdout };
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

describe("a source that is not reproducible", () => {
  beforeAll(built);

  it.for([
    ["a chunk that is stored", 3 * MiB],
    ["a part that was sent in part, among the bytes that left", chunkBytes + partBytes + stallAtBytes / 2],
    ["a part that was sent in part, behind the bytes that left", chunkBytes + partBytes + 3 * MiB],
  ] as const)("with one bit changed in %s makes a new attempt with fresh keys, and no nonce had two ciphertexts", { timeout: 2 * minutes }, async ([, changedBytes], context) => {
    const stage = await Stage.on(need(context, "s3"));
    const first = await stage.killedBackup();
    const changed = changedAt(payload, changedBytes);
    stage.give(changed);

    const { exit, stderr } = await stage.backup();
    expect(exit, stderr).toBe(0);
    expect(stderr).toMatch(/is not the one an earlier, unfinished run has sent: .* differs; a new upload begins with fresh keys/);
    const { manifest, stream } = await stage.stored();
    expect(sha256(stream)).toBe(sha256(streamOf(changed)));
    expect(stage.record.conflicts).toEqual([]);
    expect(stage.record.attempts).toEqual([first.attempt, manifest.attempt]);
    expect(manifest.encryption.keyCheck).not.toBe(keyCheck(Buffer.from(first.sessionKey, "base64")));
    expectSeenAsStored(stage, manifest);
    expect((await stage.place.bucket.keys()).filter((key) => key.includes(first.attempt))).toEqual([]);
    expect(await stage.place.bucket.openUploadCount()).toBe(0);
  });

  it("is told from one that is: the same bytes go on under the same keys, seen twice and equal", { timeout: 2 * minutes }, async (context) => {
    const stage = await Stage.on(need(context, "s3"));
    const first = await stage.killedBackup();
    const { exit, stderr } = await stage.backup();
    expect(exit, stderr).toBe(0);
    const { manifest, stream } = await stage.stored();
    expect(sha256(stream)).toBe(sha256(streamOf(payload)));
    expect(stage.record.attempts).toEqual([first.attempt]);
    expect(manifest.encryption.keyCheck).toBe(keyCheck(Buffer.from(first.sessionKey, "base64")));
    expect(stage.record.comparedBytes).toBeGreaterThanOrEqual(stallAtBytes);
    expect(stage.record.conflicts).toEqual([]);
    expectSeenAsStored(stage, manifest);
  });

  it("would be noticed here if it were taken for the same: a journal that forgot what had left makes a conflict", { timeout: 2 * minutes }, async (context) => {
    const stage = await Stage.on(need(context, "s3"));
    const first = await stage.killedBackup();
    stage.forget((line) => !line.includes('"mark":{"chunk":1,'));
    stage.give(changedAt(payload, chunkBytes + partBytes + stallAtBytes / 2));
    const { exit, stderr } = await stage.backup();
    expect(exit, stderr).toBe(0);
    expect(stage.record.conflicts).toEqual([expect.stringMatching(new RegExp(`^${first.attempt} chunk 1 differs at byte \\d+$`))]);
  });
});

/** What the proxy saw is what was stored, byte for byte: it looked at the right thing. */
function expectSeenAsStored({ record }: Stage, { attempt, chunks }: Manifest): void {
  expect(chunks.map((_, index) => sha256(record.seen(attempt, index)))).toEqual(chunks.map((chunk) => chunk.sha256));
}

describe("the record of what was seen", () => {
  const attempt = "0123abcd";
  const put = (chunk: number, partNumber: number | null): string =>
    `PUT /box/host/streams/tank/a@s/${attempt}/a@s.zfs.gpg.00000${chunk}${partNumber === null ? "?x-id=PutObject" : `?partNumber=${partNumber}&uploadId=u`}`;

  it("finds two values at one offset, in whatever requests they came", () => {
    const record = new NonceRecord({ chunkBytes: 20, partBytes: 10 });
    record.witness(put(0, 1), 0, Buffer.from("abcdefghij"));
    record.witness(put(0, 2), 0, Buffer.from("klmno"));
    record.witness(put(0, 2), 2, Buffer.from("mnopq"));
    record.witness(put(1, null), 0, Buffer.from("abc"));
    expect(record.comparedBytes).toBe(3);
    expect(record.conflicts).toEqual([]);
    expect(record.seen(attempt, 0).toString()).toBe("abcdefghijklmnopq");
    record.witness(put(0, null), 11, Buffer.from("lMno"));
    expect(record.conflicts).toEqual([`${attempt} chunk 0 differs at byte 12`]);
    record.witness(put(1, 1), 0, Buffer.from("X"));
    expect(record.conflicts).toEqual([`${attempt} chunk 0 differs at byte 12`, `${attempt} chunk 1 differs at byte 0`]);
  });

  it("keeps attempts apart, and looks at chunks alone", () => {
    const record = new NonceRecord({ chunkBytes: 20, partBytes: 10 });
    record.witness(put(0, 1), 0, Buffer.from("abc"));
    record.witness(put(0, 1).replace(attempt, "ffffffff"), 0, Buffer.from("xyz"));
    record.witness(`PUT /box/host/streams/tank/a@s/${attempt}/RESTORE.md`, 0, Buffer.from("text"));
    record.witness(put(0, 1).replace("PUT", "POST"), 0, Buffer.from("zzz"));
    expect(record.attempts).toEqual([attempt, "ffffffff"]);
    expect(record.conflicts).toEqual([]);
    expect(record.comparedBytes).toBe(0);
  });
});
