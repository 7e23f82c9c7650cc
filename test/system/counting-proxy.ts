/**
 * A proxy in front of an S3 server, on loopback, that passes everything on unchanged and counts what bodies bring: bytes
 * by object and part, as the server's side sees them, those of requests that never came to their end included.
 */
import { once } from "node:events";
import { Agent, createServer, request as httpRequest } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";

/**
 * Bytes by `name?partNumber`; the number is empty for an object that came in one request. The name is the last of the
 * key's: a chunk that is sent again by another attempt is the same chunk.
 */
export type Counted = ReadonlyMap<string, number>;

export interface CountingProxy {
  /** For the server's own address in a URL: the `Host` header passes unchanged, so signatures hold. */
  readonly endpoint: string;
  /** Bytes of bodies so far, under `streams/`. */
  readonly uploadedBytes: number;
  /** What came since the last call. */
  take(): Counted;
  close(): Promise<void>;
}

export async function startCountingProxy(target: URL): Promise<CountingProxy> {
  const agent = new Agent({ keepAlive: true });
  let counts = new Map<string, number>();
  let uploadedBytes = 0;
  const count = (place: string, bytes: number): void => {
    counts.set(place, (counts.get(place) ?? 0) + bytes);
    uploadedBytes += bytes;
  };
  const server = createServer((incoming, outgoing) => {
    const place = placeOf(incoming);
    if (place !== null) {
      incoming.on("data", (piece: Buffer) => {
        count(place, piece.length);
      });
    }
    passOn({ incoming, outgoing, target, agent });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get uploadedBytes() {
      return uploadedBytes;
    },
    take() {
      const taken = counts;
      counts = new Map();
      return taken;
    },
    async close() {
      server.closeAllConnections();
      server.close();
      agent.destroy();
      await once(server, "close");
    },
  };
}

/** Where the body of a request goes; null for one that stores nothing of a stream. */
function placeOf({ method, url = "" }: IncomingMessage): string | null {
  const { pathname, searchParams } = new URL(url, "http://proxy");
  if (method !== "PUT" || !pathname.includes("/streams/")) return null;
  return `${basename(decodeURIComponent(pathname))}?${searchParams.get("partNumber") ?? ""}`;
}

interface Passage {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly target: URL;
  readonly agent: Agent;
}

function passOn({ incoming, outgoing, target, agent }: Passage): void {
  const { method, url, headers } = incoming;
  const upstream = httpRequest({ host: target.hostname, port: target.port, method, path: url, headers, agent });
  const broken = (): void => {
    upstream.destroy();
    incoming.socket.destroy();
  };
  for (const stream of [incoming, outgoing, upstream]) stream.on("error", broken);
  outgoing.on("close", () => {
    if (!outgoing.writableFinished) upstream.destroy(); // whoever asked was killed
  });
  upstream.on("response", (reply) => {
    reply.on("error", broken);
    outgoing.writeHead(reply.statusCode ?? 500, reply.headers);
    reply.on("data", (piece: Buffer) => {
      if (!outgoing.write(piece)) waitFor(outgoing, reply);
    });
    reply.on("end", () => outgoing.end());
  });
  incoming.on("data", (piece: Buffer) => {
    if (!upstream.write(piece)) waitFor(upstream, incoming);
  });
  incoming.on("end", () => upstream.end());
}

/** Without it a gigabyte would wait in the proxy, and be counted before the server had it. */
function waitFor(full: NodeJS.WritableStream, source: IncomingMessage): void {
  source.pause();
  full.once("drain", () => source.resume());
}
