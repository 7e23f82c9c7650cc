/** In a process of its own, because a test's own stdin is none of its business. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "../build.ts";
import { bytesOf } from "../openpgp/sample.ts";

beforeAll(async () => {
  await built();
});

/** Reads its stdin in a given way and prints what came. `slow` waits now and then, with a slice in hand. */
function program(way: "quick" | "slow" | "aborted"): string {
  const module = new URL("../../dist/cli/pipe-reader.js", import.meta.url).href;
  return `
    import { createHash } from "node:crypto";
    import { readPipe } from ${JSON.stringify(module)};
    const stop = new AbortController();
    const hash = createHash("sha256");
    let bytes = 0, slices = 0;
    try {
      for await (const slice of readPipe(0, stop.signal)) {
        bytes += slice.length;
        slices += 1;
        if (${JSON.stringify(way)} === "slow" && slices % 5 === 0) await new Promise((go) => setTimeout(go, 2));
        hash.update(slice); // after the wait: the memory must not have been filled anew
        if (${JSON.stringify(way)} === "aborted" && slices === 1) setTimeout(() => stop.abort(new Error("enough")), 50);
      }
      console.log(JSON.stringify({ bytes, sha256: hash.digest("hex"), error: null }));
    } catch (error) {
      console.log(JSON.stringify({ bytes, error: error.message }));
    }
  `;
}

async function read(way: "quick" | "slow" | "aborted", feed: (write: (bytes: Buffer) => Promise<void>) => Promise<void>): Promise<Record<string, unknown>> {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program(way)], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => undefined);
  const said: Buffer[] = [];
  child.stdout.on("data", (piece: Buffer) => said.push(piece));
  const closed = once(child, "close");
  await feed(
    (bytes) =>
      new Promise((resolve) => {
        child.stdin.write(bytes, () => {
          resolve();
        });
      }),
  );
  if (way !== "aborted") child.stdin.end();
  await closed;
  return JSON.parse(Buffer.concat(said).toString()) as Record<string, unknown>;
}

describe("a pipe", () => {
  it.for([0, 1, 65_535, 65_536, 65_537, 3_000_001])("of %i bytes is read to its end, byte for byte", async (sizeBytes) => {
    const bytes = bytesOf(sizeBytes, "pipe");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect(await read("quick", (write) => write(bytes))).toEqual({ bytes: sizeBytes, sha256, error: null });
  });

  it("whose reader dawdles with a slice in hand gives it nothing else meanwhile", async () => {
    const bytes = bytesOf(9_000_001, "pipe");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const inPieces = async (write: (bytes: Buffer) => Promise<void>): Promise<void> => {
      for (let at = 0, step = 1; at < bytes.length; at += step, step = ((step * 31) % 150_000) + 1) await write(bytes.subarray(at, at + step));
    };
    expect(await read("slow", inPieces)).toEqual({ bytes: bytes.length, sha256, error: null });
  });

  it("that stays open is left when the signal says so", async () => {
    const outcome = await read("aborted", async (write) => {
      await write(bytesOf(1000, "pipe"));
      await sleep(10);
    });
    expect(outcome).toEqual({ bytes: 1000, error: "enough" });
  });
});
