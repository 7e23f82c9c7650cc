/**
 * The status over HTTP, for whoever watches: `/api/v1/backup/status` (JSON), `/metrics` (Prometheus), `/healthz` (200 or
 * 503) and `/`, a page to look at. Reads only, and only what lies on this host; nothing else is answered.
 *
 * What it answers is made anew at most once in {@link keptMs}, and the page in {@link pageKeptMs}, however many ask;
 * connections, headers and waiting are bounded. Listening for this host alone it answers only who asks for an address or
 * for `localhost`: a web page whose name leads to 127.0.0.1 would otherwise have a browser read it out (DNS rebinding).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { AddressInfo } from "node:net";
import { ZferryError } from "../errors.ts";
import { statusDocument } from "./document.ts";
import type { Standings } from "./gather.ts";
import { metricsText } from "./metrics.ts";

export interface Address {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
}

/** Of this host alone, and of nobody known. */
export const defaultAddress: Address = { host: "127.0.0.1", port: 9909 };

const keptMs = 2000;
/** Drawing takes a second of the processor for a few thousand backups. */
const pageKeptMs = 30_000;
const maxHeaderSize = 8192;
const requestTimeoutMs = 10_000;

export interface ServeLimits {
  readonly connections: number;
  /** How long a connection may be idle, be it that nobody asks, or that nobody reads. */
  readonly patienceMs: number;
  /** How long a look that failed stands for the next ones. */
  readonly failureMs: number;
}

const defaultLimits: ServeLimits = { connections: 64, patienceMs: 30_000, failureMs: 2000 };

/** @throws ZferryError `usage` */
export function parseAddress(text: string): Address {
  const match = /^(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2] ?? NaN);
  if (!(port <= 65535)) {
    throw new ZferryError("usage", `"${text}" is not an address to listen on`, { hint: "write HOST:PORT, [::1]:PORT or PORT, as in 127.0.0.1:9909" });
  }
  const host = (match?.[1] ?? "").replaceAll(/[[\]]/g, "");
  return { host: host === "" ? defaultAddress.host : host, port };
}

/** Whether nobody but this host can connect. */
export function isLoopback({ host }: Address): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** Whether the `Host` header of a request is one that nobody else's web page has; who sends none is no browser. */
function isOwnName(header: string | undefined): boolean {
  if (header === undefined) return true;
  const name = header.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  return name === "localhost" || name.endsWith(".localhost") || isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0;
}

/** What a browser is to show, and what it may do with it (Content-Security-Policy). */
export interface Page {
  readonly text: string;
  readonly policy: string;
}

export interface Serving {
  readonly address: Address;
  /** How everything stands now. */
  readonly standings: () => Promise<Standings>;
  /** The page at `/`. */
  readonly page: () => Promise<Page>;
  /** Called with the URL once it listens. */
  readonly onListening: (url: string) => void;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
  /** For tests, which wait less. */
  readonly limits?: Partial<ServeLimits>;
}

