/**
 * Three nights and their restores on a real OpenZFS 2.3 and a real S3 server: the whole way, nothing faked.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { inspection, type StreamFacts } from "../../src/stream/inspect.ts";
import { documentOf, Scene } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { type Bucket, newBucket } from "./bucket.ts";
import { Guest } from "./guest.ts";

const minutes = 60_000;
const sizes = ["--part-size", "5MiB", "--chunk-size", "10MiB"];

interface Night {
  readonly backup: string;
  readonly guid: string;
  readonly kind: string;
  readonly reason: string;
  readonly base: string | null;
  readonly sums: string;
}

/** One dataset, one bucket, and what happens between them. */
class Nights {
  readonly scene = new Scene();
  readonly guest: Guest;
  readonly bucket: Bucket;
  readonly dataset: string;

  constructor(guest: Guest, bucket: Bucket) {
    this.guest = guest;
    this.bucket = bucket;
    this.dataset = guest.newName("tsrc");
  }

  get #common(): string[] {
    return ["--store", this.bucket.url, "--state-dir", this.scene.stateDir, ...this.scene.secret];
  }

  async backup(...flags: string[]): Promise<Night> {
    const words = ["backup", "--dataset", this.dataset, "--zfs", this.guest.zfsPath, ...this.#common, ...sizes, "--json", ...flags];
    const ended = await this.scene.spawn(words, { env: this.bucket.env });
    expect(ended.exit, ended.stderr).toBe(0);
    const { backup, guid, plan } = documentOf(ended) as unknown as { backup: string; guid: string; plan: Omit<Night, "backup" | "guid" | "sums"> };
    return { backup, guid, ...plan, sums: await this.guest.sums(this.dataset) };
  }

  /** What the stored stream says of itself. */
  async stored({ backup }: Night): Promise<StreamFacts> {
    const { exit, stdout, stderr } = await this.scene.spawn(["get", backup, ...this.#common], { env: this.bucket.env });
    expect(exit, stderr).toBe(0);
    const inspected = inspection({ signal: new AbortController().signal });
    const passing = inspected.through((async function* () { yield await Promise.resolve(stdout); })());
    while ((await passing.next()).done !== true);
    return inspected.facts();
  }

  /** Restores a night into the other pool and returns the dataset. */
  async restore({ backup }: Night, ...flags: string[]): Promise<string> {
    const target = this.guest.newName("tdst");
    const words = ["restore", backup, "--to", target, "--zfs", this.guest.zfsPath, ...this.#common, ...flags];
    const { exit, stderr } = await this.scene.spawn(words, { env: this.bucket.env });
    expect(exit, stderr).toBe(0);
    return target;
  }

  async expectEqual(night: Night): Promise<void> {
    const target = await this.restore(night, "--mount");
    expect(await this.guest.sums(target)).toBe(night.sums);
    expect(await this.guest.guid(`${target}@${night.backup.split("@")[1] ?? ""}`)).toBe(night.guid);
  }
}

describe("nights on a real OpenZFS and a real S3 server", () => {
  it("makes a full and then incrementals against it, each of which comes back equal", { timeout: 10 * minutes }, async (context) => {
    const guest = new Guest(need(context, "openzfs"));
    const nights = new Nights(guest, await newBucket(need(context, "s3")));
    const { dataset, scene } = nights;
    await guest.zfs("create", dataset);
    await guest.sh(`cd /${dataset} && head -c 12000000 /dev/urandom > big && echo one > small && mkdir d && echo deep > d/file`);
    const first = await nights.backup();
    expect(first.kind).toBe("full");

    await guest.sh(`cd /${dataset} && echo two > small && head -c 300000 /dev/urandom > second`);
    rmSync(join(scene.stateDir, "state.json"));
    const second = await nights.backup();
    await guest.sh(`cd /${dataset} && rm second && echo three > d/file`);
    const third = await nights.backup();
    for (const night of [second, third]) {
      expect(night.kind).toBe("incremental");
      expect(String((await nights.stored(night)).fromGuid)).toBe(first.guid);
    }
    for (const night of [first, second, third]) await nights.expectEqual(night);

    await guest.sh(`cd /${dataset} && echo four > small`);
    const anchor = await guest.zfs("holds", "-H", first.backup);
    await guest.zfs("release", anchor.split("\t")[1] ?? "", first.backup);
    await guest.zfs("destroy", first.backup);
    const fourth = await nights.backup();
    expect(fourth).toMatchObject({ kind: "incremental", base: expect.stringContaining("#zferry-anchor-") as string });
    expect(String((await nights.stored(fourth)).fromGuid)).toBe(first.guid);
    await nights.expectEqual(fourth);
    expect(await nights.bucket.openUploadCount()).toBe(0);
  });

  it("sends an encrypted dataset raw and gets it back with its key still needed", { timeout: 5 * minutes }, async (context) => {
    const guest = new Guest(need(context, "openzfs"));
    const nights = new Nights(guest, await newBucket(need(context, "s3")));
    const { dataset } = nights;
    await guest.sh("echo correcthorse > /tmp/zfs-passphrase");
    const encryption = ["-o", "encryption=aes-256-gcm", "-o", "keyformat=passphrase", "-o", "pbkdf2iters=100000", "-o", "keylocation=file:///tmp/zfs-passphrase"];
    await guest.zfs("create", ...encryption, dataset);
    await guest.sh(`cd /${dataset} && head -c 3000000 /dev/urandom > secret`);
    const first = await nights.backup("--packet", "none");
    expect((await nights.stored(first)).raw).toBe(true);
    await guest.sh(`cd /${dataset} && echo more > more`);
    const second = await nights.backup("--packet", "none");
    expect(second.kind).toBe("incremental");
    const target = await nights.restore(second);
    expect(await guest.zfs("get", "-H", "-o", "value", "keystatus", target)).toBe("unavailable");
    await guest.zfs("load-key", "-L", "file:///tmp/zfs-passphrase", target);
    await guest.zfs("mount", target);
    expect(await guest.sums(target)).toBe(second.sums);
  });

  it("leaves nothing behind when it is interrupted in the middle of the upload", { timeout: 5 * minutes }, async (context) => {
    const guest = new Guest(need(context, "openzfs"));
    const nights = new Nights(guest, await newBucket(need(context, "s3")));
    const { dataset, scene, bucket } = nights;
    await guest.zfs("create", dataset);
    await guest.sh(`head -c 60000000 /dev/urandom > /${dataset}/big`);
    const words = ["backup", "--dataset", dataset, "--zfs", guest.zfsPath, "--store", bucket.url, "--state-dir", scene.stateDir];
    const run = await scene.start([...words, ...scene.secret, ...sizes], { env: bucket.env });
    while ((await bucket.keys()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    run.kill("SIGINT");
    const { exit, stderr } = await run.ended;
    expect(exit, stderr).toBe(130);
    expect(await bucket.keys()).toEqual([]);
    expect(await bucket.openUploadCount()).toBe(0);
    expect(await guest.zfs("list", "-H", "-t", "snapshot", "-o", "name", dataset)).toBe("");
  });
});
