/** Lists of unfinished uploads as servers give them: in pages, not at all, or without end. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { signal } from "../store.bodies.ts";
import { failureOf } from "../stream/sources.ts";
import { openOnServer } from "./s3-bench.ts";
import type { Store } from "../../src/store/store.ts";

const begun = "2026-11-21T07:42:00.000Z";

interface Page {
  readonly status?: number;
  readonly uploads?: string;
  /** Key and upload a further page begins behind. */
  readonly next?: readonly [string, string];
}

function upload(key: string, id: string): string {
  return `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${begun}</Initiated></Upload>`;
}

/** A store on a server that answers with these pages in turn, the last one for ever; and what it was asked for. */
async function answering(pages: readonly Page[]): Promise<{ store: Store; asked: URLSearchParams[] }> {
  const asked: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    asked.push(new URL(request.url ?? "", "http://x").searchParams);
    const { status = 200, uploads = "", next } = pages[Math.min(asked.length, pages.length) - 1] ?? {};
    const more = next === undefined ? "<IsTruncated>false</IsTruncated>" : `<IsTruncated>true</IsTruncated><NextKeyMarker>${next[0]}</NextKeyMarker><NextUploadIdMarker>${next[1]}</NextUploadIdMarker>`;
    response.writeHead(status, { "content-type": "application/xml" });
    response.end(status === 200 ? `<ListMultipartUploadsResult>${uploads}${more}</ListMultipartUploadsResult>` : "<Error><Code>No</Code></Error>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const store = await openOnServer({ endpoint: `http://127.0.0.1:${port}`, bucket: "box", prefix: "host", provider: "generic" });
  onTestFinished(async () => {
    await store.close();
    server.closeAllConnections();
    server.close();
  });
  return { store, asked };
}

it("all pages are asked for, each behind the last one, and keys come without the store's prefix", async () => {
  const { store, asked } = await answering([
    { uploads: upload("host/streams/a", "1") + upload("host/streams/a", "2"), next: ["host/streams/a", "2"] },
    { uploads: upload("host/streams/b", "1") },
  ]);
  const startedAt = new Date(begun);
  expect(await store.listUnfinished("streams/", { signal })).toEqual([
    { key: "streams/a", startedAt },
    { key: "streams/a", startedAt },
    { key: "streams/b", startedAt },
  ]);
  expect(asked.map((query) => [query.get("prefix"), query.get("key-marker"), query.get("upload-id-marker")])).toEqual([
    ["host/streams/", null, null],
    ["host/streams/", "host/streams/a", "2"],
  ]);
});

it("a server that cannot list them has none", async () => {
  const { store } = await answering([{ status: 501 }]);
  expect(await store.listUnfinished("", { signal })).toEqual([]);
});

it.for<[string, readonly Page[], string]>([
  ["a page that does not say where the next one begins", [{ next: ["", ""] }], "store-failed"],
  ["a page that leads to itself for ever", [{ uploads: upload("host/a", "1"), next: ["host/a", "1"] }], "store-failed"],
  ["an upload without a key", [{ uploads: `<Upload><Initiated>${begun}</Initiated></Upload>` }], "store-failed"],
  ["an upload without a time", [{ uploads: "<Upload><Key>host/a</Key></Upload>" }], "store-failed"],
  ["a refusal", [{ status: 403 }], "store-denied"],
])("%s is an error and not a shorter list", async ([, pages, code]) => {
  const { store } = await answering(pages);
  expect(await failureOf(store.listUnfinished("", { signal }))).toMatchObject({ code });
});
