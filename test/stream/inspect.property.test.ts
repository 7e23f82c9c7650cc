import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isZferryError } from "../../src/errors.ts";
import { begin, end, record, seal, swapped, type, write } from "../replay/forge.ts";
import type { Piece } from "../replay/forge.ts";
import { inspect } from "./inspecting.ts";

/** Any record that may stand between BEGIN and END. */
const inner = fc.oneof(
  fc.nat({ max: 60 }).map((words) => write(4 * words)),
  fc.constantFrom(type.free, type.freeobjects, type.writeByref, type.objectRange, type.redact).map((n) => record(n)),
  fc.nat({ max: 100 }).map((bonus) =>
    record(type.object, (view) => { view.setUint32(28, bonus, true); }, Math.ceil(bonus / 8) * 8),
  ),
);

const stream = fc
  .record({
    payloadBytes: fc.nat({ max: 20 }).map((words) => 4 * words),
    inner: fc.array(inner, { maxLength: 8 }),
    byteOrder: fc.constantFrom("little" as const, "big" as const),
    records: fc.boolean(),
  })
  .map(({ payloadBytes, inner: pieces, byteOrder, records }) => {
    const all: readonly Piece[] = [begin({ payloadBytes }), ...pieces, end()];
    return seal(byteOrder === "big" ? all.map(swapped) : all, byteOrder, { records });
  });

const sliceBytes = fc.integer({ min: 1, max: 1_500 });

describe("any stream, of any byte order, with or without checksums in its records", () => {
  it("passes unchanged in slices of any size", async () => {
    const property = fc.asyncProperty(stream, sliceBytes, async (bytes, size) => {
      const { message, released, facts } = await inspect(bytes, { sliceBytes: size });
      expect(message).toBe("");
      expect(Buffer.compare(released, bytes)).toBe(0);
      expect(facts?.sizeBytes).toBe(bytes.length);
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it("is refused with any one byte changed, END unreleased", async () => {
    const property = fc.asyncProperty(stream, sliceBytes, fc.nat(), fc.integer({ min: 1, max: 255 }), async (...drawn) => {
      const [bytes, size, place, flip] = drawn;
      const at = place % bytes.length;
      const bad = Uint8Array.from(bytes);
      bad[at] = (bad[at] ?? 0) ^ flip;
      const { error, released } = await inspect(bad, { sliceBytes: size });
      expect(isZferryError(error, "stream-invalid")).toBe(true);
      expect(Buffer.compare(released, bad.subarray(0, released.length))).toBe(0);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it("is refused wherever it is cut off", async () => {
    const property = fc.asyncProperty(stream, sliceBytes, fc.nat(), async (bytes, size, place) => {
      const { error, released } = await inspect(bytes.subarray(0, place % bytes.length), { sliceBytes: size });
      expect(isZferryError(error, "stream-invalid")).toBe(true);
      expect(released.length).toBeLessThanOrEqual(bytes.length - 312);
    });
    await fc.assert(property, { numRuns: 150 });
  });
});
