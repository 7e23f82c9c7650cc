/**
 * The worker threads as they are shipped: the built modules, because a thread is started from a file that Node can read.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { Attempt } from "../../src/attempt.ts";
import type { FerrySettings } from "../../src/cargo.ts";
import { MiB } from "../../src/bytes.ts";
import type * as packingModule from "../../src/packing.ts";
import type { ChunkDigest } from "../../src/stream/digest.ts";
import { measure } from "../../src/stream/digest.ts";
import type * as runModule from "../../src/stream/run.ts";
import { built } from "../build.ts";
import { bytesOf, fixedSecrets, sliced } from "../openpgp/sample.ts";

let packing: typeof packingModule.packing;
let Run: typeof runModule.Run;

beforeAll(async () => {
  await built();
  const dist = new URL("../../dist/", import.meta.url).href;
  ({ packing } = (await import(`${dist}packing.js`)) as typeof packingModule);
  ({ Run } = (await import(`${dist}stream/run.js`)) as typeof runModule);
});

const packets = ["ocb", "cfb", "rfc9580", "none"] as const;
const lockPackets = Buffer.from("c30d0409030800000000000000006000", "hex");
const attempt: Attempt = {
  id: "20260101T000000Z-00000000",
  startedAt: new Date(0),
  secrets: fixedSecrets,
  lock: { sessionKey: fixedSecrets.sessionKey, packets: lockPackets },
  journal: null,
};
const layout = { chunkBytes: 3 * MiB, partBytes: MiB };
const never = new AbortController().signal;

function settingsFor(packet: FerrySettings["packet"], threads: number): FerrySettings {
  return { packet, recipients: { passphrases: [], certificates: [] }, ...layout, threads };
}

interface Packed {
  readonly message: Buffer;
  readonly chunks: ChunkDigest[];
}

/** Packs and, as the ferry does, takes each mark when its bytes have passed. */
async function packed(stream: AsyncIterable<Uint8Array>, packet: FerrySettings["packet"], threads: number): Promise<Packed> {
  const { message, marks } = packing(stream, attempt, settingsFor(packet, threads), new Run(never));
  const copies: Buffer[] = [];
  const taken: string[][] = [];
  let passedBytes = 0;
  const take = (upToBytes: number): void => {
    for (;;) {
      const [chunk, index] = [Math.floor(takenBytes / layout.chunkBytes), Math.floor((takenBytes % layout.chunkBytes) / layout.partBytes)];
      if (takenBytes + layout.partBytes > upToBytes) return;
      (taken[chunk] ??= []).push(marks.take(chunk, index));
      takenBytes += layout.partBytes;
    }
  };
  let takenBytes = 0;
  for await (const slice of message) {
    copies.push(Buffer.from(slice));
    passedBytes += slice.length;
    take(passedBytes);
  }
  if (passedBytes > takenBytes) take(takenBytes + layout.partBytes);
  const whole = Buffer.concat(copies);
  const chunks = taken.map((marksOfOne, chunk) => {
    const sizeBytes = Math.min(layout.chunkBytes, whole.length - chunk * layout.chunkBytes);
    return { sizeBytes, sha256: marksOfOne.at(-1) ?? "", marks: marksOfOne.slice(0, -1) };
  });
  return { message: whole, chunks };
}

async function measured(message: Buffer): Promise<ChunkDigest[]> {
  const chunks: ChunkDigest[] = [];
  for (let at = 0; at < message.length; at += layout.chunkBytes) {
    const own = message.subarray(at, at + layout.chunkBytes);
    chunks.push(await measure(sliced(own), { markBytes: layout.partBytes }));
  }
  return chunks;
}

describe.each(packets)("packet %s", (packet) => {
  it.for([0, 1, MiB - 7, MiB, 3 * MiB + 1, 7 * MiB + 4099])("makes the same message and marks of %i bytes in 0, 1 and 2 threads", async (sizeBytes) => {
    const bytes = bytesOf(sizeBytes, "stream");
    const here = await packed(sliced(bytes, 70_001), packet, 0);
    expect(here.chunks).toEqual(await measured(here.message));
    for (const threads of [1, 2]) {
      const there = await packed(sliced(bytes, 131_384, 312, 65_536), packet, threads);
      expect(there.message.equals(here.message)).toBe(true);
      expect(there.chunks).toEqual(here.chunks);
    }
  });
});

describe.each([1, 2])("with %i threads", (threads) => {
  it("a source that fails is the failure, and no end is claimed", async () => {
    const failure = new Error("zfs send died");
    async function* source(): AsyncGenerator<Buffer> {
      yield* sliced(bytesOf(5 * MiB, "stream"), 65_536);
      throw failure;
    }
    await expect(packed(source(), "ocb", threads)).rejects.toBe(failure);
  });

  it("a run that is aborted ends, though the source is stuck", async () => {
    const abort = new AbortController();
    const run = new Run(abort.signal);
    async function* stuck(): AsyncGenerator<Buffer> {
      yield bytesOf(2 * MiB, "stream");
      await new Promise((_, reject) => {
        run.signal.addEventListener("abort", () => {
          reject(new Error("freed"));
        });
      });
    }
    const { message } = packing(stuck(), attempt, settingsFor("ocb", threads), run);
    const reading = (async () => {
      for await (const slice of message) expect(slice.length).toBeGreaterThan(0);
    })();
    await sleep(100);
    abort.abort(new Error("stop"));
    await expect(reading).rejects.toThrow("stop");
  });

  it("nothing is read beyond the blocks that go round while nobody takes", async () => {
    let readBytes = 0;
    const slice = bytesOf(65_536, "slice");
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) {
        readBytes += slice.length;
        await Promise.resolve();
        yield slice;
      }
    }
    const { message } = packing(endless(), attempt, settingsFor("cfb", threads), new Run(never));
    const iterator = message[Symbol.asyncIterator]();
    await iterator.next();
    let before = -1;
    while (before !== readBytes) {
      before = readBytes;
      await sleep(200);
    }
    expect(readBytes).toBeLessThanOrEqual(13 * MiB); // four links of three blocks, and the slice in hand
    await iterator.return?.();
  });

  it("a taker that has had enough returns the source; what it got are blocks of one size", async () => {
    let isReturned = false;
    async function* source(): AsyncGenerator<Buffer> {
      try {
        yield* sliced(bytesOf(16 * MiB, "stream"), 65_536);
      } finally {
        isReturned = true;
      }
    }
    const { message } = packing(source(), attempt, settingsFor("none", threads), new Run(never));
    let count = 0;
    for await (const slice of message) {
      expect(slice.buffer.byteLength).toBe(MiB);
      if ((count += 1) === 12) break;
    }
    expect(isReturned).toBe(true);
  });

  it("what goes wrong in a thread is told as what it is", async () => {
    const broken = { ...attempt, secrets: { ...fixedSecrets, sessionKey: Buffer.alloc(5) } };
    const { message } = packing(sliced(bytesOf(MiB, "stream")), broken, settingsFor("ocb", threads), new Run(never));
    await expect(message[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "bug", message: expect.stringContaining("worker thread") as string });
  });
});
