/**
 * The status over HTTP, for whoever watches: `/api/v1/backup/status` (JSON), `/metrics` (Prometheus), `/healthz` (200 or
 * 503) and `/`, a page to look at. Reads only, and only what lies on this host; nothing else is answered.
 *
 * What it answers is made anew at most once in {@link keptMs}, and the page in {@link pageKeptMs}, however many ask;
 * connections, headers and waiting are bounded.
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
}

const defaultLimits: ServeLimits = { connections: 64, patienceMs: 30_000 };

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
  const { connections, patienceMs } = { ...defaultLimits, ...limits };
  const sources: Sources = { standings: keeping(standings, keptMs), page: keeping(page, pageKeptMs) };
  const server = createServer({ maxHeaderSize, requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs, keepAliveTimeout: 5000 }, (request, response) => {
    void answer(request, response, sources).catch((error: unknown) => {
      warn(`the status could not be told: ${error instanceof Error ? error.message : "unknown"}`);
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
function keeping<T>(look: () => Promise<T>, forMs: number): () => Promise<T> {
  let kept: { readonly until: number; readonly found: Promise<T> } | null = null;
  return () => {
    if (kept !== null && performance.now() < kept.until) return kept.found;
    const found = look();
    const made = { until: Infinity, found };
    kept = made;
    const expire = (ms: number) => (): void => {
      if (kept === made) kept = { until: performance.now() + ms, found };
    };
    found.then(expire(forMs), expire(0));
    return found;
  };
}

type Body = readonly [status: number, type: string, text: string, policy?: string];

const pages: ReadonlyMap<string, (sources: Sources) => Promise<Body>> = new Map([
  ["/", async ({ page }) => pageBody(await page())],
  ["/api/v1/backup/status", async ({ standings }): Promise<Body> => [200, "application/json", `${JSON.stringify(statusDocument(await standings()))}\n`]],
  ["/metrics", async ({ standings }): Promise<Body> => [200, "text/plain; version=0.0.4; charset=utf-8", metricsText(await standings())]],
  ["/healthz", async ({ standings }): Promise<Body> => healthOf(await standings())],
]);

function pageBody({ text, policy }: Page): Body {
  return [200, "text/html; charset=utf-8", text, `${policy}; frame-ancestors 'none'`];
}

function healthOf({ standings }: Standings): Body {
  const bad = standings.filter(({ isProblem }) => isProblem);
  if (bad.length === 0) return [200, "text/plain; charset=utf-8", "ok\n"];
  return [503, "text/plain; charset=utf-8", `${bad.length} of ${standings.length} need attention: see /api/v1/backup/status\n`];
}

/** Of what is no page. */
const nothingAllowed = "default-src 'none'; frame-ancestors 'none'";

async function answer(request: IncomingMessage, response: ServerResponse, sources: Sources): Promise<void> {
  const page = pages.get((request.url ?? "").split("?", 1)[0] ?? "");
  const isRead = request.method === "GET" || request.method === "HEAD";
  const plain = "text/plain; charset=utf-8";
  const [status, type, text, policy = nothingAllowed]: Body =
    page === undefined ? [404, plain, "not found\n"] : isRead ? await page(sources) : [405, plain, "only GET and HEAD\n"];
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": policy,
    "referrer-policy": "no-referrer",
    ...(status === 405 ? { allow: "GET, HEAD" } : {}),
    ...(isRead ? {} : { connection: "close" }), // a body that nobody reads may have no end
  });
  response.end(request.method === "HEAD" ? undefined : text);
}
