/**
 * What `npm run smoke -- --store URL [--passphrase-file FILE]` does, for the day before a release: the built program
 * against a real endpoint (R2, S3, B2, a folder), with its real credentials.
 *
 * Stores recorded streams and a synthetic one, kills an upload and runs it again, reads everything back byte by byte,
 * sweeps, and removes what it made: all of it under one random prefix of the store's own. At most 100 MB of traffic.
 */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openStore } from "../dist/store/open.js";
import { defaultRetryPolicy } from "../dist/store/retry.js";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
const root = fileURLToPath(new URL("..", import.meta.url));
const MiB = 1024 * 1024;
/** Written once and read once; with what is written before the kill and by the doctor it stays below 100 MB. */
const synthetic = "32MiB";
const killAfterBytes = 12 * MiB;
const doctorBytes = 13 * MiB;
const waitMs = 120_000;

const { values: flags } = parseArgs({ options: { store: { type: "string" }, "passphrase-file": { type: "string" } } });
if (flags.store === undefined) {
  console.error("usage: npm run smoke -- --store URL [--passphrase-file FILE]");
  process.exit(2);
}

const here = mkdtempSync(join(tmpdir(), "zferry-smoke-"));
const prefix = `zferry-smoke-${randomBytes(6).toString("hex")}`;
const isUrl = /^[a-z0-9]+:\/\//i.test(flags.store);
const storeUrl = isUrl ? below(flags.store, prefix) : join(resolve(flags.store), prefix);
const passphraseFile = resolve(flags["passphrase-file"] ?? join(here, "passphrase"));
if (flags["passphrase-file"] === undefined) writeFileSync(passphraseFile, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });

const place = ["--store", storeUrl, "--state-dir", join(here, "state")];
const keys = ["--passphrase-file", passphraseFile];
const sizes = ["--part-size", "5MiB", "--chunk-size", "10MiB"];
const stop = new AbortController();
const children = new Set();
const steps = [];
let trafficBytes = 0;

for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
stop.signal.addEventListener("abort", () => children.forEach((child) => child.kill("SIGTERM")));

/** The same store with one more component in its prefix. */
function below(text, component) {
  const url = new URL(text);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/${component}`;
  return url.href;
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function start(file, words) {
  stop.signal.throwIfAborted();
  const child = spawn(process.execPath, [file, ...words], { cwd: here, env: process.env });
  children.add(child);
  child.once("exit", () => children.delete(child));
  child.stdin.on("error", () => undefined); // it may end before it has read everything
  return child;
}

/** Runs zferry to its end; fails unless it ends as wanted. */
async function zferry(words, { stdin = "", exits = [0] } = {}) {
  const child = start(join(root, "dist", "main.js"), words);
  child.stdin.end(stdin);
  const [stdout, stderr, [exit]] = await Promise.all([buffer(child.stdout), buffer(child.stderr), once(child, "exit")]);
  stop.signal.throwIfAborted();
  if (!exits.includes(exit)) throw new Error(`zferry ${words[0]} ended with ${exit}: ${stderr.toString().trim()}`);
  return { stdout, exit };
}

async function json(words) {
  return JSON.parse((await zferry([...words, "--json"])).stdout.toString());
}

async function step(name, work) {
  const startedAt = performance.now();
  try {
    const detail = await work();
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    steps.push(name);
    console.log(`${name.padEnd(28)}  ok  ${seconds.padStart(6)} s  ${detail}`);
  } catch (error) {
    console.log(`${name.padEnd(28)}  FAILED    ${error.message}`);
    throw error;
  }
}

async function withStore(work) {
  const retry = { ...defaultRetryPolicy, budgetMs: 60_000 };
  const store = await openStore(storeUrl, { partBytes: 5 * MiB, concurrency: 2, retry, access: "write", environment: process.env });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

async function keysUnder(store, start) {
  const found = [];
  for await (const { key } of store.list(start, { signal: AbortSignal.timeout(waitMs) })) found.push(key);
  return found;
}

async function put(backup, stream) {
  trafficBytes += stream.length;
  await zferry(["put", backup, ...place, ...keys, ...sizes], { stdin: stream });
  return `${stream.length} bytes`;
}

async function get(backup, stream, from = place) {
  if (from === place) trafficBytes += stream.length;
  const { stdout } = await zferry(["get", backup, ...from, ...keys]);
  if (sha256(stdout) !== sha256(stream)) throw new Error(`${backup} came back as other bytes: ${stdout.length} of ${stream.length}`);
  return `${stream.length} bytes, sha256 ${sha256(stdout).slice(0, 16)}…`;
}

/** Feeds a part of the stream, waits until the first chunk is stored, and kills the program. */
async function killedPut(backup, stream) {
  const child = start(join(root, "dist", "main.js"), ["put", backup, ...place, ...keys, ...sizes]);
  const said = buffer(child.stderr);
  const exited = once(child, "exit");
  child.stdout.resume();
  child.stdin.write(stream.subarray(0, killAfterBytes));
  trafficBytes += killAfterBytes;
  await withStore(async (store) => {
    for (const until = performance.now() + waitMs; (await keysUnder(store, `streams/${backup}/`)).length === 0; await sleep(200)) {
      if (child.exitCode !== null) throw new Error(`put ended by itself: ${await said}`);
      if (performance.now() > until) throw new Error("no chunk was stored in two minutes");
      stop.signal.throwIfAborted();
    }
  });
  child.kill("SIGKILL");
  await exited;
  if ((await json(["list", ...place])).backups.some((one) => one.backup === backup)) throw new Error("a killed upload is listed");
  return "killed with one chunk stored, and not listed";
}

/** A stray is planted, and swept by a host that knows nothing of it; what is read afterwards proves that nothing else went. */
async function swept(backup) {
  await withStore(async (store) => {
    const key = `streams/${backup}/0badcafe/${backup.replace(/^.*\//, "")}.zfs.gpg.000000`;
    await store.put(key, Buffer.from("stray"), { when: "create", signal: AbortSignal.timeout(waitMs) });
  });
  const words = ["prune", "--strays", "--older-than", "0s", "--store", storeUrl, "--state-dir", join(here, "elsewhere")];
  let removedCount = 0;
  for (let round = 1; ; round += 1) {
    await sleep(1500); // the store tells time in seconds
    const swept = await json([...words, "--yes"]);
    removedCount += swept.attempts.filter(({ outcome }) => outcome === "removed").length;
    const { attempts, committedCount } = await json(words);
    if (attempts.length === 0 && removedCount === 0) throw new Error("the planted stray is gone, and nobody has removed it");
    if (attempts.length === 0) return `${removedCount} removed, ${committedCount} backups stay`;
    if (round === 5) throw new Error(`an attempt stays: ${attempts[0].reason}`);
  }
}

