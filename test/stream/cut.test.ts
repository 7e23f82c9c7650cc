import { createRequire } from "node:module";
import { Readable, type Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cut } from "../../src/stream/cut.ts";
import { drain, failureOf, pattern, sliced, watched } from "./sources.ts";

/** Chunks as bytes. */
async function chunksOf(source: AsyncIterable<Uint8Array>, chunkBytes: number): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  for await (const { index, body } of cut(source, { chunkBytes })) {
    expect(index).toBe(chunks.length);
    const { bytes, error } = await drain(body);
    if (error !== null) throw error as Error;
    chunks.push(bytes);
  }
  return chunks;
}

const n = 16;
const sizes = [0, 1, n - 1, n, n + 1, 2 * n - 1, 2 * n, 2 * n + 1, 5 * n, 5 * n + 3];
const slicings = [1, 3, 7, 13, n, n + 1, Infinity];

describe("chunks", () => {
  it.for(sizes.flatMap((sizeBytes) => slicings.map((sliceBytes) => ({ sizeBytes, sliceBytes }))))(
    "of 16 bytes are cut from $sizeBytes bytes in slices of $sliceBytes",
    async ({ sizeBytes, sliceBytes }) => {
      const bytes = pattern(sizeBytes);
      const watch = watched(sliced(bytes, sliceBytes));
      const chunks = await chunksOf(watch.source, n);
      expect(chunks).toEqual(sliced(bytes, n).map((chunk) => Buffer.from(chunk)));
      expect(watch.end).toBe("ended");
    },
  );

  it("are one byte each when that is asked for", async () => {
    const chunks = await chunksOf(watched([pattern(3)]).source, 1);
    expect(chunks.map(({ length }) => length)).toEqual([1, 1, 1]);
  });

  it("are made of a source that has empty slices between others and at its end", async () => {
    const empty = new Uint8Array();
    const chunks = await chunksOf(watched([empty, pattern(n), empty, empty, pattern(2), empty]).source, n);
    expect(chunks.map(({ length }) => length)).toEqual([n, 2]);
  });

  it("are none when the source has nothing but empty slices", async () => {
    expect(await chunksOf(watched([new Uint8Array(), new Uint8Array()]).source, n)).toEqual([]);
  });

  it("are views of the source's slices, split only where a boundary falls inside one", async () => {
    const bytes = pattern(3 * n + 5);
    const cuts = sliced(bytes, n + 4);
    const seen: Uint8Array[] = [];
    for await (const { body } of cut(watched(cuts).source, { chunkBytes: n })) {
      for await (const slice of body) seen.push(slice);
    }
    expect(seen.map(({ length }) => length)).toEqual([16, 4, 12, 8, 8, 5]);
    expect(seen.every(({ buffer }) => buffer === bytes.buffer)).toBe(true);
    const offsets = seen.map(({ byteOffset }) => byteOffset - bytes.byteOffset);
    expect(offsets).toEqual([0, 16, 20, 32, 40, 48]);
  });

  it("are those that stream-chunker makes, whatever the slices", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 }), fc.integer({ min: 1, max: 50 }), async (slices, chunkBytes) => {
        const chunks = await chunksOf(watched(slices).source, chunkBytes);
        expect(chunks).toEqual(await chunkedByOracle(slices, chunkBytes));
      }),
      { numRuns: 200 },
    );
  });
});

const streamChunker = createRequire(import.meta.url)("stream-chunker") as (bytes: number, options: { flush: boolean }) => Transform;

async function chunkedByOracle(slices: readonly Uint8Array[], chunkBytes: number): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (chunk.length > 0) chunks.push(chunk); // it flushes an empty rest
      done();
    },
  });
  await pipeline(Readable.from(slices.map((slice) => Buffer.from(slice))), streamChunker(chunkBytes, { flush: true }), sink);
  return chunks;
}

