import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { built } from "../build.ts";
import { Scene } from "./zferry.ts";

const demo = fileURLToPath(new URL("../demo.mjs", import.meta.url));

it("the demo proves that what comes out is what went in, and tidies up", { timeout: 120_000 }, async () => {
  await built();
  const tmp = join(new Scene().folder, "tmp");
  mkdirSync(tmp);
  const { status, stdout } = spawnSync(process.execPath, [demo], { encoding: "utf8", env: { PATH: process.env.PATH, TMPDIR: tmp } });
  expect(stdout.match(/^(in|out) +sha256 [0-9a-f]{64} /gm)).toHaveLength(6);
  expect(stdout).toMatch(/warning: in "file:.*bucket": chunk 1 of \d+ .* are not what was stored; going on with "file:.*second"\n/);
  expect(stdout).toContain("Both streams came back byte for byte, one of them out of two copies.");
  expect(status).toBe(0);
  expect(readdirSync(tmp)).toEqual([]);
});