async function removeAll() {
  await withStore(async (store) => {
    const signal = AbortSignal.timeout(waitMs);
    await store.removeUnfinished("", { signal });
    const made = await keysUnder(store, "");
    if (made.length > 0) await store.delete(made, { signal });
    const left = await keysUnder(store, "");
    if (left.length > 0) throw new Error(`${left.length} objects are left under "${prefix}"`);
  });
  if (!isUrl) rmSync(storeUrl, { recursive: true, force: true });
  return `nothing is left under "${prefix}"`;
}

async function everything() {
  const full = readFileSync(join(root, "fixtures", "streams", "full.zfs"));
  const incremental = readFileSync(join(root, "fixtures", "streams", "inc-i.zfs"));
  const generator = start(join(root, "bench", "synthetic-stream.mjs"), [synthetic]);
  const large = await buffer(generator.stdout);
  const [one, two, big] = ["smoke/data@full", "smoke/data@inc", "smoke/large@full"];
  await step("doctor", async () => {
    trafficBytes += doctorBytes;
    const { stdout, exit } = await zferry(["doctor", ...place, ...sizes, "--json"], { exits: [0, 3] });
    const found = JSON.parse(stdout.toString()).probes.filter(({ outcome }) => outcome !== "ok");
    return exit === 0 ? "all is well" : found.map(({ name, consequence }) => `${name}: ${consequence}`).join("; ");
  });
  await step("put a full", () => put(one, full));
  await step("put an incremental", () => put(two, incremental));
  await step("put, killed half-way", () => killedPut(big, large));
  await step("put again", () => put(big, large));
  await step("sweep", () => swept(big));
  await step("list", async () => {
    const { backups, damaged } = await json(["list", ...place]);
    const restorable = backups.filter((backup) => backup.restorable).map(({ backup }) => backup);
    if (restorable.sort().join(" ") !== [one, two, big].sort().join(" ")) throw new Error(`restorable are: ${restorable.join(", ")}`);
    if (damaged.length > 0) throw new Error(`damaged: ${damaged[0].key}`);
    return `${restorable.length} backups, all restorable`;
  });
  await step("get the full", () => get(one, full));
  await step("get the incremental", () => get(two, incremental));
  await step("get the large one", () => get(big, large));
  await step("download, restore from there", async () => {
    const copy = join(here, "copy");
    trafficBytes += full.length + incremental.length;
    await zferry(["download", two, copy, ...place]);
    const from = ["--store", copy, "--state-dir", join(here, "copy-state")];
    return `${await get(one, full, from)} and ${await get(two, incremental, from)}`;
  });
}

console.log(`smoke: ${storeUrl}`);
let failure = null;
try {
  await everything();
} catch (error) {
  failure = error;
}
await step("clean up", removeAll).catch((error) => (failure ??= error));
rmSync(here, { recursive: true, force: true });
console.log(`traffic: about ${Math.ceil(trafficBytes / 1e6)} MB`);
console.log(failure === null ? `smoke: ${steps.length} steps passed` : `smoke: failed: ${failure.message}`);
process.exitCode = failure === null ? 0 : 1;
