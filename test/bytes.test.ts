import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fill, formatRate, formatSize, gather, GiB, KiB, MiB, parseSize, TiB } from "../src/bytes.ts";
import { ZferryError } from "../src/errors.ts";
import { failureOf, pattern, sliced, watched } from "./stream/sources.ts";

describe("a size", () => {
  it.for([
    ["0", 0],
    ["17", 17],
    ["17B", 17],
    ["4k", 4 * KiB],
    ["4KiB", 4 * KiB],
    ["16M", 16 * MiB],
    ["16m", 16 * MiB],
    ["16MiB", 16 * MiB],
    ["16 MiB", 16 * MiB],
    [" 16mib ", 16 * MiB],
    ["1.5GiB", 1.5 * GiB],
    ["0.5k", 512],
    ["2T", 2 * TiB],
    ["1.0", 1],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["8191TiB", 8191 * TiB],
  ] as const)('written "%s" is %i bytes', ([text, bytes]) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.for([
    "",
    " ",
    "MiB",
    "16MB",
    "16 kB",
    "16  MiB",
    "1e6",
    "0x10",
    "-1",
    "+1",
    "1.5",
    ".5k",
    "1.k",
    "1,5GiB",
    "16MiBs",
    "16MiB\n4",
    "9007199254740992",
    "8192TiB",
    "٣",
    "Infinity",
    "NaN",
    "1constructor",
  ])("is never guessed from %j", (text) => {
    expect(() => parseSize(text)).toThrow(
      expect.objectContaining({
        code: "usage",
        message: `cannot read the size "${text}"`,
        hint: "write a whole number of bytes or use KiB, MiB, GiB, TiB, as in 16MiB",
      }),
    );
  });

  it.for([
    [0, "0 B"],
    [1, "1 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [512 * KiB, "512 KiB"],
    [1.46 * GiB, "1.46 GiB"],
    [14.6 * GiB, "14.6 GiB"],
    [146 * GiB, "146 GiB"],
    [10 * MiB - 1, "10.0 MiB"],
    [100 * MiB - 1, "100 MiB"],
    [MiB - 1, "1.00 MiB"],
    [GiB - 1, "1.00 GiB"],
    [TiB, "1.00 TiB"],
    [5000 * TiB, "5000 TiB"],
  ] as const)("of %i bytes is shown as %s", ([bytes, text]) => {
    expect(formatSize(Math.round(bytes))).toBe(text);
  });

  it("that is shown can be read again, and is right to half a percent", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 900 * TiB }), (bytes) => {
        const [number = "", unit = ""] = formatSize(bytes).split(" ");
        const shown = Number(number) * parseSize(`1${unit}`);
        expect(Math.abs(shown - bytes)).toBeLessThanOrEqual(bytes * 0.005);
      }),
    );
  });
});

it.for([
  [412 * MiB, 1, "412 MiB/s"],
  [100, 0, "97.7 KiB/s"],
  [0, 0, "0 B/s"],
  [10, 4, "3 B/s"],
] as const)("%i bytes in %i s are shown as a rate", ([bytes, seconds, text]) => {
  expect(formatRate(bytes, seconds)).toBe(text);
});

describe("gathering", () => {
  const tooLong = (): Error => new ZferryError("manifest-invalid", "too long");

  it.for([0, 1, 9, 10])("takes a source of %i bytes when 10 are allowed", async (sizeBytes) => {
    const bytes = pattern(sizeBytes);
    expect(await gather(watched(sliced(bytes, 3)).source, 10, tooLong)).toEqual(Buffer.from(bytes));
  });

  it("stops at the first byte too many, and returns the source", async () => {
    const watch = watched(sliced(pattern(40), 3));
    expect((await failureOf(gather(watch.source, 10, tooLong))).message).toBe("too long");
    expect(watch.pulledCount).toBe(4);
    expect(watch.end).toBe("returned");
  });

  it("throws what the source throws", async () => {
    const failure = new Error("gone");
    expect(await failureOf(gather(watched([pattern(3)], { failure }).source, 10, tooLong))).toBe(failure);
  });
});

describe("filling", () => {
  const wrongSize = (seenBytes: number): Error => new Error(`${seenBytes} bytes`);

  it.for([1, 3, 10, Infinity])("takes exactly as many bytes as there is room for, in slices of %i", async (sliceBytes) => {
    const room = new Uint8Array(10);
    await fill(room, watched(sliced(pattern(10), sliceBytes)).source, wrongSize);
    expect(room).toEqual(pattern(10));
  });

  it("refuses a source that is too short or too long, and writes nothing behind the room", async () => {
    const larger = new Uint8Array(20);
    const room = larger.subarray(0, 10);
    expect((await failureOf(fill(room, watched(sliced(pattern(9), 4)).source, wrongSize))).message).toBe("9 bytes");
    const watch = watched(sliced(pattern(20), 4));
    expect((await failureOf(fill(room, watch.source, wrongSize))).message).toBe("12 bytes");
    expect(watch.end).toBe("returned");
    expect(larger.subarray(10)).toEqual(new Uint8Array(10));
  });
});
