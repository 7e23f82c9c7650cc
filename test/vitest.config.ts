import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Two cores: two workers. System tests (a VM, an S3 server) have their own generous timeouts. */
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 120_000,
  },
});
