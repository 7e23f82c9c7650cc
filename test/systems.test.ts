import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { ownFolder } from "./folder.ts";
import { look, need } from "./systems.ts";

afterEach(() => vi.unstubAllEnvs());

it("finds a system by its variables, and a program in PATH", () => {
  vi.stubEnv("ZFERRY_TEST_UZ", "/x/uz");
  vi.stubEnv("ZFERRY_TEST_ZDB", "/x/zdb");
  vi.stubEnv("PATH", new URL("../fixtures/bin", import.meta.url).pathname);
  vi.stubEnv("ZFERRY_TEST_ALL_SYSTEMS", "");
  expect(look("uz")).toEqual({ uz: "/x/uz", zdb: "/x/zdb" });
  expect(look("rclone")).toBeNull();
});

it("finds a system of several programs", () => {
  const folder = ownFolder();
  for (const name of ["initdb", "pg_ctl", "psql"]) writeFileSync(join(folder, name), "#!/bin/sh\n", { mode: 0o755 });
  vi.stubEnv("PATH", folder);
  expect(look("postgresql")).toEqual({ initdb: join(folder, "initdb"), pgCtl: join(folder, "pg_ctl"), psql: join(folder, "psql") });
});

it("skips the test by name when one variable of several is missing", (context) => {
  vi.stubEnv("ZFERRY_TEST_UZ", "/x/uz");
  vi.stubEnv("ZFERRY_TEST_ZDB", "");
  vi.stubEnv("ZFERRY_TEST_ALL_SYSTEMS", "");
  const skip = vi.fn<(note: string) => never>(() => {
    throw new Error("skipped");
  });
  expect(() => need({ ...context, skip: skip as unknown as typeof context.skip }, "uz")).toThrow("skipped");
  expect(skip).toHaveBeenCalledWith("uz is missing: ZFERRY_TEST_ZDB not set: see .ci/systems/up");
});

it("fails instead when all systems must be there", (context) => {
  vi.stubEnv("ZFERRY_TEST_S3", "");
  vi.stubEnv("ZFERRY_TEST_ALL_SYSTEMS", "1");
  expect(() => look("s3")).toThrow("s3 is missing: ");
  expect(() => need(context, "s3")).toThrow("s3 is missing: ");
});
