import { createHash } from "node:crypto";
import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import type { ByteSource } from "../../src/bytes.ts";
import { linkedController, pull, unlessAborted } from "../../src/store/abort.ts";
import { checksumOf, cutParts, slicesOf } from "../../src/store/parts.ts";
import { Pool } from "../../src/store/pool.ts";
import { collect, patternOf } from "../store.bodies.ts";

const { signal } = new AbortController();

async function* pieces(bytes: Uint8Array, pieceBytes: number): ByteSource {
  for (let offset = 0; offset < bytes.length; offset += pieceBytes) {
    await Promise.resolve();
    yield bytes.subarray(offset, offset + pieceBytes);
  }
}

describe("a body cut into parts", () => {
  const partBytes = 1000;
  const cut = async (sizeBytes: number, pieceBytes: number, kind: "crc32" | "md5" = "md5"): Promise<Buffer[]> => {
    const buffers = new Pool<Buffer>(2, () => Buffer.alloc(partBytes));
    const parts: Buffer[] = [];
    const bytes = patternOf(sizeBytes);
    for await (const part of cutParts(pieces(bytes, pieceBytes), { buffers, checksum: () => kind, signal })) {
      expect(part.index).toBe(parts.length);
      expect(part.checksum).toEqual(checksumOf(part.bytes, kind));
      expect(part.isLast).toBe(sizeBytes <= (part.index + 1) * partBytes);
      parts.push(Buffer.from(part.bytes));
      buffers.give(part.buffer);
    }
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    return parts;
  };

  it.for([0, 1, 999, 1000, 1001, 1999, 2000, 2001, 10_007])(
    "of %i bytes has equal parts but the last",
    async (sizeBytes) => {
      for (const pieceBytes of [1, 7, 331, 1000, 100_000]) {
        const sizes = (await cut(sizeBytes, pieceBytes, pieceBytes === 7 ? "crc32" : "md5")).map(
          ({ length }) => length,
        );
        const fullCount = Math.max(0, Math.ceil(sizeBytes / partBytes) - 1);
        expect(sizes).toEqual([...Array<number>(fullCount).fill(partBytes), sizeBytes - fullCount * partBytes]);
      }
    },
  );

  it("waits for a buffer, and gives back the one it was filling when it is left", async () => {
    const buffers = new Pool<Buffer>(1, () => Buffer.alloc(10));
    const parts = cutParts(pieces(patternOf(35), 5), { buffers, checksum: () => "md5", signal });
    const first = await parts.next();
    const second = parts.next();
    expect(await Promise.race([second, Promise.resolve("waiting")])).toBe("waiting");
    if (first.value !== undefined) buffers.give(first.value.buffer);
    const { value } = await second;
    if (value !== undefined) buffers.give(value.buffer);
    await parts.return();
    expect(await buffers.take(signal)).toHaveLength(10);
  });

  it("has the checksums that servers compute", () => {
    const bytes = Buffer.from("123456789");
    // The check value of CRC-32/ISO-HDLC is cbf43926.
    expect(checksumOf(bytes, "crc32").base64).toBe(Buffer.from("cbf43926", "hex").toString("base64"));
    expect(checksumOf(bytes, "md5").base64).toBe(createHash("md5").update(bytes).digest("base64"));
  });

  it.for([1, 262_143, 262_144, 262_145, 600_000])(
    "of %i bytes is sent in slices of at most 256 KiB",
    async (sizeBytes) => {
      const bytes = patternOf(sizeBytes);
      const slices = await collect(slicesOf(bytes) as AsyncIterable<Buffer>);
      expect(Buffer.concat(slices).equals(bytes)).toBe(true);
      expect(Math.max(...slices.map(({ length }) => length))).toBeLessThanOrEqual(262_144);
    },
  );
});

describe("a pool", () => {
  it("makes no more than its count, and lends in order of arrival", async () => {
    let made = 0;
    const pool = new Pool(2, () => (made += 1));
    const [one, two] = [await pool.take(signal), await pool.take(signal)];
    const order: string[] = [];
    const first = pool.take(signal).then((item) => order.push(`first ${item}`));
    const second = pool.take(signal).then((item) => order.push(`second ${item}`));
    pool.give(two);
    pool.give(one);
    await Promise.all([first, second]);
    expect(order).toEqual(["first 2", "second 1"]);
    expect(made).toBe(2);
  });

  it("loses nothing to one who stops waiting, even in the moment he is served", async () => {
    const pool = new Pool(1, () => "only");
    const item = await pool.take(signal);
    const gone = new AbortController();
    const waiting = pool.take(gone.signal);
    const next = pool.take(signal);
    gone.abort(new Error("tired"));
    await expect(waiting).rejects.toThrow("tired");
    pool.give(item);
    expect(await next).toBe("only");

    const served = new AbortController();
    const both = pool.take(served.signal);
    served.abort(new Error("tired"));
    pool.give(item);
    await expect(both).rejects.toThrow("tired");
    expect(await pool.take(signal)).toBe("only");
  });
});

describe("waiting that can be ended", () => {
  it("leaves no listener on the signal", async () => {
    const controller = new AbortController();
    await unlessAborted(Promise.resolve(1), controller.signal);
    await expect(unlessAborted(Promise.reject(new Error("no")), controller.signal)).rejects.toThrow("no");
    linkedController(controller.signal).release();
    await new Promise(setImmediate);
    expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  });

  it("aborts a linked controller with its parent's reason, and not the other way round", () => {
    const parent = new AbortController();
    const linked = linkedController(parent.signal);
    const other = linkedController(parent.signal);
    other.abort(new Error("own"));
    expect(parent.signal.aborted).toBe(false);
    parent.abort(new Error("parent"));
    expect((linked.signal.reason as Error).message).toBe("parent");
    expect((other.signal.reason as Error).message).toBe("own");
    expect(linkedController(parent.signal).signal.aborted).toBe(true);
  });

  it("returns a body that is left, and one that was never begun", async () => {
    const endings: string[] = [];
    async function* body(name: string): ByteSource {
      try {
        for (;;) {
          await Promise.resolve();
          yield Buffer.from("x");
        }
      } finally {
        endings.push(name);
      }
    }
    for await (const piece of pull(body("left"), signal)) {
      if (piece.length === 1) break;
    }
    const aborted = AbortSignal.abort(new Error("stop"));
    let isReturned = false;
    const untouched: ByteSource = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.reject(new Error("must not be read")),
        return: () => {
          isReturned = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    await expect(collect(pull(untouched, aborted))).rejects.toThrow("stop");
    expect(isReturned).toBe(true);
    expect(endings).toEqual(["left"]);
  });
});
