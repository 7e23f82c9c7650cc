/**
 * An HTTP proxy that breaks what passes through it, on loopback, one declared fault at a time. The `Host` header passes
 * unchanged, so a signature made for the proxy's address holds behind it.
 */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request as httpRequest } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** What happens to a request. Byte offsets count the body that is being passed on. */
export type Fault =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly code: string;
      readonly headers?: Record<string, string>;
    }
  /** Answers at once, without reading the body, and leaves the connection open. */
  | { readonly kind: "status-early"; readonly status: number; readonly code: string }
  /** Reads everything and says 200 to it, as a proxy or a gateway that lost its backend might; no server hears of it. */
  | { readonly kind: "swallow"; readonly headers?: Record<string, string> }
  | { readonly kind: "reset" }
  /** Reads everything and never answers. */
  | { readonly kind: "hang" }
  | { readonly kind: "reset-upload"; readonly atBytes: number }
  /** Takes no more of the body and never answers; the connection stays. */
  | { readonly kind: "stall-upload"; readonly atBytes: number }
  | { readonly kind: "flip-upload"; readonly atBytes: number }
  /** The server acts, the client never hears of it. */
  | { readonly kind: "drop-reply" }
  | { readonly kind: "truncate-reply"; readonly atBytes: number }
  /** The same by an end of the connection instead of a reset: every byte before it arrives. */
  | { readonly kind: "end-reply"; readonly atBytes: number }
  /** The reply stops there; the connection stays. */
  | { readonly kind: "stall-reply"; readonly atBytes: number };

export interface FaultRule {
  /** Tested against `METHOD /path?query`. */
  readonly match: RegExp;
  /** How many requests it hits; `Infinity` is one that never heals, and must happen once at least. */
  readonly times: number;
  readonly fault: Fault;
  /** Called when it hits, before anything else happens. */
  readonly onHit?: () => void;
}

/** A request as it came in. */
export interface SeenRequest {
  /** `METHOD /path?query`. */
  readonly line: string;
  /** Its Range header; null without one. */
  readonly range: string | null;
  /** What was done to it; null when it was passed on as it is. */
  readonly fault: Fault | null;
}

export interface FaultProxy {
  readonly port: number;
  /** `METHOD /path?query` of every request, in order. */
  readonly lines: string[];
  readonly requests: readonly SeenRequest[];
  /** Adds a fault; earlier ones go first. */
  add(rule: FaultRule): void;
  /** Forgets all rules. */
  heal(): void;
  /** How often a rule that was added has hit. */
  hitCount(rule: FaultRule): number;
  /** Throws when a declared fault has not happened as often as declared. */
  assertAllFired(): void;
  /** Resets every connection, and refuses new ones until {@link admit}. */
  refuse(): Promise<void>;
  /** Listens again, on the same port. */
  admit(): Promise<void>;
  close(): Promise<void>;
}

/** Told of every piece of a request's body that arrives, whatever becomes of the request. `atBytes` counts from its start. */
export type BodyWitness = (line: string, atBytes: number, piece: Uint8Array) => void;

interface ActiveRule {
  readonly rule: FaultRule;
  hitCount: number;
}

