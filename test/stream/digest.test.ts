import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ChunkCheck, type ChunkDigest, ChunkMeter, type Mark, MarkQueue, MarkWalk, measure } from "../../src/stream/digest.ts";
import { drain, pattern, sliced, watched } from "./sources.ts";

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** `docs/format.md` word by word: the SHA-256 of the first n × markBytes bytes, as long as that is less than the size. */
function oracle(bytes: Uint8Array, markBytes: number): ChunkDigest {
  const marks: string[] = [];
  for (let at = markBytes; at < bytes.length; at += markBytes) marks.push(sha256(bytes.subarray(0, at)));
  return { sizeBytes: bytes.length, sha256: sha256(bytes), marks };
}

const markBytes = 8;
const sizes = [0, 1, 7, 8, 9, 15, 16, 17, 24, 40];

describe("the digest of a chunk", () => {
  it.for(sizes.flatMap((sizeBytes) => [1, 3, 8, 11, Infinity].map((sliceBytes) => ({ sizeBytes, sliceBytes }))))(
    "of $sizeBytes bytes in slices of $sliceBytes has a mark at every 8 bytes that more follow",
    async ({ sizeBytes, sliceBytes }) => {
      const bytes = pattern(sizeBytes);
      expect(await measure(watched(sliced(bytes, sliceBytes)).source, { markBytes })).toEqual(oracle(bytes, markBytes));
    },
  );

  it("does not depend on the slices, empty ones included", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 10 }), fc.integer({ min: 1, max: 40 }), async (slices, distance) => {
        const digest = await measure(watched(slices).source, { markBytes: distance });
        expect(digest).toEqual(oracle(Buffer.concat(slices), distance));
      }),
      { numRuns: 200 },
    );
  });

  it("passes every byte on without a copy, cutting slices at the marks only", async () => {
    const bytes = pattern(30);
    const { slices: passed } = await drain(new ChunkMeter({ markBytes, sha256At: String }).through(watched(sliced(bytes, 7)).source));
    expect(Buffer.concat(passed)).toEqual(Buffer.from(bytes));
    expect(passed.every(({ buffer }) => buffer === bytes.buffer)).toBe(true);
    let atBytes = 0;
    for (const { length } of passed) {
      expect(Math.floor(atBytes / markBytes)).toBe(Math.floor((atBytes + length - 1) / markBytes));
      atBytes += length;
    }
  });

  it("holds the slice that completes a mark until the mark was noted, and the end until its own was", async () => {
    const noted: number[] = [];
    let passedBytes = 0;
    const onMark = async (index: number): Promise<void> => {
      await Promise.resolve();
      expect(passedBytes).toBeLessThan(Math.min((index + 1) * markBytes, 30) + (index === Math.ceil(30 / markBytes) - 1 ? 1 : 0));
      noted.push(index);
    };
    for await (const slice of new ChunkMeter({ markBytes, sha256At: String, onMark }).through(watched(sliced(pattern(30), 7)).source)) passedBytes += slice.length;
    expect(noted).toEqual(Array.from({ length: Math.ceil(30 / markBytes) }, (_, index) => index));
  });

  it("has what was hashed elsewhere, mark by mark", async () => {
    const bytes = pattern(20);
    const meter = new ChunkMeter({ markBytes, sha256At: (index) => sha256(bytes.subarray(0, (index + 1) * markBytes)) });
    await drain(meter.through(watched(sliced(bytes, 5)).source));
    expect(meter.digest()).toEqual(oracle(bytes, markBytes));
  });

  it("is not given for a source that fails", async () => {
    const failure = new Error("cut off");
    await expect(measure(watched([pattern(9)], { failure }).source, { markBytes })).rejects.toBe(failure);
  });
});

/** Whether each piece is accepted. */
function verdicts(expected: ChunkDigest, pieces: readonly Uint8Array[]): boolean[] {
  const check = new ChunkCheck(expected);
  return pieces.map((piece) => check.accepts(piece));
}

