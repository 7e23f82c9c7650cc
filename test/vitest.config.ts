import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/**
 * Four workers for two cores, because the longest tests wait most of the time: for leases to run out, for outages to end.
 * System tests (a VM, an S3 server) have their own generous timeouts.
 */
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  resolve: { alias: { zferry: fileURLToPath(new URL("../src/index.ts", import.meta.url)) } }, // as the examples import it
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 4,
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
