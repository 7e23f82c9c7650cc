#!/usr/bin/env node
/**
 * bare-upload.mjs STORE < STREAM — stores stdin as it is, in chunks and parts of zferry's default sizes, through zferry's
 * own store code: no inspection, no encryption, no digests but the store's, no manifest. What `put` could reach at most.
 */
import { MiB, GiB } from "../dist/bytes.js";
import { defaultRetryPolicy } from "../dist/store/retry.js";
import { openStore } from "../dist/store/open.js";
import { cut } from "../dist/stream/cut.js";
import { parallel } from "../dist/stream/parallel.js";
import { Run } from "../dist/stream/run.js";

const retry = { ...defaultRetryPolicy, budgetMs: 0 };
const options = { partBytes: 16 * MiB, concurrency: 4, retry, access: "write", environment: process.env };
const store = await openStore(process.argv[2], options);
const run = new Run(new AbortController().signal);
const chunks = parallel(cut(process.stdin, { chunkBytes: GiB }), { limit: 2, run }, ({ index, body }) =>
  store.put(`bare.zfs.${String(index).padStart(6, "0")}`, body, { when: "replace", signal: run.signal }),
);
for await (const stored of chunks) if (stored.sizeBytes === 0) throw new Error("an empty chunk was stored");
await store.close();
