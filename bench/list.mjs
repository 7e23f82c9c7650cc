/**
 * `zferry list` of 1,000 and 10,000 backups, from the start of the process to its end: at a host that sees the store for the
 * first time (cold), and at one that has listed it before (warm). In a folder, and on the S3 server of ZFERRY_TEST_S3,
 * where the requests are counted as well, by a proxy that is not there while the time is taken.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, request as forward } from "node:http";
import { openShelf } from "./backups.mjs";
import { openRealStore } from "./s3-targets.mjs";

const counts = [1000, 10_000];
const limitMs = 2000;
/** Keys in a page of ListObjectsV2 (docs.aws). */
const pageKeys = 1000;

export async function* listSuite(bench) {
  yield* trialsOf(bench, { name: "folder", url: bench.scratch.empty("list-store"), env: {} });
  const server = await openRealStore(bench);
  if (server === null) {
    yield { name: "list: S3 server", contenders: [], missing: [{ name: "the trials", why: "ZFERRY_TEST_S3 names no server" }] };
    return;
  }
  try {
    yield* trialsOf(bench, { name: server.name, url: server.url(server.bucket, "list"), env: server.env });
  } finally {
    await server.close();
  }
}

async function* trialsOf(bench, place) {
  const shelf = await openShelf(place.url, { env: { ...bench.env, ...place.env }, signal: bench.signal });
  try {
    for (const count of counts) {
      await shelf.fill(count);
      yield timeTrial(bench, place, count);
      if (place.url.startsWith("s3:")) yield* requestTrial(bench, place, count);
    }
  } finally {
    await shelf.empty();
    await shelf.close();
  }
}

const titleOf = ({ name }, count) => `${count.toLocaleString("en")} backups, ${name}`;

function timeTrial(bench, place, count) {
  const [warm, cold] = ["warm", "cold"].map((state) => `zferry list, ${state}`);
  return {
    name: titleOf(place, count),
    unit: "ms",
    contenders: [
      { name: warm, run: () => listOnce(bench, place, count) },
      { name: cold, run: () => listOnce(bench, place, count, { isCold: true }) },
    ],
    rounds: count > pageKeys ? 3 : 5,
    targets: [{ contender: warm, atMost: limitMs }],
  };
}

async function* requestTrial(bench, place, count) {
  const proxy = await openProxy(place.url);
  const counted = async (isCold) => {
    const before = { ...proxy.requests };
    await listOnce(bench, { ...place, url: proxy.url }, count, { isCold, state: "list-state-counted" });
    return Object.fromEntries(Object.entries(proxy.requests).map(([kind, requestCount]) => [kind, requestCount - before[kind]]));
  };
  const value = ({ list, get, other }) => list + get + other;
  try {
    yield {
      name: `${titleOf(place, count)}: requests`,
      unit: "requests",
      rounds: 1,
      warmUp: false,
      contenders: [
        { name: "zferry list, cold", value, run: () => counted(true) },
        { name: "zferry list, warm", value, run: () => counted(false) },
      ],
      targets: [{ contender: "zferry list, warm", atMost: count / pageKeys }],
    };
  } finally {
    proxy.close();
  }
}

/** Lists once, and makes sure that all backups were listed. A cold run leaves the state for a warm one. */
async function listOnce(bench, { name, url, env }, count, { isCold = false, state = "list-state" } = {}) {
  const stateDir = `${state}-${name.replaceAll(/\W/g, "")}`;
  const folder = isCold ? bench.scratch.empty(stateDir) : bench.scratch.path(stateDir);
  const words = [bench.env.ZFERRY, "list", "--store", url, "--state-dir", folder];
  const startedAt = performance.now();
  const child = spawn(process.execPath, words, { env: { ...bench.env, ...env }, signal: bench.signal, stdio: ["ignore", "pipe", "inherit"] });
  let lineCount = 0;
  child.stdout.on("data", (bytes) => {
    for (const byte of bytes) if (byte === 10) lineCount += 1;
  });
  const [exit] = await once(child, "close");
  if (exit !== 0) throw new Error(`exit ${exit}`);
  if (lineCount !== count + 1) throw new Error(`${lineCount - 1} backups were listed`);
  return { seconds: (performance.now() - startedAt) / 1000 };
}

/** Passes requests on as they are, and counts them by kind. */
async function openProxy(storeUrl) {
  const url = new URL(storeUrl);
  const target = new URL(url.searchParams.get("endpoint"));
  const requests = { list: 0, get: 0, other: 0 };
  const server = createServer((incoming, reply) => {
    const { method, headers, url: path } = incoming;
    requests[method !== "GET" ? "other" : path.includes("list-type=2") ? "list" : "get"] += 1;
    const outgoing = forward({ host: target.hostname, port: target.port, method, path, headers, agent: false }, (answer) => {
      reply.writeHead(answer.statusCode, answer.headers);
      answer.on("data", (bytes) => reply.write(bytes)).on("end", () => reply.end());
    });
    outgoing.on("error", () => reply.destroy());
    incoming.on("data", (bytes) => outgoing.write(bytes)).on("end", () => outgoing.end());
  });
  server.keepAliveTimeout = 0; // the client's sockets are its own to close
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url.searchParams.set("endpoint", `http://127.0.0.1:${server.address().port}`);
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: url.href, requests, close };
}
