import { request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { ZferryError } from "../../src/errors.ts";
import type { Standings } from "../../src/status/gather.ts";
import { isLoopback, type Page, parseAddress, serve, type Serving } from "../../src/status/serve.ts";
import { standingOf } from "../../src/status/standing.ts";
import { validate } from "../documents/validate.ts";
import { dayMs, home, jobOf, now, runOf } from "./standings.ts";

function standings(...runs: readonly ReturnType<typeof runOf>[]): Standings {
  const common = { job: jobOf(), dataset: home, isNamed: true, jobRunAt: null, held: null, copies: [], copying: [], drill: null, failureCount: 0, disabledSince: null, owedHooks: [] };
  return { at: now, standings: [standingOf({ ...common, runs, seenAt: now, now })], undelivered: [] };
}

interface Server {
  readonly url: string;
  readonly warnings: string[];
  readonly stop: () => Promise<void>;
}

async function serving(look: () => Promise<Standings>, { address = { host: "127.0.0.1", port: 0 }, ...some }: Partial<Pick<Serving, "address" | "limits" | "page">> = {}): Promise<Server> {
  const [stop, warnings] = [new AbortController(), [] as string[]];
  let ended = Promise.resolve();
  const url = await new Promise<string>((resolve, reject) => {
    ended = serve({ page: () => Promise.resolve({ text: "<p>", policy: "default-src 'none'" }), ...some, address, standings: look, onListening: resolve, warn: (words) => warnings.push(words), signal: stop.signal });
    ended.catch(reject);
  });
  const end = async (): Promise<void> => {
    stop.abort();
    await ended;
  };
  onTestFinished(end);
  return { url, warnings, stop: end };
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly allow: string | undefined;
  readonly body: string;
}

function ask(url: string, method = "GET", body?: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, agent: false, headers }, (response) => {
      const { statusCode: status = 0, headers } = response;
      text(response).then((read) => {
        resolve({ status, type: headers["content-type"] ?? "", allow: headers.allow, body: read });
      }, reject);
    });
    asking.once("error", reject).end(body);
  });
}

const good = (): Promise<Standings> => Promise.resolve(standings(runOf(1000)));

