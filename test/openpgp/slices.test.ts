import { describe, expect, it } from "vitest";
import { evenSlices, groups, SliceQueue } from "../../src/openpgp/slices.ts";
import { bytesOf, collect, sliced } from "./sample.ts";

const KiB = 1024;

describe("evenSlices", () => {
  it.for([
    ["single bytes", [1]],
    ["small ones that just miss the limit", [16 * KiB - 1]],
    ["ones of exactly the limit", [16 * KiB]],
    ["a huge one", [200_000]],
    ["small ones after a large one that ended a staging buffer", [40_000, 10_000, 10_000, 10_000, 20_000, 15_000]],
    ["empty ones among the rest", [0, 3, 0, 70_000, 0]],
  ] as const)("keeps every byte in its place for %s", async ([, sizes]) => {
    const content = bytesOf(200_000, "slices");
    expect((await collect(evenSlices(sliced(content, ...sizes)))).equals(content)).toBe(true);
  });

  it("yields nothing empty, nothing over 256 KiB, and single bytes only merged", async () => {
    const sizes: number[] = [];
    for await (const slice of evenSlices(sliced(bytesOf(600_000, "slices"), ...Array<number>(200).fill(1), 0, 400_000))) {
      sizes.push(slice.length);
    }
    expect(sizes).toEqual([200, 256 * KiB, 400_000 - 256 * KiB, 200, 199_600]);
  });

  it("hands slices over: a later one never writes into an earlier one", async () => {
    const content = bytesOf(300_000, "slices");
    const slices: Buffer[] = [];
    const copies: Buffer[] = [];
    for await (const slice of evenSlices(sliced(content, 9973, 20_000))) {
      slices.push(slice);
      copies.push(Buffer.from(slice));
    }
    expect(Buffer.concat(slices).equals(Buffer.concat(copies))).toBe(true);
  });
});

describe("SliceQueue", () => {
  it("gives out what was pushed, across slices and in the middle of one", () => {
    const queue = new SliceQueue([Buffer.from("ab"), Buffer.from("cdef"), Buffer.from("g")]);
    expect(queue.take(3).map(String)).toEqual(["ab", "c"]);
    expect(queue.take(0)).toEqual([]);
    expect(queue.take(3).map(String)).toEqual(["def"]);
    expect(queue.sizeBytes).toBe(1);
    expect(queue.take(5).map(String)).toEqual(["g"]);
    expect(queue.sizeBytes).toBe(0);
  });
});

describe("groups", () => {
  it.for([
    [0, 4, 0, [[0, true]]],
    [3, 4, 0, [[3, true]]],
    [4, 4, 0, [[4, false], [0, true]]],
    [9, 4, 0, [[4, false], [4, false], [1, true]]],
    [5, 4, 2, [[5, true]]],
    [6, 4, 2, [[4, false], [2, true]]],
    [9, 4, 2, [[4, false], [5, true]]],
    [10, 4, 2, [[4, false], [4, false], [2, true]]],
  ] as const)("cuts %i bytes into groups of %i followed by at least %i", async ([total, sizeBytes, tailBytes, expected]) => {
    for (const pieces of [1, 3, 100]) {
      const found: [number, boolean][] = [];
      const bytes: Buffer[] = [];
      for await (const group of groups(sliced(bytesOf(total, "groups"), pieces), { sizeBytes, tailBytes })) {
        found.push([group.sizeBytes, group.last]);
        bytes.push(...group.slices);
      }
      expect(found).toEqual(expected);
      expect(Buffer.concat(bytes)).toEqual(bytesOf(total, "groups"));
    }
  });
});
