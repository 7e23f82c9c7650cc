/**
 * Runs zferry's command line: in this process, which is quick, or as the built program, which is the real thing.
 *
 * Both go the same way from `runToExit` on. Every scene has a folder of its own with a store, a state folder and keys;
 * it goes away with the test. Every run passes the net for secrets (`net.mjs`): one that shows a secret, or leaves one
 * in a state folder, fails the test.
 */
import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Readable, Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { decryptKey, readPrivateKey } from "openpgp";
import { expect, onTestFinished } from "vitest";
import { runToExit } from "../../src/cli/program.ts";
import type { Keyring } from "../../src/index.ts";
import { built } from "../build.ts";
import { residentBin } from "../zfs/resident.ts";
import { fixtureKey } from "../openpgp/sample.ts";
import { jsonOf, validateLines } from "../documents/validate.ts";
import { caught, forget, isText, learn, learnKeys, refuseSecrets, refuseSecretsUnder } from "./net.mjs";

/** For `node --import`: what started programs are watched by. */
export const net = new URL("net.mjs", import.meta.url).href;
export const fixtures = fileURLToPath(new URL("../../fixtures", import.meta.url));
export const passphrase = "correct horse battery staple";
/** When the recorded streams were made, but for the later ones. Tests that look at an age count from here. */
export const recordedAt = new Date("2026-11-21T07:42:00Z");

/** How a run ended. Exactly one of `exit` and `killedBy` is set. */
export interface Ended {
  readonly stdout: Buffer;
  readonly stderr: string;
  readonly exit: number | null;
  readonly killedBy: NodeJS.Signals | null;
}

export interface RunOptions {
  readonly stdin?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** What time it is; only for runs in this process. */
  readonly now?: Date;
}

/** A recorded stream of `fixtures/streams`. */
export function recorded(name: string): Buffer {
  return readFileSync(join(fixtures, "streams", `${name}.zfs`));
}

/** A keyring with a private key that is unlocked already: unlocking it takes longer than most tests. */
export async function unlocked(name: "alice"): Promise<Keyring> {
  const [locked] = fixtureKey(name).keyring.privateKeys;
  const privateKey = await readPrivateKey({ armoredKey: locked?.armored ?? "" });
  const key = await decryptKey({ privateKey, passphrase: locked?.passphrase ?? "" });
  return { passphrases: [], privateKeys: [{ armored: key.armor(), passphrase: null }] };
}

/** Every file under `folder`, relative to it, in the order of their names; none when it is not there. */
export function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return [];
  // Not `recursive`: from Node 22 on that follows symbolic links to folders.
  const below = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return filesUnder(join(folder, entry.name)).map((name) => join(entry.name, name));
    return entry.isFile() ? [entry.name] : [];
  });
  return below.sort();
}

/** The one JSON document a run printed. */
export function documentOf({ stdout, stderr }: Ended): Record<string, unknown> {
  if (stdout.length === 0) throw new Error(`there is no document; stderr says: ${stderr}`);
  return JSON.parse(stdout.toString()) as Record<string, unknown>;
}

/** The test whose secrets the net knows. */
let watchedTest = "";

/** At a test's first scene. */
function forgetOtherTests(): void {
  const { testPath, currentTestName } = expect.getState();
  const test = `${testPath ?? ""} ${currentTestName ?? ""}`;
  if (test !== watchedTest) forget();
  watchedTest = test;
}

