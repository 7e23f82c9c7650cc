/**
 * The status over HTTP, for whoever watches: `/api/v1/backup/status` (JSON), `/metrics` (Prometheus) and `/healthz` (200 or
 * 503). Reads only, and only what lies on this host; nothing else is answered.
 *
 * What it answers is made anew at most once in {@link keptMs}, however many ask; connections, headers and waiting are bounded.
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

export interface Serving {
  readonly address: Address;
  /** How everything stands now. */
  readonly standings: () => Promise<Standings>;
  /** Called with the URL once it listens. */
  readonly onListening: (url: string) => void;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
  /** For tests, which wait less. */
  readonly limits?: Partial<ServeLimits>;
}

/** Answers until the signal is aborted. @throws ZferryError `usage` when it cannot listen there */
export async function serve({ address, standings, onListening, warn, signal, limits }: Serving): Promise<void> {
  if (signal.aborted) return;
  const { connections, patienceMs } = { ...defaultLimits, ...limits };
  const current = keeping(standings);
  const server = createServer({ maxHeaderSize, requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs, keepAliveTimeout: 5000 }, (request, response) => {
    void answer(request, response, current).catch((error: unknown) => {
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

/** One look at a time, and none while the last one is new. */
function keeping(look: () => Promise<Standings>): () => Promise<Standings> {
  let kept: { readonly until: number; readonly standings: Promise<Standings> } | null = null;
  return () => {
    if (kept !== null && performance.now() < kept.until) return kept.standings;
    const standings = look();
    const made = { until: Infinity, standings };
    kept = made;
    const expire = (ms: number) => (): void => {
      if (kept === made) kept = { until: performance.now() + ms, standings };
    };
    standings.then(expire(keptMs), expire(0));
    return standings;
  };
}

type Body = readonly [status: number, type: string, text: string];

const pages: ReadonlyMap<string, (standings: Standings) => Body> = new Map([
  ["/api/v1/backup/status", (all): Body => [200, "application/json", `${JSON.stringify(statusDocument(all))}\n`]],
  ["/metrics", (all): Body => [200, "text/plain; version=0.0.4; charset=utf-8", metricsText(all)]],
  ["/healthz", healthOf],
]);

function healthOf({ standings }: Standings): Body {
  const bad = standings.filter(({ isProblem }) => isProblem);
  if (bad.length === 0) return [200, "text/plain; charset=utf-8", "ok\n"];
  return [503, "text/plain; charset=utf-8", `${bad.length} of ${standings.length} need attention: see /api/v1/backup/status\n`];
}

async function answer(request: IncomingMessage, response: ServerResponse, standings: () => Promise<Standings>): Promise<void> {
  const page = pages.get((request.url ?? "").split("?", 1)[0] ?? "");
  const isRead = request.method === "GET" || request.method === "HEAD";
  const plain = "text/plain; charset=utf-8";
  const [status, type, text]: Body =
    page === undefined ? [404, plain, "not found\n"] : isRead ? page(await standings()) : [405, plain, "only GET and HEAD\n"];
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(status === 405 ? { allow: "GET, HEAD" } : {}),
    ...(isRead ? {} : { connection: "close" }), // a body that nobody reads may have no end
  });
  response.end(request.method === "HEAD" ? undefined : text);
}
