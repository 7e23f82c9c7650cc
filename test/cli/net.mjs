/**
 * The net for secrets that all runs of the command line in the test suite pass through.
 *
 * It learns the secrets of a run from where a run gets them (variables, the files that flags name, every 32 random bytes
 * that are made, of which session keys are some) and looks for them where they must not be: stdout when it is text,
 * stderr, argv of the run and of every process it starts, and the files of the state folder. A session key may stand in
 * a journal, and nowhere else.
 *
 * In the test's process `Scene` uses it. A started program gets it by `--import`, writes the keys it makes to the file
 * named by ZFERRY_NET_KEYS, and ends with {@link caught} and a word on stderr when it is about to print a secret.
 */
import childProcess from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join, relative, resolve } from "node:path";
import { isMainThread } from "node:worker_threads";

/** Exit status of a program that was about to print a secret; no error code of zferry has it. */
export const caught = 97;

/** Shorter ones would be found in innocent words. */
const shortestSecret = 8;
const secretVariable = /PASS|SECRET|TOKEN/i;
const secretFlags = new Set(["--passphrase-file", "--private-key"]);
/** The suite's own, wherever a run has them from (a configuration file, a command). */
const standing = ["correct horse battery staple", "alice's passphrase", "carol's passphrase"];

/** Every form of a secret that is looked for, with the secret's name. */
const needles = new Map();
/** Hexadecimal; what random keys were made, in this process and in those it started. */
const keys = new Set();

function know(name, secret) {
  const bytes = Buffer.from(secret);
  if (bytes.length < shortestSecret) return;
  const text = typeof secret === "string" ? [secret, JSON.stringify(secret).slice(1, -1)] : [];
  const hex = bytes.toString("hex");
  const base64 = bytes.toString("base64").replace(/=+$/, "").slice(0, -1); // its last digit depends on what follows
  const base64url = base64.replaceAll("+", "-").replaceAll("/", "_");
  for (const form of [...text, hex, hex.toUpperCase(), base64, base64url]) needles.set(form, name);
}

function knowKey(bytes) {
  keys.add(bytes.toString("hex"));
  know("session key", bytes);
}

/** The random keys made so far, the newest last. */
export function keysSeen() {
  return [...keys].map((hex) => Buffer.from(hex, "hex"));
}

/**
 * Forgets what was learned, but for what all tests share: the scenes of a test are gone when it ends, and with the secrets of
 * all tests of a process each look would take longer than the last.
 */
export function forget() {
  needles.clear();
  keys.clear();
  for (const secret of standing) know("passphrase", secret);
  know("secret access key", process.env.ZFERRY_TEST_S3_SECRET_KEY ?? "");
}

/** Learns the keys that a started program wrote down. */
export function learnKeys(file) {
  if (!fs.existsSync(file)) return;
  for (const hex of fs.readFileSync(file, "utf8").split("\n")) if (hex.length === 64 && !keys.has(hex)) knowKey(Buffer.from(hex, "hex"));
}

/** Learns the secrets that a run with these words and variables can get. */
export function learn(words, environment, folder) {
  for (const [name, value] of Object.entries(environment)) {
    const isNamed = words.some((word, at) => word === name && words[at - 1] === "--passphrase-env");
    if (value !== undefined && (isNamed || secretVariable.test(name))) know(`variable ${name}`, value);
  }
  for (const [at, word] of words.entries()) {
    if (!secretFlags.has(word)) continue;
    const lines = readLines(resolve(folder, words[at + 1] ?? ""));
    // The first line of a passphrase file; of an armored key one line of its middle.
    know(`content of ${word}`, lines[0]?.startsWith("-----BEGIN") ? (lines[Math.floor(lines.length / 2)] ?? "") : (lines[0] ?? ""));
  }
}

function readLines(file) {
  try {
    return fs.readFileSync(file, "utf8").split("\n");
  } catch {
    return []; // not there: the run will say so
  }
}

