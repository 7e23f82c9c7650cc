/**
 * The memory sentence of the README, on a real S3 server: 512 MiB through `put` and back, peak RSS read from the kernel.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { net, Scene } from "../cli/zferry.ts";
import { need } from "../systems.ts";
import { newBucket } from "./bucket.ts";

const minutes = 60_000;
const MiB = 1024 * 1024;
const concurrency = 4;
const partBytes = 16 * MiB;
/** README: peak RSS ≤ 192 MiB + (uploads in flight + 1) × part size. */
const boundBytes = 192 * MiB + (concurrency + 1) * partBytes;

async function sha256(stream: Readable): Promise<string> {
  const hash = createHash("sha256");
  for await (const slice of stream as AsyncIterable<Buffer>) hash.update(slice);
  return hash.digest("hex");
}

/** Peak RSS so far, in bytes, as the kernel counts it; 0 once the process is gone. */
function peakOf(pid: number): number {
  try {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return Number(line?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Runs the program, watching its peak. */
async function watched(words: string[], env: Record<string, string>, feed: (child: ReturnType<typeof spawn>) => Promise<unknown>): Promise<number> {
  const child = spawn(process.execPath, ["--import", net, await built(), ...words], { env: { PATH: process.env.PATH, ...env }, stdio: ["pipe", "pipe", "inherit"] });
  let peakBytes = 0;
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, peakOf(child.pid ?? 0));
  }, 100);
  const closed = new Promise((resolve) => child.once("close", resolve));
  try {
    await feed(child);
    expect(await closed).toBe(0);
  } finally {
    clearInterval(timer);
  }
  return peakBytes;
}

describe("memory", () => {
  it("stays within the README's sentence for 512 MiB to S3 and back", { timeout: 15 * minutes }, async (context) => {
    const bucket = await newBucket(need(context, "s3"));
    const scene = new Scene();
    await built();
    const source = spawn(process.execPath, [fileURLToPath(new URL("../../bench/synthetic-stream.mjs", import.meta.url)), "512MiB"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const sent = createHash("sha256");
    const hashed = async function* (slices: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const slice of slices) {
        sent.update(slice);
        yield slice;
      }
    };
    const flags = ["--store", bucket.url, "--state-dir", scene.stateDir, ...scene.secret, "--part-size", "16MiB", "--concurrency", "4"];
    const up = await watched(["put", "tank/big@s", ...flags], bucket.env, async ({ stdin, stdout }) => {
      stdout?.resume();
      if (stdin !== null) await pipeline(source.stdout, hashed, stdin);
    });
    let received = "";
    const down = await watched(["get", "tank/big@s", ...flags], bucket.env, async ({ stdin, stdout }) => {
      stdin?.end();
      if (stdout !== null) received = await sha256(stdout);
    });
    const inMiB = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`;
    console.log(`peak RSS: put ${inMiB(up)}, get ${inMiB(down)}; the sentence allows ${inMiB(boundBytes)}`);
    expect(received).toBe(sent.digest("hex"));
    expect(up).toBeGreaterThan(0);
    expect(up).toBeLessThanOrEqual(boundBytes);
    expect(down).toBeLessThanOrEqual(boundBytes);
  });
});
