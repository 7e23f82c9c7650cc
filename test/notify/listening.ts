/** A local HTTP listener in the place of somebody's service, and a teller that talks to it. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { notifySchema, notifySettingsOf } from "../../src/config/notify.ts";
import { type Happening, makeTeller, type Teller, type TellerOptions } from "../../src/notify/tell.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { validate } from "../documents/validate.ts";
import { ownFolder } from "../folder.ts";

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Listener {
  readonly url: string;
  readonly received: Received[];
}

/** @param answer - what it does with a request, after it was read; 200 unless given */
export async function listener(answer?: (request: IncomingMessage, response: ServerResponse, count: number) => void): Promise<Listener> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      received.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
      if (answer === undefined) response.end("ok");
      else answer(request, response, received.length);
    }, () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    for (const { body } of received) if (body.startsWith('{"type":"happening"')) validate("notify/happening", JSON.parse(body));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

/** The address of a port on which nobody listens. */
export async function nobody(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

export const at = new Date("2026-11-21T02:00:00Z");
export const home = parseDatasetName("tank/home");

export function happening(some: Partial<Happening> = {}): Happening {
  return { kind: "failure", job: "home", dataset: home, at, text: 'backup of "tank/home" failed: no space', details: { code: "store-full" }, ...some };
}

export interface OwnTeller extends Teller {
  readonly warnings: string[];
}

/** A teller of a configuration's `notify` list, which does not pause between tries. */
export function tellerOf(list: readonly unknown[], some: Partial<TellerOptions> = {}): OwnTeller {
  const warnings: string[] = [];
  const teller = makeTeller(notifySettingsOf(notifySchema.parse(list)), {
    stateDir: some.stateDir ?? ownFolder(),
    environment: { PATH: process.env.PATH },
    warn: (words) => warnings.push(words),
    now: () => at,
    signal: new AbortController().signal,
    pauseMs: 1,
    ...some,
  });
  return { ...teller, warnings };
}
