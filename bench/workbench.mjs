/**
 * What the suites share: a folder, an environment without anything of the user's, a passphrase in a file, gpg's own home,
 * and the stream that all contenders are fed.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream, mkdirSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pipeline } from "node:stream/promises";
import { findPeers } from "./machine.mjs";
import { atEnd, makeScratch, needRoom } from "./scratch.mjs";
import { runLine } from "./shell.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/**
 * @param base - the folder to work in
 * @param sizeBytes - what the user asked for, null for each suite's own size
 * @param options - the other flags, for the suites they are for
 */
export function openWorkbench({ base, sizeBytes, signal, options }) {
  const scratch = makeScratch(base);
  const passphraseFile = scratch.path("passphrase");
  writeFileSync(passphraseFile, `${randomBytes(24).toString("base64")}\n`, { mode: 0o600 });
  for (const home of ["gnupg", "gnupg1"]) mkdirSync(scratch.path(home), { mode: 0o700 });
  const env = {
    PATH: process.env.PATH,
    HOME: scratch.folder,
    TMPDIR: scratch.folder,
    LC_ALL: "C",
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    GNUPGHOME: scratch.path("gnupg"),
    GNUPGHOME1: scratch.path("gnupg1"),
    NODE: process.execPath,
    ZFERRY: here("../dist/main.js"),
    BENCH: here("."),
    PASS: passphraseFile,
    BACKUP: "bench/data@bench",
  };
  const peers = findPeers(env);
  if (peers.versions.gpg !== undefined) startAgent(env);
  const inputs = new Map();
  const bench = {
    sizeBytes,
    options,
    signal,
    scratch,
    env,
    peers,
    has: (peer) => peers.versions[peer] !== undefined,
    why: (peer) => peers.missing.find((entry) => entry.peer === peer)?.why ?? "it is missing",
    /** Runs a shell line; `extra` are variables for it. */
    line: (text, { extra = {}, ...options } = {}) => runLine(text, { env: { ...env, ...extra }, signal, ...options }),
    /** The stream of about that size, made once: `{ file, sizeBytes, sha256 }`. */
    input: async (bytes) => {
      if (!inputs.has(bytes)) inputs.set(bytes, await makeInput(bench, bytes));
      return inputs.get(bytes);
    },
    /** What an error says, without the names of our folders. */
    explain: (error) => String(error.message ?? error).replaceAll(scratch.folder, "SCRATCH").replace(/(^|[\s"'=:])\/[^\s"':]+/g, "$1…"),
  };
  return bench;
}

/** Beforehand, because gpg measures for a while how long to stretch passphrases when its agent starts. */
function startAgent(env) {
  spawnSync("gpgconf", ["--launch", "gpg-agent"], { env, stdio: "ignore" });
  atEnd(() => {
    spawnSync("gpgconf", ["--kill", "gpg-agent"], { env, stdio: "ignore" });
    spawnSync("gpgconf", ["--remove-socketdir"], { env, stdio: "ignore" });
  });
}

/** Incompressible, and a send stream with every checksum right, because zferry refuses anything else. */
async function makeInput({ scratch, signal }, bytes) {
  needRoom(scratch.folder, bytes);
  const file = scratch.path(`input-${bytes}`);
  const digest = createHash("sha256");
  const maker = spawn(process.execPath, [here("synthetic-stream.mjs"), String(bytes)], { stdio: ["ignore", "pipe", "inherit"], signal });
  maker.on("error", () => undefined); // the pipeline fails with the same signal
  const exited = once(maker, "exit");
  await pipeline(maker.stdout, hashed(digest), createWriteStream(file), { signal });
  const [exit] = await exited;
  if (exit !== 0) throw new Error("the input could not be made");
  return { file, sizeBytes: statSync(file).size, sha256: digest.digest("hex") };
}

function hashed(digest) {
  return async function* (source) {
    for await (const slice of source) {
      digest.update(slice);
      yield slice;
    }
  };
}