describe("the status over HTTP", () => {
  it("answers with the document, the metrics and the health", async () => {
    const { url } = await serving(good);
    const document = await ask(`${url}/api/v1/backup/status?pretty`);
    expect([document.status, document.type]).toEqual([200, "application/json"]);
    validate("output/status", JSON.parse(document.body));
    expect(JSON.parse(document.body)).toMatchObject({ type: "status", ok: true, datasets: [{ job: "home", dataset: "tank/home", state: "ok" }] });
    const metrics = await ask(`${url}/metrics`);
    expect([metrics.status, metrics.type]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
    expect(metrics.body).toContain('zferry_backup_overdue{job="home",dataset="tank/home",store="main"} 0\n');
    expect(await ask(`${url}/healthz`)).toMatchObject({ status: 200, body: "ok\n" });
  });

  it("is unhealthy with 503 when a dataset needs attention", async () => {
    const { url } = await serving(() => Promise.resolve(standings(runOf(3 * dayMs))));
    expect(await ask(`${url}/healthz`)).toMatchObject({ status: 503, body: "1 of 1 need attention: see /api/v1/backup/status\n" });
    expect((await ask(`${url}/api/v1/backup/status`)).status).toBe(200);
  });

  it("has a page at / for browsers, which may do with it only what it says, and draws it once for all who ask", async () => {
    let drawCount = 0;
    const page = (): Promise<Page> => {
      drawCount += 1;
      return Promise.resolve({ text: "<p>all is well", policy: "default-src 'none'; img-src data:" });
    };
    const { url } = await serving(good, { page });
    expect((await ask(`${url}/healthz`)).status).toBe(200);
    expect(drawCount).toBe(0);
    const replies = await Promise.all(Array.from({ length: 20 }, () => fetch(url)));
    const [{ headers, status } = new Response()] = replies;
    expect([status, headers.get("content-type"), headers.get("content-security-policy")]).toEqual([200, "text/html; charset=utf-8", "default-src 'none'; img-src data:; frame-ancestors 'none'"]);
    expect([headers.get("x-content-type-options"), headers.get("referrer-policy"), headers.get("cache-control"), headers.get("access-control-allow-origin")]).toEqual(["nosniff", "no-referrer", "no-store", null]);
    expect([await replies[19]?.text(), drawCount]).toEqual(["<p>all is well", 1]);
    expect(await ask(url, "POST")).toMatchObject({ status: 405 });
  });

  it("still tells the rest when the page cannot be drawn", async () => {
    const { url, warnings } = await serving(good, { page: () => Promise.reject(new Error("no room")) });
    expect(await ask(`${url}/`)).toMatchObject({ status: 500, body: "" });
    expect([warnings, (await ask(`${url}/metrics`)).status]).toEqual([["the status could not be told: no room"], 200]);
  });

  it.for(["/index.html", "/api", "/metrics/", "/healthz/x", "/%2e%2e/etc/passwd", "//metrics", "/constructor"])("has nothing at %s", async (path) => {
    const { url } = await serving(good);
    expect(await ask(`${url}${path}`)).toMatchObject({ status: 404, body: "not found\n" });
  });

  it("answers HEAD without a body, and no other method", async () => {
    const { url } = await serving(good);
    expect(await ask(`${url}/metrics`, "HEAD")).toMatchObject({ status: 200, body: "" });
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      expect(await ask(`${url}/metrics`, method, "x".repeat(100_000))).toMatchObject({ status: 405, allow: "GET, HEAD" });
    }
  });

  it("looks once, however many ask at a time", async () => {
    let lookCount = 0;
    const { url } = await serving(() => {
      lookCount += 1;
      return good();
    });
    const replies = await Promise.all(Array.from({ length: 40 }, () => ask(`${url}/healthz`)));
    expect([replies.every(({ status }) => status === 200), lookCount]).toEqual([true, 1]);
  });

  it("writes each answer once, however many ask: a scrape of many datasets takes time to write", async () => {
    let writeCount = 0;
    const counted = {
      ...standings(runOf(1000)),
      get undelivered() {
        writeCount += 1;
        return [];
      },
    };
    const { url } = await serving(() => Promise.resolve(counted));
    const replies = await Promise.all(Array.from({ length: 10 }, () => ask(`${url}/api/v1/backup/status`)));
    expect([new Set(replies.map(({ body }) => body)).size, writeCount]).toEqual([1, 1]);
  });

  it.for([
    ["127.0.0.1:9909", 200],
    ["127.0.0.1", 200],
    ["[::1]:80", 200],
    ["localhost:9909", 200],
    ["LOCALHOST.", 200],
    ["backups.localhost", 200],
    ["192.0.2.7", 200],
    ["evil.example", 421],
    ["evil.example:9909", 421],
    ["localhost.evil.example", 421],
    ["127.0.0.1.evil.example", 421],
  ] as const)("asked as %j of this host alone it answers %i: a page of somebody else's, to whose name a browser was told this address, reads nothing", async ([host, status]) => {
    const { url } = await serving(good);
    const reply = await ask(`${url}/api/v1/backup/status`, "GET", undefined, { host });
    expect([reply.status, reply.body.includes("tank/home")]).toEqual([status, status === 200]);
  });

  it("answers by any name where other hosts may ask", async () => {
    const { url } = await serving(good, { address: { host: "0.0.0.0", port: 0 } });
    expect((await ask(`${url}/healthz`, "GET", undefined, { host: "backup.example" })).status).toBe(200);
  });

  it("says nothing of why it could not look, but to whoever runs it, and looks again", async () => {
    let lookCount = 0;
    const { url, warnings } = await serving(() => {
      lookCount += 1;
      return lookCount === 1 ? Promise.reject(new ZferryError("config-invalid", "cannot read the history")) : good();
    }, { limits: { failureMs: 0 } });
    expect(await ask(`${url}/healthz`)).toMatchObject({ status: 500, body: "" });
    expect(warnings).toEqual(["the status could not be told: cannot read the history"]);
    expect((await ask(`${url}/healthz`)).status).toBe(200);
  });

  it("looks once for many where it cannot look, too, and tells whoever runs it once", async () => {
    let lookCount = 0;
    const { url, warnings } = await serving(good, {
      page: () => {
        lookCount += 1;
        return Promise.reject(new Error("no room"));
      },
    });
    for (let asked = 0; asked < 20; asked += 1) expect((await ask(url)).status).toBe(500);
    expect([lookCount, warnings]).toEqual([1, ["the status could not be told: no room"]]);
  });

  it("ends on a signal, whoever is connected", async () => {
    const { url, stop } = await serving(good);
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write("GET /metrics HTTP/1.1\r\n"); // and nothing more
    const closed = new Promise((resolve) => socket.once("close", resolve));
    await stop();
    await closed;
    await expect(ask(`${url}/healthz`)).rejects.toThrow("ECONNREFUSED");
  });

  it("lets go of whoever asks and does not read, so that others get in", async () => {
    const long = { ...standings(runOf(1000)), undelivered: [{ notifier: "x".repeat(8 * 2 ** 20), at: now, why: "y" }] };
    const { url } = await serving(() => Promise.resolve(long), { limits: { connections: 1, patienceMs: 200 } });
    const { port } = new URL(url);
    const socket = connect(Number(port), "127.0.0.1").on("error", () => undefined);
    onTestFinished(() => void socket.destroy());
    socket.pause().write("GET /api/v1/backup/status HTTP/1.1\r\nhost: x\r\n\r\n");
    await new Promise((resolve) => socket.once("connect", resolve));
    while (!(await ask(`${url}/healthz`).then(({ status }) => status === 200, () => false))) await sleep(20);
  });

  it("refuses headers without end", async () => {
    const { url } = await serving(good);
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    const reply = text(socket);
    socket.write(`GET /metrics HTTP/1.1\r\nhost: x\r\nx: ${"x".repeat(20_000)}`);
    expect(await reply).toMatch(/^HTTP\/1.1 431 /);
  });

  it("says that a port is taken", async () => {
    const { url } = await serving(good);
    await expect(serving(good, { address: { host: "127.0.0.1", port: Number(new URL(url).port) } })).rejects.toThrow(/^cannot listen on "127.0.0.1" port \d+: EADDRINUSE$/);
  });
});

describe("an address to listen on", () => {
  it.for([
    ["9909", "127.0.0.1", 9909, true],
    [":80", "127.0.0.1", 80, true],
    ["localhost:1", "localhost", 1, true],
    ["127.9.9.9:1", "127.9.9.9", 1, true],
    ["[::1]:65535", "::1", 65535, true],
    ["0.0.0.0:0", "0.0.0.0", 0, false],
    ["[::]:80", "::", 80, false],
    ["backup.example.org:80", "backup.example.org", 80, false],
    ["127.example.org:80", "127.example.org", 80, false],
  ] as const)("%s is host %s, port %i, loopback %s", ([address, host, port, isLocal]) => {
    expect(parseAddress(address)).toEqual({ host, port });
    expect(isLoopback({ host, port })).toBe(isLocal);
  });

  it.for(["", "x", "1:2:3", "::1:80", "127.0.0.1:65536", "127.0.0.1:", "http://x:80", "127.0.0.1:8o"])("%j is none", (address) => {
    expect(() => parseAddress(address)).toThrow(/is not an address to listen on$/);
  });
});