export class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), "zferry-cli-"));
  readonly store = join(this.folder, "store");
  readonly stateDir = join(this.folder, "state");
  readonly passphraseFile: string;
  /** Where started programs write down the keys they make. */
  readonly #keys = `${this.folder}.net-keys`;
  readonly #stateDirs = new Set([this.stateDir]);

  constructor() {
    forgetOtherTests();
    this.passphraseFile = this.write("passphrase", `${passphrase}\n`);
    onTestFinished(() => {
      try {
        this.refuseSecretsInState();
      } finally {
        for (const path of [this.folder, this.#keys]) rmSync(path, { recursive: true, force: true });
      }
    });
  }

  /** @throws Error when a secret stands in a state folder of this scene; done after each run and at the test's end */
  refuseSecretsInState(): void {
    learnKeys(this.#keys);
    for (const folder of this.#stateDirs) refuseSecretsUnder(folder);
  }

  /** Writes a file into the scene's folder, mode 0600. */
  write(name: string, content: string | Uint8Array, mode = 0o600): string {
    const path = join(this.folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  /** A private key of `fixtures/keys`, as a user would have it; `bob` needs no passphrase. */
  privateKey(name: "alice" | "bob"): string {
    const path = join(this.folder, `${name}.private.asc`);
    copyFileSync(join(fixtures, "keys", `${name}.private.asc`), path);
    chmodSync(path, 0o600);
    return path;
  }

  certificate(name: "alice" | "bob"): string {
    return join(fixtures, "keys", `${name}.public.asc`);
  }

  /** Flags for the scene's store and state. */
  get place(): readonly string[] {
    return ["--store", this.store, "--state-dir", this.stateDir];
  }

  /** The journal of an unfinished run; null when there is none. A file that is still being written to be renamed is not one. */
  get journalPath(): string | null {
    const folder = join(this.stateDir, "journal");
    const name = existsSync(folder) ? readdirSync(folder).find((candidate) => candidate.endsWith(".journal")) : undefined;
    return name === undefined ? null : join(folder, name);
  }

  /** Flags that lock for and open with the passphrase. */
  get secret(): readonly string[] {
    return ["--passphrase-file", this.passphraseFile];
  }

  /** Flags for many small chunks: 64 KiB in parts of 16 KiB. */
  get small(): readonly string[] {
    return ["--chunk-size", "64KiB", "--part-size", "16KiB"];
  }

  /** Flags that lock for bob's certificate, which takes a hundredth of the time a passphrase does. */
  get forBob(): readonly string[] {
    return ["--recipient", this.certificate("bob")];
  }

  /** Flags that open what is locked for bob. */
  get asBob(): readonly string[] {
    return ["--private-key", this.privateKey("bob")];
  }

  get manifests(): string[] {
    return filesUnder(join(this.store, "manifests"));
  }

  /** Every file in the store, unfinished ones included. */
  get objects(): string[] {
    return filesUnder(this.store);
  }

  /** Every file in the scene's folder. */
  get files(): string[] {
    return filesUnder(this.folder);
  }

  /** Runs in this process. */
  async run(words: readonly string[], { stdin = new Uint8Array(), env = {}, now = recordedAt }: RunOptions = {}): Promise<Ended> {
    const [stdout, stderr] = [new Sink(), new Sink()];
    this.#prepareNet(words, env);
    const exit = await runToExit(words, {
      program: [process.execPath, "/opt/zferry/main.js"],
      environment: this.#environment(env),
      workingDirectory: this.folder,
      stdin: Readable.from(stdin.length === 0 ? [] : [Buffer.from(stdin)], { objectMode: false }),
      stdinPipe: null,
      stdout,
      stderr,
      isInteractive: false,
      stdoutColumns: null,
      stderrColumns: null,
      isRoot: false,
      userId: process.geteuid?.() ?? 0,
      coreCount: 1, // a thread is started from a built file, which sources are not
      usage: () => ({ cpuSeconds: 0, rssBytes: 0, peakRssBytes: 0 }),
      now: () => now,
      signal: new AbortController().signal,
    });
    if (isText(stdout.bytes)) refuseSecrets("stdout", stdout.bytes);
    refuseSecrets("stderr", stderr.bytes);
    this.refuseSecretsInState();
    validateJson(words, stdout.bytes, stderr.bytes.toString());
    return { stdout: stdout.bytes, stderr: stderr.bytes.toString(), exit, killedBy: null };
  }

  /** Starts the built program. */
  async start(words: readonly string[], { stdin, env = {} }: RunOptions = {}): Promise<Started> {
    this.#prepareNet(words, env);
    const environment = { ...this.#environment(env), ZFERRY_NET_KEYS: this.#keys };
    const child = spawn(process.execPath, ["--import", net, await built(), ...words], { cwd: this.folder, env: environment });
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    child.stdin.on("error", () => undefined); // it may end before it has read everything
    if (stdin !== undefined) child.stdin.end(stdin);
    const exited = new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      child.once("exit", (exit, killedBy) => {
        resolve([exit, killedBy]);
      });
    });
    const ended = Promise.all([buffer(child.stdout), buffer(child.stderr), exited]).then(([stdout, stderr, [exit, killedBy]]) => {
      child.stdin.destroy();
      if (exit === caught) throw new Error(stderr.toString());
      this.refuseSecretsInState();
      validateJson(words, stdout, stderr.toString());
      return { stdout, stderr: stderr.toString(), exit, killedBy };
    });
    return { ended, kill: (signal) => child.kill(signal), feed: (bytes) => void child.stdin.write(bytes) };
  }

  /** Runs the built program to its end. */
  async spawn(words: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return (await this.start(words, { stdin: new Uint8Array(), ...options })).ended;
  }

  /** Stores a stream, locked for bob unless the flags say otherwise. */
  async put(backup: string, stream: Uint8Array, ...flags: string[]): Promise<void> {
    const locked = flags.includes("--passphrase-file") ? [] : this.forBob;
    const { exit, stderr } = await this.run(["put", backup, ...this.place, ...this.small, ...locked, ...flags], { stdin: stream });
    if (exit !== 0) throw new Error(`put ${backup} ended with ${exit ?? "a signal"}: ${stderr}`);
  }

  /** Tells the net what to look for, and looks at the words. */
  #prepareNet(words: readonly string[], env: Readonly<Record<string, string>>): void {
    learn(words, env, this.folder);
    refuseSecrets("argv", words.join("\n"));
    const at = words.indexOf("--state-dir");
    if (at >= 0) this.#stateDirs.add(resolve(this.folder, words[at + 1] ?? ""));
  }

  #environment(extra: Readonly<Record<string, string>>): Record<string, string> {
    const path = `${residentBin}:${join(fixtures, "bin")}:${process.env.PATH ?? ""}`;
    return { PATH: path, HOME: this.folder, ...extra };
  }
}

/** All JSON that any test gets is as its schema says. */
function validateJson(words: readonly string[], stdout: Buffer, stderr: string): void {
  const { output, log } = jsonOf(words);
  if (output) validateLines("output", stdout.toString());
  if (log) validateLines("log", stderr);
}

export interface Started {
  readonly ended: Promise<Ended>;
  readonly kill: (signal: NodeJS.Signals) => boolean;
  /** Writes to a stdin that stays open. */
  readonly feed: (bytes: Uint8Array) => void;
}

class Sink extends Writable {
  readonly #pieces: Buffer[] = [];

  override _write(piece: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#pieces.push(Buffer.from(piece)); // it is only lent
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}
