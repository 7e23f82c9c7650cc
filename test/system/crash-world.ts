/**
 * What a killed `backup` works on: a pretended pool, a store that is a folder or a bucket, a state folder; and what must
 * be true of them after the next run.
 *
 * Every stream is a full: each backup makes the one before it an old anchor, so that a run has all its steps.
 */
import { createHash } from "node:crypto";
import { cpSync, existsSync, lstatSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { runToExit } from "../../src/cli/program.ts";
import { openDirectory } from "../../src/store/directory.ts";
import { Pool } from "../cli/pool.ts";
import { documentOf, type Ended, filesUnder, Scene } from "../cli/zferry.ts";
import type { Bucket } from "./bucket.ts";

const hook = fileURLToPath(new URL("kill-at.mjs", import.meta.url));
const minuteMs = 60_000;
const dayMs = 24 * 3_600_000;
/** More than any manifest, lease or note of these tests, and less than a chunk. */
const smallBytes = 64 * 1024;

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Where the backups go, and how to see what lies there. */
export interface Place {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  /** Without the store's prefix. */
  readonly keys: () => Promise<string[]>;
  readonly openUploadCount: () => Promise<number>;
}

export function folderPlace(folder: string): Place {
  return { url: folder, env: {}, keys: () => Promise.resolve(filesUnder(folder)), openUploadCount: () => Promise.resolve(0) };
}

export function bucketPlace(bucket: Bucket): Place {
  const keys = async (): Promise<string[]> => (await bucket.keys()).map((key) => key.replace(/^host\//, ""));
  return { url: bucket.url, env: bucket.env, keys, openUploadCount: () => bucket.openUploadCount() };
}

/** A night's stream. */
export interface Night {
  readonly file: string;
  readonly guid: bigint;
  readonly sha256: string;
  /** Written into the pool's folder: the stream, or its first record where something else sends it. */
  readonly recorded: Uint8Array;
}

export interface Sizes {
  readonly chunk: string;
  readonly part: string;
  readonly chunkCount: number;
}

export class CrashWorld {
  readonly scene = new Scene();
  readonly pool: Pool;
  readonly place: Place;
  readonly #sizes: Sizes;
  readonly #nights: readonly Night[];

  constructor(place: (scene: Scene) => Place, nights: readonly Night[], sizes: Sizes) {
    this.pool = new Pool({ streams: nights.map(({ file }) => file), datasets: { "tank/src": { snapshots: {} } } });
    for (const { file, recorded } of nights) writeFileSync(join(this.pool.folder, file), recorded);
    this.place = place(this.scene);
    this.#sizes = sizes;
    this.#nights = nights;
  }

  /** The nightly command. Every night is a full, because the streams are years old. */
  get words(): string[] {
    const { chunk, part } = this.#sizes;
    const flags = ["--store", this.place.url, "--state-dir", this.scene.stateDir, "--chunk-size", chunk, "--part-size", part];
    return ["backup", "--dataset", "tank/src", "--full-every", "1h", ...flags, ...this.scene.forBob];
  }

  /** A folder `bin` of the scene comes before the pretended zfs. */
  get env(): Record<string, string> {
    const bin = join(this.scene.folder, "bin");
    return { ...this.pool.env, ...this.place.env, ...(existsSync(bin) ? { PATH: `${bin}:${process.env.PATH ?? ""}` } : {}) };
  }

  /** Runs the command as a process, and kills it where `at` says, `before zfs hold run#1`. */
  killed(at: string): Promise<Ended> {
    return this.scene.spawn(this.words, { env: { ...this.env, ...this.#watching, KILL_AT: at } });
  }

  /** Runs the command to its end, and lists its events. */
  async events(): Promise<string[]> {
    const log = join(this.scene.folder, "events");
    const { exit, stderr } = await this.scene.spawn(this.words, { env: { ...this.env, ...this.#watching, KILL_LOG: log } });
    expect(exit, stderr).toBe(0);
    return readFileSync(log, "utf8").trimEnd().split("\n");
  }

  get #watching(): Record<string, string> {
    return { NODE_OPTIONS: `--import ${hook}`, KILL_STATE: this.scene.stateDir, KILL_STORE: this.scene.store };
  }

  /** A backup of long ago, in this process. */
  async firstNight(): Promise<void> {
    const { exit, stderr } = await this.scene.run(this.words, { env: this.env, now: new Date("2020-01-01T00:00:00Z") });
    expect(exit, stderr).toBe(0);
  }

  /** The same command in this process, a minute later. */
  runAgain(): Promise<Ended> {
    this.letLeftoversAge();
    return this.scene.run(this.words, { env: this.env, now: new Date(Date.now() + minuteMs) });
  }

  /** A folder store breaks the lock of a dead process after a minute, a draft in the state folder is swept after ten. */
  letLeftoversAge(): void {
    age(join(this.scene.store, ".zferry-tmp"), minuteMs, (name) => name.endsWith(".lock"));
    for (const folder of ["", "journal"]) age(join(this.scene.stateDir, folder), 10 * minuteMs, (name) => name.endsWith(".new"));
  }

  /** Keeps what lies in the folders now, to be put back by {@link reset}. */
  keep(): void {
    for (const folder of ["store", "state"]) cpSync(join(this.scene.folder, folder), join(this.scene.folder, "kept", folder), { recursive: true, preserveTimestamps: true });
    cpSync(this.pool.folder, join(this.scene.folder, "kept", "pool"), { recursive: true });
  }

  reset(): void {
    for (const [kept, folder] of [["store", this.scene.store], ["state", this.scene.stateDir], ["pool", this.pool.folder]] as const) {
      rmSync(folder, { recursive: true, force: true });
      cpSync(join(this.scene.folder, "kept", kept), folder, { recursive: true, preserveTimestamps: true });
    }
  }

  /** Looks at everything there is: called when the next run has ended, with 0. */
  async expectWhole(): Promise<void> {
    await this.#expectPruned();
    await this.#expectRestorable();
    this.#expectTidyPool();
    this.#expectTidyState();
    await this.#expectTidyFolder();
  }

  async #expectPruned(): Promise<void> {
    const { place, scene } = this;
    const words = ["prune", "--strays", "--yes", "--older-than", "0s", "--json", "--store", place.url, "--state-dir", scene.stateDir];
    const ended = await scene.run(words, { env: this.env, now: new Date(Date.now() + dayMs) });
    expect(ended.exit, ended.stderr).toBe(0);
    const keys = (await place.keys()).filter((key) => !key.startsWith(".zferry-tmp/"));
    const manifests = keys.filter((key) => key.startsWith("manifests/"));
    expect(documentOf(ended)).toMatchObject({ committedCount: manifests.length, foreignCount: 0 });
    const named = manifests.map((key) => key.slice("manifests/".length, -".json".length));
    const objects = keys.filter((key) => key.startsWith("streams/"));
    for (const name of named) {
      const own = objects.filter((key) => key.startsWith(`streams/${name}/`));
      expect(new Set(own.map((key) => key.split("/").at(-2))).size, own.join("\n")).toBe(1);
      expect(own).toHaveLength(this.#sizes.chunkCount + 1);
    }
    expect(keys).toHaveLength(named.length * (this.#sizes.chunkCount + 2));
    expect(await place.openUploadCount()).toBe(0);
  }

  async #expectRestorable(): Promise<void> {
    const { snapshots } = this.pool.dataset("tank/src");
    const manifests = (await this.place.keys()).filter((key) => key.startsWith("manifests/"));
    for (const [short, { guid }] of Object.entries(snapshots)) {
      expect(await this.#digestOf(`tank/src@${short}`)).toBe(this.#nights.find((night) => String(night.guid) === guid)?.sha256);
    }
    expect(manifests).toHaveLength(Object.keys(snapshots).length); // and so no snapshot without a backup is left
  }

  /** SHA-256 of what `get` gives, which may be longer than a buffer should be. */
  async #digestOf(backup: string): Promise<string> {
    const hash = createHash("sha256");
    let stderr = "";
    const exit = await runToExit(["get", backup, "--store", this.place.url, "--state-dir", this.scene.stateDir, ...this.scene.asBob], {
      program: [process.execPath],
      environment: { HOME: this.scene.folder, ...this.env },
      workingDirectory: this.scene.folder,
      stdin: Readable.from([]),
      stdinPipe: null,
      stdout: sink((piece) => void hash.update(piece)),
      stderr: sink((piece) => void (stderr += piece.toString())),
      isInteractive: false,
      stdoutColumns: null,
      stderrColumns: null,
      isRoot: false,
      userId: process.geteuid?.() ?? 0,
      coreCount: 1, // a thread is started from a built file, which sources are not
      usage: () => ({ cpuSeconds: 0, rssBytes: 0, peakRssBytes: 0 }),
      now: () => new Date(),
      signal: new AbortController().signal,
    });
    expect(exit, stderr).toBe(0);
    return hash.digest("hex");
  }

  /** One anchor: its hold, its bookmark; and no other hold. */
  #expectTidyPool(): void {
    const { snapshots, bookmarks } = this.pool.dataset("tank/src");
    const holds = Object.values(snapshots).map((one) => one.holds);
    expect(holds.slice(0, -1).flat()).toEqual([]);
    expect(holds.at(-1)).toEqual([expect.stringContaining("zferry:anchor:")]);
    expect(Object.values(bookmarks).map(({ guid }) => guid)).toEqual([Object.values(snapshots).at(-1)?.guid]);
  }

  #expectTidyState(): void {
    const files = filesUnder(this.scene.stateDir);
    expect(files.filter((name) => !/^(locks|history)\//.test(name))).toEqual(["state.json"]);
    expect(files.filter((name) => name.endsWith(".lock"))).toEqual([]);
  }

  /** What a kill leaves of a small file goes a day later, when the store is opened for writing. */
  async #expectTidyFolder(): Promise<void> {
    const folder = join(this.scene.store, ".zferry-tmp");
    for (const name of namesIn(folder)) expect(lstatSync(join(folder, name)).size).toBeLessThan(smallBytes);
    if (namesIn(folder).length === 0) return;
    age(folder, dayMs, () => true);
    await (await openDirectory(this.scene.store, "write")).close();
    expect(namesIn(folder)).toEqual([]);
  }
}

function sink(take: (piece: Buffer) => void): Writable {
  return new Writable({
    write(piece: Buffer, _encoding, done) {
      take(piece);
      done();
    },
  });
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Makes files older than they are. */
function age(folder: string, byMs: number, isMeant: (name: string) => boolean): void {
  for (const name of namesIn(folder).filter(isMeant)) {
    const path = join(folder, name);
    const then = new Date(statSync(path).mtimeMs - byMs);
    utimesSync(path, then, then);
  }
}
