import { describe, expect, it } from "vitest";
import { evenSlices } from "../../src/openpgp/slices.ts";
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
});
