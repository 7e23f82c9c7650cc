/**
 * Preloaded into zferry (`NODE_OPTIONS=--import …`): numbers what it does for good, and kills it there.
 *
 * An event is a change to a file of the state folder or of a folder store, a zfs command that changes the pool or sends,
 * or an S3 request that changes the bucket. It has a name (`rename state`, `zfs hold anchor`, `s3 UploadPart`) and the
 * number of its occurrence. Two writes of two chunks may come in either order; the n-th of a name always comes.
 *
 *   KILL_LOG    file: gets a line for each event, `name#n`
 *   KILL_AT     `before name#n` or `after name#n`: SIGKILL there. After a request means when its answer has begun and
 *               the program has not seen it yet.
 *   KILL_STATE, KILL_STORE   the folders to look at
 */
import childProcess from "node:child_process";
import { appendFileSync, closeSync, constants, existsSync, openSync } from "node:fs";
import files from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { basename } from "node:path";
import { env, kill, pid } from "node:process";
import { isMainThread } from "node:worker_threads";

const { KILL_LOG: log = "", KILL_AT: wanted = "", KILL_STATE: stateDir = "-", KILL_STORE: store = "-" } = env;
const counts = new Map();

/** Counts an event that is about to happen. @returns what to call when it has happened */
function begins(name) {
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  const event = `${name}#${count}`;
  if (log !== "") appendFileSync(log, `${event}\n`);
  if (wanted === `before ${event}`) die();
  return () => {
    if (wanted === `after ${event}`) die();
  };
}

function die() {
  kill(pid, "SIGKILL");
  for (;;); // the signal is on its way: nothing more may happen
}

/** What a file is, without its random parts; null for a file of no interest. */
function fileName(path) {
  const text = String(path);
  if (text.startsWith(`${stateDir}/`)) {
    const inside = text.slice(stateDir.length + 1);
    const draft = inside.endsWith(".new") ? " draft" : "";
    if (inside.includes(".intent")) return `intent${draft}`;
    if (inside.startsWith("journal")) return `journal${draft}`;
    if (inside.startsWith("locks/")) return /\.lock$/.test(inside) ? "lock" : "lock draft";
    if (inside.startsWith("state.json")) return `state${draft}`;
    return inside;
  }
  return text.startsWith(`${store}/`) ? objectName(text.slice(store.length + 1)) : null;
}

function objectName(key) {
  if (key.startsWith("streams/") && key.endsWith("/")) return "stream";
  if (key.startsWith(".zferry-tmp/")) return key.endsWith(".lock") ? "key lock" : "unfinished object";
  if (key.endsWith("RESTORE.md")) return "note";
  if (key.startsWith("manifests/")) return "manifest";
  if (key.startsWith("locks/")) return "lease";
  if (/\.\d{6}$/.test(key)) return "chunk";
  return "root";
}

/** Makes `owner[method]` an event whose name `nameOf` tells from the arguments; null is no event. */
function watch(owner, method, nameOf) {
  const original = owner[method];
  owner[method] = async function watched(...args) {
    const name = nameOf.call(this, args);
    if (name === null) return original.apply(this, args);
    const happened = begins(name);
    const result = await original.apply(this, args);
    happened();
    return result;
  };
}

function named(verb, path) {
  const name = fileName(path);
  return name === null ? null : `${verb} ${name}`;
}

function isForWriting(flags) {
  return typeof flags === "string" ? flags !== "r" : ((flags ?? 0) & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
}

/** A line of the journal by what it notes: `checksum {"mark":…}`. */
function journaled(bytes) {
  return /^[0-9a-f]{8} \{"(\w+)"/.exec(String(bytes))?.[1] ?? "bytes";
}

/** What was opened: the path, and whether it may be written. */
const opened = new WeakMap();

function watchFiles(handles) {
  const open = files.open;
  files.open = async (path, flags = "r", ...rest) => {
    const name = isForWriting(flags) && !existsSync(path) ? named("create", path) : null;
    const happened = name === null ? () => undefined : begins(name);
    const handle = await open(path, flags, ...rest);
    opened.set(handle, { path, isForWriting: isForWriting(flags) });
    happened();
    return handle;
  };
  for (const method of ["write", "writeFile", "appendFile"]) {
    watch(handles, method, function ([bytes]) {
      const name = named("write", opened.get(this)?.path ?? "");
      return name === "write journal" ? `${name} ${journaled(bytes)}` : name;
    });
  }
  for (const method of ["sync", "datasync"]) {
    watch(handles, method, function () {
      const { path, isForWriting: isFile } = opened.get(this) ?? { path: "" };
      return isFile ? named("sync", path) : named("sync folder of", `${path}/`);
    });
  }
  for (const method of ["rename", "link", "copyFile"]) watch(files, method, ([, to]) => named(method, to));
  for (const method of ["rm", "unlink"]) watch(files, method, ([path]) => (existsSync(path) ? named("remove", path) : null));
}

/** Null for what only looks. */
function zfsName(program, args = []) {
  if (basename(program) !== "zfs") return null;
  const [verb] = args;
  if (verb === "get" || verb === "list" || verb === "version" || (verb === "send" && (args.includes("-nP") || args.length === 2))) return null;
  const tag = /^zferry:(run|anchor):/.exec(args.find((arg) => arg.startsWith("zferry:")) ?? "")?.[1];
  return ["zfs", verb, ...(tag === undefined ? [] : [tag])].join(" ");
}

function watchPrograms() {
  const { spawn } = childProcess;
  childProcess.spawn = (program, args, ...rest) => {
    const name = zfsName(program, args);
    if (name === null) return spawn(program, args, ...rest);
    const happened = begins(name);
    const child = spawn(program, args, ...rest);
    child.once("exit", happened);
    return child;
  };
}

function requestName({ method = "GET", path = "/" }) {
  if (method === "GET" || method === "HEAD") return null;
  const { pathname, searchParams } = new URL(path, "http://s3");
  if (searchParams.has("delete")) return "s3 DeleteObjects";
  if (searchParams.has("uploads")) return "s3 CreateMultipartUpload";
  if (searchParams.has("partNumber")) return "s3 UploadPart";
  if (searchParams.has("uploadId")) return method === "POST" ? "s3 CompleteMultipartUpload" : "s3 AbortMultipartUpload";
  const key = decodeURIComponent(pathname).split("/").slice(3).join("/"); // behind bucket and prefix
  return `s3 ${method} ${objectName(key)}`;
}

function watchRequests(module) {
  const { request } = module;
  module.request = (options, ...rest) => {
    const name = requestName(options);
    if (name === null) return request(options, ...rest);
    const happened = begins(name);
    return request(options, ...rest).prependOnceListener("response", happened);
  };
}

if (isMainThread) {
  const handle = await files.open("/dev/null", "r");
  const handles = Object.getPrototypeOf(handle);
  await handle.close();
  watchFiles(handles);
  watchPrograms();
  watchRequests(http);
  watchRequests(https);
  syncBuiltinESMExports();
  if (log !== "") closeSync(openSync(log, "a"));
}
