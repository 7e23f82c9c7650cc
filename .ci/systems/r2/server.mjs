// server.mjs MODULES PORT DATA: Cloudflare's own local R2 (miniflare) with its S3 interface on 127.0.0.1:PORT.
//
// It is the one server to be had that enforces R2's rule of equal parts. It is a simulator with gaps (no ListParts, no
// checksums, no CreateBucket), so tests of that rule run here, and everything else against the gateway.
// The endpoint is http://127.0.0.1:PORT/cdn-cgi/local/r2/s3, region "auto"; its buckets are the two named below.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, port, data] = process.argv.slice(2);
const { Miniflare } = await import(pathToFileURL(createRequire(`${modules}/`).resolve("miniflare")).href);

const s3Credentials = {
  accessKeyId: process.env.ZFERRY_TEST_S3_ACCESS_KEY,
  secretAccessKey: process.env.ZFERRY_TEST_S3_SECRET_KEY,
};
const server = new Miniflare({
  modules: true,
  script: 'export default { fetch() { return new Response("ok"); } }',
  compatibilityDate: "2026-01-01",
  host: "127.0.0.1",
  port: Number(port),
  r2Persist: data,
  r2Buckets: { TEST: { id: "test-bucket", s3Credentials }, BENCH: { id: "bench", s3Credentials } },
});
await server.ready;
console.log("r2 ready");
