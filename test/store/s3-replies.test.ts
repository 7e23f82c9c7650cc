/** Replies of a server that means no good, or is merely slow: without end, byte by byte, and about what nobody asked for. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import type { ByteSource } from "../../src/bytes.ts";
import { MiB } from "../../src/bytes.ts";
import type { Store } from "../../src/store/store.ts";
import { patternOf, signal } from "../store.bodies.ts";
import { failureOf } from "../stream/sources.ts";
import { impatient, openOnServer, partBytes } from "./s3-bench.ts";

type Handler = (request: IncomingMessage, reply: ServerResponse) => void;

/** Where the total time of a request is what matters: a fifth of it is without a byte, too long for a busy machine to be. */
const hasty = 300;

/** A store that tries once, on a server that answers so once it has read the request. */
async function answeredBy(handler: Handler, idleMs = 20_000): Promise<Store> {
  const server = createServer((request, reply) => {
    reply.on("error", () => undefined);
    request.resume().on("end", () => {
      handler(request, reply);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const policy = impatient({ budgetMs: 0 });
  const store = await openOnServer({ endpoint, bucket: "box", prefix: "host", provider: "generic", policy, idleMs });
  onTestFinished(async () => {
    await store.close();
    server.closeAllConnections();
    server.close();
  });
  return store;
}

async function listed(store: Store, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, { signal })) keys.push(key);
  return keys;
}

const read = async (store: Store): Promise<void> => {
  for await (const piece of store.get("k", { signal })) expect(piece.length).toBe(0);
};

/** Where an endless reply ends after all, should no one stop it. */
const farBytes = 64 * MiB;

/** Writes `piece` again and again, as fast as it is taken. */
function withoutEnd(status: number, head: string, piece: Buffer): Handler {
  return (_request, reply) => {
    reply.writeHead(status, { "content-type": "application/xml" });
    reply.write(head);
    let bytes = 0;
    const more = (): void => {
      while (bytes < farBytes) {
        bytes += piece.length;
        if (!reply.write(piece)) return;
      }
      reply.destroy();
    };
    reply.on("drain", more);
    more();
  };
}

describe("a reply without end", () => {
  const padding = Buffer.alloc(64 * 1024, " ");

  it.for<[string, number, string, (store: Store) => Promise<unknown>]>([
    ["listing", 200, "<ListBucketResult>", listed],
    ["list of unfinished uploads", 200, "<ListMultipartUploadsResult>", (store) => store.listUnfinished("", { signal })],
    ["refusal of a listing", 500, "<Error>", listed],
    ["refusal of a read", 404, "<Error>", read],
    ["receipt of a put", 200, "<PutObjectResult>", (store) => store.put("k", Buffer.from("x"), { when: "replace", signal })],
  ])("is not read to its end: a %s", async ([, status, head, act]) => {
    const store = await answeredBy(withoutEnd(status, head, padding));
    expect(await failureOf(act(store))).toMatchObject({
      code: "store-failed",
      message: expect.stringContaining("the reply is longer than 16 MiB") as string,
    });
  });

  it("is not read at all when it is of an object that a HEAD has just denied", async () => {
    let sentBytes = 0;
    const endless = withoutEnd(206, "", padding);
    const store = await answeredBy((request, reply) => {
      if (request.method === "HEAD") return reply.writeHead(404).end();
      reply.on("close", () => (sentBytes = request.socket.bytesWritten));
      endless(request, reply);
      return undefined;
    });
    expect(await failureOf(store.head("k", { signal }))).toMatchObject({ code: "store-failed" });
    expect(sentBytes).toBeLessThan(farBytes / 2);
  });
});

/** Answers at once, and then sends a byte of white space every few milliseconds: `times` of them, and then `end`. */
function byTrickles(status: number, times = Infinity, end = ""): Handler {
  return (_request, reply) => {
    reply.writeHead(status, { "content-type": "application/xml" });
    let count = 0;
    const timer = setInterval(() => {
      count += 1;
      if (count <= times) reply.write(" ");
      else reply.end(end);
    }, 20);
    reply.on("close", () => {
      clearInterval(timer);
    });
  };
}

describe("a reply that comes byte by byte", () => {
  async function* twoParts(): ByteSource {
    await Promise.resolve();
    yield patternOf(partBytes + 1);
  }
  const isBegin = ({ method, url = "" }: IncomingMessage): boolean => method === "POST" && url.includes("uploads");

  it.for<[string, number, (store: Store) => Promise<unknown>]>([
    ["listing", 200, listed],
    ["refusal of a read", 503, read],
    ["receipt of a put", 200, (store) => store.put("k", Buffer.from("x"), { when: "replace", signal })],
    ["beginning of an upload", 200, (store) => store.put("k", twoParts(), { when: "replace", signal })],
  ])("is given up in the end: a %s", async ([, status, act]) => {
    const store = await answeredBy(byTrickles(status), hasty);
    expect(await failureOf(act(store))).toMatchObject({
      code: "store-failed",
      message: expect.stringMatching(/no whole reply within [\d.]+ s/) as string,
    });
  });

  it("keeps nobody waiting who cancels: the beginning of an upload", async () => {
    const controller = new AbortController();
    const trickle = byTrickles(200);
    const store = await answeredBy((request, reply) => {
      trickle(request, reply);
      controller.abort(new Error("stop"));
    }, hasty);
    const put = store.put("k", twoParts(), { when: "replace", signal: controller.signal });
    await expect(put).rejects.toThrow("stop");
  });

  it("is waited for when it is of a Complete, which takes servers minutes", async () => {
    let token = "";
    const complete = byTrickles(200, 85, '<CompleteMultipartUploadResult><ETag>"e-2"</ETag></CompleteMultipartUploadResult>');
    const store = await answeredBy((request, reply) => {
      const { method, headers } = request;
      if (isBegin(request)) {
        token = String(headers["x-amz-meta-zferry-upload"]);
        reply.end("<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>");
      } else if (method === "PUT") {
        reply.writeHead(200, { etag: '"p"' }).end();
      } else if (method === "POST") {
        complete(request, reply);
      } else {
        const found = { "x-amz-meta-zferry-upload": token, etag: '"e-2"', "last-modified": new Date().toUTCString() };
        reply.writeHead(200, { ...found, "content-length": partBytes + 1 }).end();
      }
    }, hasty);
    expect(await store.put("k", twoParts(), { when: "replace", signal })).toMatchObject({ etag: "e-2" });
  });
});

describe("a listing with what was not asked for", () => {
  const time = "<LastModified>2026-11-21T07:42:00.000Z</LastModified>";
  const object = (key: string): string => `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag>${time}</Contents>`;
  const upload = (key: string): string =>
    `<Upload><Key>${key}</Key><UploadId>u</UploadId><Initiated>2026-11-21T07:42:00.000Z</Initiated></Upload>`;
  const verbs: Readonly<Record<string, (store: Store) => Promise<unknown>>> = {
    list: (store) => listed(store, "tmp/"),
    listUnfinished: (store) => store.listUnfinished("tmp/", { signal }),
    removeUnfinished: (store) => store.removeUnfinished("tmp/", { signal }),
  };

  it.for(
    Object.keys(verbs).flatMap((verb) =>
      ["host/streams/x", "other/tmp/x", "tmp/x", "hosttmp/x"].map((key): [string, string] => [verb, key]),
    ),
  )("is refused by %s, before anyone deletes %s for it", async ([verb, key]) => {
    const removed: string[] = [];
    const store = await answeredBy(({ method = "", url = "" }, reply) => {
      if (method === "DELETE") removed.push(url);
      const isOfUploads = url.includes("uploads");
      reply.end(isOfUploads ? `<R>${upload(key)}</R>` : `<R>${object(key)}</R>`);
    });
    expect(await failureOf(verbs[verb]?.(store) ?? Promise.resolve())).toMatchObject({
      code: "store-failed",
      message: expect.stringContaining(`lists "${key}", which is not under "host/tmp/"`) as string,
    });
    expect(removed).toEqual([]);
  });
});
