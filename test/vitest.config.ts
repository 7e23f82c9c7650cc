import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/**
 * Four workers for two cores, because the longest tests wait most of the time: for leases to run out, for outages to end.
 * The files of a worker share a process, because loading the sources anew for each of 300 files is a tenth of the run.
 * System tests (a VM, an S3 server) have their own generous timeouts.
 */
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  resolve: { alias: { zferry: fileURLToPath(new URL("../src/index.ts", import.meta.url)) } }, // as the examples import it
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    isolate: false,
    maxWorkers: 4,
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