describe("checking a chunk", () => {
  it.for(sizes.filter((size) => size > 0))("of %i bytes accepts every piece of what was measured", (sizeBytes) => {
    const bytes = pattern(sizeBytes);
    expect(verdicts(oracle(bytes, markBytes), sliced(bytes, markBytes))).not.toContain(false);
  });

  it("refuses the piece that was changed and all behind it, and none before it", () => {
    const bytes = pattern(40);
    const expected = oracle(bytes, markBytes);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
      const first = Math.floor(at / markBytes);
      expect(verdicts(expected, sliced(changed, markBytes))).toEqual([0, 1, 2, 3, 4].map((index) => index < first));
    }
  });

  it.for([
    { what: "two pieces in each other's place", order: [1, 0, 2] },
    { what: "a piece twice", order: [0, 0, 2] },
    { what: "a piece left out", order: [0, 2] },
  ])("refuses $what", ({ order }) => {
    const bytes = pattern(20);
    const pieces = sliced(bytes, markBytes);
    const seen = verdicts(oracle(bytes, markBytes), order.map((index) => pieces[index] ?? new Uint8Array()));
    expect(seen).toContain(false);
    expect(seen.at(-1)).toBe(false);
  });

  it("accepts in the place of a piece it has refused the right one, and what follows", () => {
    const pieces = sliced(pattern(20), markBytes);
    const offered = pieces.flatMap((piece) => [Uint8Array.from(piece, (byte) => byte ^ 1), piece]);
    expect(verdicts(oracle(pattern(20), markBytes), offered)).toEqual([false, true, false, true, false, true]);
  });

  it("refuses a piece that is too short, too long or too many", () => {
    const bytes = pattern(20);
    const expected = oracle(bytes, markBytes);
    expect(verdicts(expected, [bytes.subarray(0, 7)])).toEqual([false]);
    expect(verdicts(expected, [bytes.subarray(0, 9)])).toEqual([false]);
    expect(verdicts(expected, [...sliced(bytes, markBytes), new Uint8Array()])).toEqual([true, true, true, false]);
  });
});

describe("the marks of a message", () => {
  const layout = { chunkBytes: 24, markBytes };

  it.for(sizes.flatMap((sizeBytes) => [1, 3, 8, 11, 24, Infinity].map((sliceBytes) => ({ sizeBytes, sliceBytes }))))(
    "of $sizeBytes bytes in slices of $sliceBytes are those of its chunks, each told with the slice that completes it",
    ({ sizeBytes, sliceBytes }) => {
      const bytes = pattern(sizeBytes);
      const walk = new MarkWalk(layout);
      const marks: Mark[] = [];
      let seenBytes = 0;
      for (const slice of sliced(bytes, sliceBytes)) {
        seenBytes += slice.length;
        marks.push(...walk.push(slice));
        expect(marks.length).toBe(Math.floor(seenBytes / markBytes)); // no mark is late, and none early
      }
      marks.push(...walk.end());
      const expected: Mark[] = [];
      for (let chunk = 0; chunk * layout.chunkBytes < sizeBytes; chunk += 1) {
        const own = bytes.subarray(chunk * layout.chunkBytes, (chunk + 1) * layout.chunkBytes);
        const { marks: inner, sha256: last } = oracle(own, markBytes);
        [...inner, last].forEach((digest, index) => expected.push({ chunk, index, sha256: digest }));
      }
      expect(marks).toEqual(expected);
    },
  );

  it("are taken in order, and nothing else is given for them", () => {
    const queue = new MarkQueue();
    queue.push([{ chunk: 0, index: 0, sha256: "a" }, { chunk: 0, index: 1, sha256: "b" }]);
    expect(queue.take(0, 0)).toBe("a");
    expect(() => queue.take(1, 0)).toThrow("mark 0 of chunk 1 was not hashed");
    expect(() => queue.take(0, 2)).toThrow("not hashed");
  });
});
