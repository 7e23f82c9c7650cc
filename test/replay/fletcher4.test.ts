import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Fletcher4 } from "../../src/replay/fletcher4.ts";
import type { ByteOrder } from "../../src/replay/fletcher4.ts";
import { oracle } from "./oracle.ts";

const orders: readonly ByteOrder[] = ["little", "big"];

function sumsOf(bytes: Uint8Array, byteOrder: ByteOrder, sliceBytes = Infinity): readonly bigint[] {
  const fletcher = new Fletcher4(byteOrder);
  for (let at = 0; at < bytes.length; at += sliceBytes) fletcher.update(bytes.subarray(at, at + sliceBytes));
  return fletcher.sums();
}

/** Bytes without a short period, the same in every run. */
function noise(sizeBytes: number): Uint8Array {
  let state = 0x9e3779b9;
  return Uint8Array.from({ length: sizeBytes }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 24;
  });
}

describe.for(orders)("fletcher-4 of a %s-endian stream", (byteOrder) => {
  it("of nothing is four zeros", () => {
    expect(sumsOf(new Uint8Array(), byteOrder)).toEqual([0n, 0n, 0n, 0n]);
  });

  it.for([4, 8, 12, 16, 20, 28, 280, 312, 65_532, 65_536, 65_540, 131_072, 131_076, 200_000])(
    "of %i bytes is what the plain definition gives",
    (sizeBytes) => {
      const bytes = noise(sizeBytes);
      expect(sumsOf(bytes, byteOrder)).toEqual(oracle(bytes, byteOrder));
    },
  );

  it.for([1, 2, 3, 5, 7, 13, 4_093, 65_537])("is the same when the bytes come %i at a time", (sliceBytes) => {
    const bytes = noise(140_004);
    expect(sumsOf(bytes, byteOrder, sliceBytes)).toEqual(oracle(bytes, byteOrder));
  });

  it("wraps at 64 bits, as the C does", () => {
    const bytes = new Uint8Array(600_000).fill(0xff);
    const sums = sumsOf(bytes, byteOrder);
    expect(sums).toEqual(oracle(bytes, byteOrder));
    expect(sums[0]).toBe(150_000n * 0xffffffffn);
  });

  it("agrees with the definition for any bytes however sliced", () => {
    const property = fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }),
      fc.nat({ max: 7 }),
      (slices, shift) => {
        const fletcher = new Fletcher4(byteOrder);
        for (const slice of slices) {
          // A view at an odd address of something larger, as slices from a socket are.
          const larger = new Uint8Array(slice.length + 8);
          larger.set(slice, shift);
          fletcher.update(larger.subarray(shift, shift + slice.length));
          larger.fill(0xaa);
        }
        const all = Uint8Array.from(slices.flatMap((slice) => [...slice]));
        expect(fletcher.sums()).toEqual(oracle(all.subarray(0, all.length - (all.length % 4)), byteOrder));
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  it("finds its sums in a record, and finds one changed bit", () => {
    const fletcher = new Fletcher4(byteOrder);
    fletcher.update(noise(1_000));
    const record = new DataView(new ArrayBuffer(40));
    fletcher.sums().forEach((sum, index) => {
      record.setBigUint64(8 + 8 * index, sum, byteOrder === "little");
    });
    expect(fletcher.standsAt(record, 8)).toBe(true);
    for (let at = 8; at < 40; at++) {
      record.setUint8(at, record.getUint8(at) ^ 0x80);
      expect(fletcher.standsAt(record, 8)).toBe(false);
      record.setUint8(at, record.getUint8(at) ^ 0x80);
    }
  });
});

it("keeps instances apart, although they share one module", () => {
  const [bytes, others] = [noise(1_000), noise(3_000).subarray(2_000)];
  const [one, two] = [new Fletcher4("little"), new Fletcher4("big")];
  for (let at = 0; at < bytes.length; at += 50) {
    one.update(bytes.subarray(at, at + 50));
    two.update(others.subarray(at, at + 50));
  }
  expect(one.sums()).toEqual(oracle(bytes, "little"));
  expect(two.sums()).toEqual(oracle(others, "big"));
});

it("starts over after a reset, half a word forgotten", () => {
  const fletcher = new Fletcher4("little");
  fletcher.update(noise(7));
  fletcher.reset();
  fletcher.update(noise(12));
  expect(fletcher.sums()).toEqual(oracle(noise(12), "little"));
});
