import { describe, expect, it } from "vitest";
import { GiB, KiB, MiB } from "../../src/bytes.ts";
import { cutSizes } from "../../src/import/cut-sizes.ts";

describe("the marks of files that somebody else has cut", () => {
  it.for([
    ["1G, as ZFS2Cloud does unless told otherwise", GiB, 16 * MiB],
    ["1GB, a thousand million", 1_000_000_000, 15_625_000],
    ["100 MB", 100_000_000, 12_500_000],
    ["16 MiB", 16 * MiB, 16 * MiB],
    ["64 KiB", 64 * KiB, 64 * KiB],
    ["7 bytes", 7, 7],
    ["a prime of 1 MiB and a bit", 1_048_583, 1_048_583],
    ["a prime above 16 MiB, whose marks are its ends", 16_777_259, 16_777_259],
    ["twice a prime above 16 MiB", 2 * 16_777_259, 16_777_259],
  ] as const)("divide chunks of %s", ([, cutBytes, markBytes]) => {
    expect(cutSizes(cutBytes, 2)).toEqual({ chunkBytes: cutBytes, markBytes });
    expect(cutBytes % markBytes).toBe(0);
  });

  it("fall every 16 MiB in one file of any size, whose chunk has room for it", () => {
    expect(cutSizes(1, 1)).toEqual({ chunkBytes: 16 * MiB, markBytes: 16 * MiB });
    expect(cutSizes(16 * MiB + 1, 1)).toEqual({ chunkBytes: 32 * MiB, markBytes: 16 * MiB });
  });

  it("are refused where a reader would have to hold more than 1 GiB between them", () => {
    const prime = 1_073_741_827;
    expect(() => cutSizes(prime, 2)).toThrow(expect.objectContaining({ code: "size-limits", hint: expect.stringContaining("split --bytes 1G") as unknown }));
    expect(cutSizes(prime, 1).markBytes).toBe(16 * MiB);
  });
});