/** Answers until the signal is aborted. @throws ZferryError `usage` when it cannot listen there */
export async function serve({ address, standings, page, onListening, warn, signal, limits }: Serving): Promise<void> {
  if (signal.aborted) return;
  const { connections, patienceMs, failureMs } = { ...defaultLimits, ...limits };
  const sources: Sources = { standings: keeping(standings, { foundMs: keptMs, failureMs }), page: keeping(page, { foundMs: pageKeptMs, failureMs }) };
  let told: unknown = null;
  const server = createServer({ maxHeaderSize, requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs, keepAliveTimeout: 5000 }, (request, response) => {
    void answer(request, response, { sources, isOpen: !isLoopback(address) || isOwnName(request.headers.host) }).catch((error: unknown) => {
      if (error !== told) warn(`the status could not be told: ${error instanceof Error ? error.message : "unknown"}`);
      told = error;
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.maxConnections = connections;
  server.timeout = patienceMs;
  await listening(server, address);
  onListening(urlOf(server.address() as AddressInfo));
  await new Promise<void>((resolve) => {
    const close = (): void => {
      server.close(() => {
        resolve();
      });
      server.closeAllConnections();
    };
    if (signal.aborted) close();
    else signal.addEventListener("abort", close, { once: true });
  });
}

function listening(server: Server, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(new ZferryError("usage", `cannot listen on "${host}" port ${port}: ${error.code ?? "unknown"}`, { hint: "choose another with --serve HOST:PORT", cause: error }));
    });
    server.listen(port, host, resolve);
  });
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

interface Sources {
  readonly standings: () => Promise<Standings>;
  readonly page: () => Promise<Page>;
}

/** One look at a time, and none while the last one is new. */
function keeping<T>(look: () => Promise<T>, { foundMs, failureMs }: { readonly foundMs: number; readonly failureMs: number }): () => Promise<T> {
  let kept: { readonly until: number; readonly found: Promise<T> } | null = null;
  return () => {
    if (kept !== null && performance.now() < kept.until) return kept.found;
    const found = look();
    const made = { until: Infinity, found };
    kept = made;
    const expire = (ms: number) => (): void => {
      if (kept === made) kept = { until: performance.now() + ms, found };
    };
    found.then(expire(foundMs), expire(failureMs));
    return found;
  };
}

/** In bytes, which all who read slowly share. */
type Body = readonly [status: number, type: string, bytes: Buffer, policy?: string];

/** Written once for all who are told the same. */
function written<T extends object>(write: (told: T) => Body): (told: T) => Body {
  const bodies = new WeakMap<T, Body>();
  return (told) => {
    const body = bodies.get(told) ?? write(told);
    bodies.set(told, body);
    return body;
  };
}

const plain = "text/plain; charset=utf-8";
const pageBody = written(({ text, policy }: Page): Body => [200, "text/html; charset=utf-8", Buffer.from(text), `${policy}; frame-ancestors 'none'`]);
const documentBody = written((standings: Standings): Body => [200, "application/json", Buffer.from(`${JSON.stringify(statusDocument(standings))}\n`)]);
const metricsBody = written((standings: Standings): Body => [200, "text/plain; version=0.0.4; charset=utf-8", Buffer.from(metricsText(standings))]);

const pages: ReadonlyMap<string, (sources: Sources) => Promise<Body>> = new Map([
  ["/", async ({ page }) => pageBody(await page())],
  ["/api/v1/backup/status", async ({ standings }) => documentBody(await standings())],
  ["/metrics", async ({ standings }) => metricsBody(await standings())],
  ["/healthz", async ({ standings }): Promise<Body> => healthOf(await standings())],
]);

function healthOf({ standings }: Standings): Body {
  const bad = standings.filter(({ isProblem }) => isProblem);
  if (bad.length === 0) return said(200, "ok");
  return said(503, `${bad.length} of ${standings.length} need attention: see /api/v1/backup/status`);
}

function said(status: number, line: string): Body {
  return [status, plain, Buffer.from(`${line}\n`)];
}

/** Of what is no page. */
const nothingAllowed = "default-src 'none'; frame-ancestors 'none'";

interface Asked {
  readonly sources: Sources;
  /** Whether whoever asks is to be answered. */
  readonly isOpen: boolean;
}

async function answer(request: IncomingMessage, response: ServerResponse, { sources, isOpen }: Asked): Promise<void> {
  const page = pages.get((request.url ?? "").split("?", 1)[0] ?? "");
  const isRead = request.method === "GET" || request.method === "HEAD";
  const [status, type, bytes, policy = nothingAllowed]: Body =
    !isOpen ? said(421, "only as localhost, or by an address") : page === undefined ? said(404, "not found") : isRead ? await page(sources) : said(405, "only GET and HEAD");
  response.writeHead(status, {
    "content-type": type,
    "content-length": bytes.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": policy,
    "referrer-policy": "no-referrer",
    ...(status === 405 ? { allow: "GET, HEAD" } : {}),
    ...(isRead ? {} : { connection: "close" }), // a body that nobody reads may have no end
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}
