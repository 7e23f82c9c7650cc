/**
 * Two hosts that back up one dataset into one store: each has a pretended pool, a state folder and a program of its own.
 * Leases live for ten seconds, so that a takeover can be waited for.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { kill } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { MiB } from "../../src/bytes.ts";
import { defaultRetryPolicy, openStore, type Store } from "../../src/index.ts";
import { temporaryFolder } from "../../src/store/directory-files.ts";
import { temporaryPrefix } from "../../src/store/directory-unfinished.ts";
import { Pool } from "../cli/pool.ts";
import { documentOf, type Ended, filesUnder, Scene, type Started } from "../cli/zferry.ts";
import { guid } from "../replay/forge.ts";
import { look } from "../systems.ts";
import { newBucket } from "./bucket.ts";
import { payloadOf, streamOf } from "./synthetic.ts";

export const leaseSeconds = 10;
const dayMs = 24 * 3_600_000;
/** Where a pool stops sending, if it does: one chunk of 10 MiB is stored then, and half of the next. */
const stallAtBytes = 16 * MiB;
const streamBytes = 17 * MiB;
/** Far more than anything takes that is waited for here. */
const patienceMs = 60_000;
const pollMs = 200;
/** Of one snapshot as two hosts have it; different, so that it can be told whose a backup is. */
const streams = [streamOf(payloadOf(streamBytes)), streamOf(payloadOf(streamBytes))] as const;

export interface Place {
  readonly name: string;
  readonly url: (scene: Scene) => string;
  readonly env: Readonly<Record<string, string>>;
  readonly openUploadCount: () => Promise<number>;
}

const noUploads = (): Promise<number> => Promise.resolve(0);

/** The stores that keep leases in different ways; those that are here. */
export async function places(): Promise<Place[]> {
  const found: Place[] = [{ name: "a folder", url: (scene) => scene.store, env: {}, openUploadCount: noUploads }];
  const [ceph, r2] = [look("s3"), look("r2")];
  if (ceph !== null) {
    const bucket = await newBucket(ceph); // with a prefix for each scene
    const url = (scene: Scene): string => bucket.url.replace("/host?", `/${nameOf(scene)}?`);
    found.push({ name: "Ceph RGW", url, env: bucket.env, openUploadCount: () => bucket.openUploadCount() });
  }
  if (r2 !== null) {
    const { endpoint, region, accessKeyId, secretAccessKey, buckets } = r2;
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    const run = randomBytes(6).toString("hex");
    const url = (scene: Scene): string => `s3://${buckets[0] ?? ""}/locks-${run}/${nameOf(scene)}?endpoint=${endpoint}&region=${region}&provider=r2`;
    found.push({ name: "Cloudflare's local R2", url, env, openUploadCount: noUploads });
  }
  return found;
}