/** The name of a secret that stands in `text`, or null. */
export function secretIn(text, { besides = null } = {}) {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  for (const [needle, name] of needles) if (name !== besides && bytes.includes(needle)) return name;
  return null;
}

/** @throws Error when a secret stands in `text` */
export function refuseSecrets(where, text, options) {
  const name = secretIn(text, options);
  if (name !== null) throw new Error(`the net has caught a secret (${name}) in ${where}`);
}

/** Binary output is a stream or a message. */
export function isText(bytes) {
  return !bytes.includes(0);
}

/** @throws Error when a secret stands in a file under a state folder, or in its name; session keys may in journals */
export function refuseSecretsUnder(stateDir) {
  if (!fs.existsSync(stateDir)) return;
  for (const entry of fs.readdirSync(stateDir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(stateDir, path);
    refuseSecrets(`the name "${name}" of a state file`, name);
    if (!entry.isFile()) continue;
    const options = name.startsWith("journal/") ? { besides: "session key" } : {};
    const bytes = readIfThere(path);
    if (bytes !== null) refuseSecrets(`the state file "${name}"`, bytes, options);
  }
}

/** Null for a file that a guard, or another run, has removed this moment. */
function readIfThere(path) {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

/** Every 32 random bytes that anyone asks node:crypto for are taken for a key. */
function watchKeys() {
  const real = crypto.randomBytes;
  crypto.randomBytes = (sizeBytes, done) => {
    if (done !== undefined) return real(sizeBytes, done);
    const bytes = real(sizeBytes);
    if (sizeBytes === 32) {
      knowKey(bytes);
      if (process.env.ZFERRY_NET_KEYS !== undefined) fs.appendFileSync(process.env.ZFERRY_NET_KEYS, `${bytes.toString("hex")}\n`);
    }
    return bytes;
  };
}

/** Whatever `zfs`, `ssh` or `sh` is started with is seen by everybody on the machine. */
function watchArguments(onCaught) {
  for (const verb of ["spawn", "execFile"]) {
    const real = childProcess[verb];
    const watched = (command, args, ...rest) => {
      const name = Array.isArray(args) ? secretIn([command, ...args].join("\n")) : null;
      if (name !== null) onCaught(`the net has caught a secret (${name}) in the arguments of "${command}"`);
      return real(command, args, ...rest);
    };
    childProcess[verb] = Object.defineProperties(watched, Object.getOwnPropertyDescriptors(real)); // promisify's own symbol
  }
}

/** Ends the process before a secret is printed. One that is cut in two by a write is found too. */
function watchOutput(stream, what) {
  const real = stream.write.bind(stream);
  let tail = Buffer.alloc(0);
  let isBinary = false;
  stream.write = (piece, ...rest) => {
    const bytes = isBinary ? null : Buffer.from(piece);
    isBinary ||= !isText(bytes);
    if (!isBinary) {
      tail = Buffer.concat([tail, bytes]);
      const name = secretIn(tail);
      if (name !== null) end(`the net has caught a secret (${name}) in ${what}`);
      tail = tail.subarray(-4096);
    }
    return real(piece, ...rest);
  };
}

function end(message) {
  fs.writeSync(2, `${message}\n`);
  process.exit(caught);
}

forget();
watchKeys();
const isProgram = isMainThread && /[/\\]dist[/\\]main\.js$/.test(process.argv[1] ?? "");
if (isProgram) {
  const words = process.argv.slice(2);
  learn(words, process.env, process.cwd());
  const name = secretIn(words.join("\n"));
  if (name !== null) end(`the net has caught a secret (${name}) in argv`);
  watchOutput(process.stdout, "stdout");
  watchOutput(process.stderr, "stderr");
  watchArguments(end);
} else {
  watchArguments((message) => {
    throw new Error(message);
  });
}
syncBuiltinESMExports();