describe("nothing is read ahead", () => {
  it("of the chunk that is being read", async () => {
    const watch = watched(sliced(pattern(4 * n), n / 2));
    const cutter = cut(watch.source, { chunkBytes: n });
    const first = await cutter.next();
    expect(watch.pulledCount).toBe(1);
    if (first.done !== true) await first.value.body.next();
    expect(watch.pulledCount).toBe(1);
    await Promise.all([cutter.return(undefined), first.done === true ? null : first.value.body.return?.()]);
    expect(watch.pulledCount).toBe(1);
  });
});

describe("a body", () => {
  it("that was read to its end goes on saying so", async () => {
    for await (const { body } of cut(watched([pattern(n)]).source, { chunkBytes: n })) {
      await drain(body);
      expect(await body.next()).toEqual({ done: true, value: undefined });
      expect(await body.return?.()).toEqual({ done: true, value: undefined });
    }
  });

  it("that was returned yields nothing more", async () => {
    const watch = watched([pattern(n)]);
    const cutter = cut(watch.source, { chunkBytes: n });
    const step = await cutter.next();
    if (step.done === true) throw new Error("no chunk");
    await step.value.body.return?.();
    expect(await step.value.body.next()).toEqual({ done: true, value: undefined });
    await failureOf(cutter.next());
  });

  it.for([
    { when: "before its first byte", readCount: 0 },
    { when: "in the middle", readCount: 1 },
  ])("abandoned $when ends the cutter with an error and returns the source", async ({ readCount }) => {
    const watch = watched(sliced(pattern(3 * n), n / 4));
    const cutter = cut(watch.source, { chunkBytes: n });
    const step = await cutter.next();
    if (step.done === true) throw new Error("no chunk");
    for (let count = 0; count < readCount; count++) await step.value.body.next();
    await step.value.body.return?.();
    expect((await failureOf(cutter.next())).message).toBe("a chunk was abandoned before its end");
    expect(watch.end).toBe("returned");
    expect((await cutter.next()).done).toBe(true);
  });

  it("returned behind its last byte, its end unread, lets the next chunk come", async () => {
    const seen: number[] = [];
    for await (const { body } of cut(watched([pattern(2 * n)]).source, { chunkBytes: n })) {
      const { value } = (await body.next()) as IteratorYieldResult<Uint8Array>;
      seen.push(value.length);
      await body.return?.();
    }
    expect(seen).toEqual([n, n]);
  });
});

describe("an error of the source", () => {
  const failure = new Error("the source failed");

  it.for([
    { where: "in the middle of a chunk", sizeBytes: n + 3, chunkCount: 1 },
    { where: "at a boundary", sizeBytes: 2 * n, chunkCount: 2 },
    { where: "before the first byte", sizeBytes: 0, chunkCount: 0 },
  ])("$where reaches whoever is reading, and never looks like an end", async ({ sizeBytes, chunkCount }) => {
    const watch = watched(sliced(pattern(sizeBytes), 5), { failure });
    const bodyErrors: unknown[] = [];
    const cutter = cut(watch.source, { chunkBytes: n });
    const work = async (): Promise<void> => {
      for await (const { body } of cutter) bodyErrors.push((await drain(body)).error);
    };
    expect(await failureOf(work())).toBe(failure);
    expect(bodyErrors.filter((error) => error === null)).toHaveLength(chunkCount);
    expect(bodyErrors.filter((error) => error === failure)).toHaveLength(sizeBytes % n === 0 ? 0 : 1);
  });
});

describe("the cutter", () => {
  it("returns the source when it is returned itself", async () => {
    const watch = watched(sliced(pattern(4 * n), n));
    const cutter = cut(watch.source, { chunkBytes: n });
    await cutter.next();
    await cutter.return(undefined);
    expect(watch.end).toBe("returned");
  });

  it("waits with the next chunk until the body of the last one has ended", async () => {
    const cutter = cut(watched([pattern(2 * n)]).source, { chunkBytes: n });
    const first = await cutter.next();
    let isSecondThere = false;
    const second = cutter.next().finally(() => {
      isSecondThere = true;
    });
    await new Promise(setImmediate);
    expect(isSecondThere).toBe(false);
    if (first.done !== true) await drain(first.value.body);
    expect((await second).done).toBe(false);
    await cutter.return(undefined).catch(() => undefined);
  });
});