function nameOf({ folder }: Scene): string {
  return folder.replace(/^.*\//, "");
}

/** A store, and the scene whose folder all hosts live in. */
export class Shore {
  readonly scene = new Scene();
  readonly place: Place;
  readonly #config: string;
  readonly #store: Promise<Store>;

  constructor(place: Place) {
    this.place = place;
    const url = place.url(this.scene);
    const options = { partBytes: 5 * MiB, concurrency: 1, retry: defaultRetryPolicy, access: "write" } as const;
    this.#store = openStore(url, { ...options, environment: place.env });
    const store = `{ url: ${JSON.stringify(url)}, part_size: 5MiB, retry_for: 1m, lease_ttl: ${leaseSeconds}s }`;
    this.#config = this.scene.write("zferry.yaml", `stores: { main: ${store} }\n`);
  }

  /** Two hosts. @param snapshot - one that exists on their pools; null when they are to take their own */
  hosts(one: string, other: string, snapshot: string | null): readonly [Host, Host] {
    const [first, second] = streams;
    return [new Host(this, one, snapshot, first), new Host(this, other, snapshot, second)];
  }

  flags(host: string): string[] {
    return ["--config", this.#config, "--store", "main", "--state-dir", this.stateDir(host)];
  }

  stateDir(host: string): string {
    return join(this.scene.folder, `state-${host}`);
  }

  /** Every object with its version, without locks. */
  async objects(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const { signal } = new AbortController();
    const store = await this.#store;
    for await (const { key, etag } of store.list("", { signal })) if (!key.startsWith("locks/")) found.set(key, etag);
    return found;
  }

  /** Runs a command that looks, in this process. */
  run(host: string, words: readonly string[], afterMs = 0): Promise<Ended> {
    return this.scene.run([...words, ...this.flags(host)], { env: this.place.env, now: new Date(Date.now() + afterMs) });
  }

  /** The names `list` shows. */
  async listed(): Promise<unknown[]> {
    const { backups } = documentOf(await this.run("looker", ["list", "--json"]));
    return (backups as { backup: string }[]).map(({ backup }) => backup);
  }

  /** Prunes as another host would; afterwards the store holds one backup and nothing else, and it is that stream. */
  async expectOnly(backup: string, stream: Buffer): Promise<void> {
    const prune = await this.run("pruner", ["prune", "--strays", "--yes", "--older-than", "0s"], dayMs);
    expect(prune.exit, prune.stderr).toBe(0);
    expect(await this.listed()).toEqual([backup]);
    const verify = await this.run("looker", ["verify", "--level", "digest", ...this.scene.asBob]);
    expect(verify.exit, `${verify.stdout.toString()}${verify.stderr}`).toBe(0);
    const get = await this.run("looker", ["get", backup, ...this.scene.asBob]);
    expect(get.exit, get.stderr).toBe(0);
    expect(get.stdout.equals(stream)).toBe(true);
    const keys = [...(await this.objects()).keys()];
    expect(new Set(keys.filter((key) => key.startsWith("streams/")).map((key) => key.split("/").at(-2))).size, keys.join("\n")).toBe(1);
    expect(keys.filter((key) => key.startsWith("manifests/"))).toEqual([`manifests/${backup}.json`]);
    // A host that is killed may leave a draft of the lease it was renewing, and the lock of a file it was giving its name: they go after a day.
    const drafts = filesUnder(join(this.scene.store, temporaryFolder)).filter((name) => !name.endsWith(".lock"));
    expect(drafts.filter((name) => !name.startsWith(temporaryPrefix("locks/tank")))).toEqual([]);
  }
}

export class Host {
  readonly pool: Pool;
  readonly stream: Buffer;
  readonly #shore: Shore;
  readonly #name: string;
  readonly #snapshot: string | null;

  constructor(shore: Shore, name: string, snapshot: string | null, stream: Buffer) {
    this.stream = stream;
    this.#shore = shore;
    this.#name = name;
    this.#snapshot = snapshot;
    const snapshots = snapshot === null ? {} : { [snapshot]: { guid: String(guid) } };
    this.pool = new Pool({ streams: ["large.zfs"], datasets: { "tank/src": { snapshots } } });
    writeFileSync(join(this.pool.folder, "large.zfs"), this.stream);
  }

  get words(): string[] {
    const { scene } = this.#shore;
    const dataset = this.#snapshot === null ? "tank/src" : `tank/src@${this.#snapshot}`;
    return ["backup", "--dataset", dataset, ...this.#shore.flags(this.#name), "--chunk-size", "10MiB", ...scene.forBob];
  }

  /** Starts the built program. @param zfs - put before its pool's own */
  start(zfs: readonly string[] = []): Promise<Started> {
    const env = { ...this.#shore.place.env, ...this.pool.env };
    return this.#shore.scene.start([...this.words, ...zfs], { stdin: new Uint8Array(), env });
  }

  /** Starts it, and waits until it is in the middle of its second chunk, where its pool stops sending. */
  async startAndStall(): Promise<Started> {
    this.pool.change((state) => (state.faults = { send: { at: stallAtBytes, hang: true } }));
    const started = await this.start();
    const ended = started.ended.then(({ stderr }) => stderr);
    await until(async () => {
      const early = await Promise.race([ended, sleep(pollMs, null)]);
      if (early !== null) throw new Error(`the run ended: ${early}`);
      return [...(await this.#shore.objects()).keys()].some((key) => key.endsWith(".zfs.gpg.000000"));
    });
    return started;
  }

  /** Starts it again, with a pool that no longer stops. */
  resume(): Promise<Started> {
    this.pool.change((state) => (state.faults = {}));
    return this.start();
  }

  /** Sends a signal to the program and to all its pool's. */
  signal(started: Started, signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    started.kill(signal);
    for (const pid of this.pool.alive) kill(pid, signal);
  }

  /** Is refused with 11 as long as the lease of another counts, and takes it over when that is over. */
  async takeOver(): Promise<void> {
    const refused = await this.#shore.scene.run(this.words, { env: { ...this.#shore.place.env, ...this.pool.env } });
    expect(refused.exit, refused.stderr).toBe(11);
    const expiry = /until (\S+Z) at least/.exec(refused.stderr)?.[1] ?? "";
    expect(Date.parse(expiry), refused.stderr).toBeGreaterThan(Date.now());
    expect(Date.parse(expiry)).toBeLessThanOrEqual(Date.now() + 2 * leaseSeconds * 1000);
    await sleep(Date.parse(expiry) - Date.now() + 100);
    const { exit, stderr } = await (await this.start()).ended;
    expect(exit, stderr).toBe(0);
  }

  /** The one backup of this host: its snapshots are all it has. */
  get backup(): string {
    const [snapshot = ""] = Object.keys(this.pool.dataset("tank/src").snapshots);
    return `tank/src@${snapshot}`;
  }
}

/** Asks until it is so. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + patienceMs; !(await isSo()); ) {
    if (performance.now() > end) throw new Error("it did not come to that in a minute");
  }
}