export async function startFaultProxy(targetPort: number, witness?: BodyWitness): Promise<FaultProxy> {
  const rules: ActiveRule[] = [];
  const requests: SeenRequest[] = [];
  const lines: string[] = [];
  const sockets = new Set<Socket>();
  const agent = new Agent({ keepAlive: true });
  const server = createServer((incoming, outgoing) => {
    const line = `${incoming.method ?? ""} ${incoming.url ?? ""}`;
    const hit = rules.find(({ rule, hitCount }) => hitCount < rule.times && rule.match.test(line));
    if (hit !== undefined) hit.hitCount += 1;
    const fault = hit?.rule.fault ?? null;
    lines.push(line);
    requests.push({ line, range: incoming.headers.range ?? null, fault });
    hit?.rule.onHit?.();
    incoming.on("error", () => undefined);
    outgoing.on("error", () => undefined);
    if (witness !== undefined) watch(incoming, line, witness);
    if (fault === null || !answerAlone(fault, incoming, outgoing))
      passOn(fault, { incoming, outgoing, targetPort, agent });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const listen = async (port: number): Promise<void> => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  const refuse = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    lines,
    requests,
    add: (rule) => rules.push({ rule, hitCount: 0 }),
    heal: () => (rules.length = 0),
    hitCount: (wanted) => rules.find(({ rule }) => rule === wanted)?.hitCount ?? 0,
    assertAllFired: () => {
      assertFired(rules);
    },
    refuse,
    admit: () => listen(port),
    close: async () => {
      if (server.listening) await refuse();
      agent.destroy();
    },
  };
}

function assertFired(rules: readonly ActiveRule[]): void {
  const names = rules
    .map(({ rule, hitCount }) => ({ rule, left: (rule.times === Infinity ? 1 : rule.times) - hitCount }))
    .filter(({ left }) => left > 0)
    .map(({ rule, left }) => `${rule.fault.kind} ${left}× at ${rule.match.source}`);
  if (names.length > 0) throw new Error(`these faults were never hit: ${names.join("; ")}`);
}

function watch(incoming: IncomingMessage, line: string, witness: BodyWitness): void {
  let seenBytes = 0;
  incoming.on("data", (piece: Buffer) => {
    witness(line, seenBytes, piece);
    seenBytes += piece.length;
  });
}

/** True when the fault needs no server behind it. */
function answerAlone(fault: Fault, incoming: IncomingMessage, outgoing: ServerResponse): boolean {
  const answer = (status: number, code: string, headers: Record<string, string> = {}): void => {
    outgoing.writeHead(status, { "content-type": "application/xml", ...headers });
    outgoing.end(`<Error><Code>${code}</Code><Message>injected</Message></Error>`);
  };
  switch (fault.kind) {
    case "status":
      incoming.resume().on("end", () => {
        answer(fault.status, fault.code, fault.headers);
      });
      return true;
    case "status-early":
      answer(fault.status, fault.code);
      return true;
    case "swallow":
      incoming.resume().on("end", () => {
        outgoing.writeHead(200, { "content-length": 0, ...fault.headers }).end();
      });
      return true;
    case "reset":
      incoming.socket.resetAndDestroy();
      return true;
    case "hang":
      incoming.resume();
      return true;
    case "reset-upload":
    case "stall-upload":
    case "flip-upload":
    case "drop-reply":
    case "truncate-reply":
    case "end-reply":
    case "stall-reply":
      return false;
  }
}

function isCut(fault: Fault | null): fault is Fault & { readonly kind: "truncate-reply" | "end-reply" | "stall-reply" } {
  return fault !== null && ["truncate-reply", "end-reply", "stall-reply"].includes(fault.kind);
}

interface Passage {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly targetPort: number;
  readonly agent: Agent;
}

function passOn(fault: Fault | null, { incoming, outgoing, targetPort, agent }: Passage): void {
  const { method, url, headers } = incoming;
  const upstream = httpRequest({ host: "127.0.0.1", port: targetPort, method, path: url, headers, agent });
  upstream.on("error", () => incoming.socket.destroy());
  outgoing.on("close", () => {
    if (!outgoing.writableFinished) upstream.destroy();
  });
  upstream.on("response", (reply) => {
    reply.on("error", () => undefined);
    if (fault?.kind === "drop-reply") {
      reply.resume().on("end", () => incoming.socket.resetAndDestroy());
      return;
    }
    outgoing.writeHead(reply.statusCode ?? 500, reply.headers);
    let sentBytes = 0;
    reply.on("data", (piece: Buffer) => {
      const cut = isCut(fault) ? fault.atBytes - sentBytes : Infinity;
      sentBytes += piece.length;
      if (piece.length <= cut) outgoing.write(piece);
      else if (cut >= 0) {
        outgoing.write(piece.subarray(0, cut), () => {
          if (fault?.kind === "end-reply") incoming.socket.end();
          if (fault?.kind === "truncate-reply") incoming.socket.resetAndDestroy();
        });
      }
    });
    reply.on("end", () => {
      if (!isCut(fault)) outgoing.end();
    });
  });
  let receivedBytes = 0;
  incoming.on("data", (piece: Buffer) => {
    const before = receivedBytes;
    receivedBytes += piece.length;
    const isHere = "atBytes" in (fault ?? {}) && (fault as { atBytes: number }).atBytes < receivedBytes;
    if (fault?.kind === "reset-upload" && isHere) {
      upstream.destroy();
      incoming.socket.resetAndDestroy();
      return;
    }
    if (fault?.kind === "stall-upload" && isHere) {
      incoming.pause();
      return;
    }
    if (fault?.kind === "flip-upload" && isHere && before <= fault.atBytes) {
      piece[fault.atBytes - before] = (piece[fault.atBytes - before] ?? 0) ^ 1;
    }
    upstream.write(piece);
  });
  incoming.on("end", () => upstream.end());
}
