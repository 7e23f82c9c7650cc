import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withhold, withheldBytes } from "../../src/stream/withhold.ts";
import { drain, lent, pattern, sliced, watched } from "./sources.ts";

/** How many bytes have come out each time the source is asked for more, the time it ends included. */
async function releasedAtEachPull(slices: readonly Uint8Array[], bytes: number): Promise<number[]> {
  const counts: number[] = [];
  let releasedBytes = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    for (const slice of slices) {
      yield await Promise.resolve(slice);
      counts.push(releasedBytes);
    }
  }
  for await (const slice of withhold(source(), { bytes })) releasedBytes += slice.length;
  return counts;
}

it("more is withheld than two END records of 312 bytes", () => {
  expect(withheldBytes).toBeGreaterThan(2 * 312);
});

const keep = 10;

describe("the last 10 bytes", () => {
  it.for([1, 2, 3, 7, 10, 11, 40, Infinity])("in slices of %i are exactly what stays until the source has ended", async (sliceBytes) => {
    const slices = sliced(pattern(40), sliceBytes);
    let seenBytes = 0;
    const due = slices.map(({ length }) => Math.max(0, (seenBytes += length) - keep));
    expect(await releasedAtEachPull(slices, keep)).toEqual(due);
  });

  it.for([0, 1, 9, 10])("are all there is of a source of %i bytes, and come at its end", async (sizeBytes) => {
    const slices = sliced(pattern(sizeBytes), 1);
    expect(await releasedAtEachPull(slices, keep)).toEqual(slices.map(() => 0));
    expect((await drain(withhold(watched(slices).source, { bytes: keep }))).bytes).toEqual(Buffer.from(pattern(sizeBytes)));
  });

  it("are never released when the source fails, even at its very end", async () => {
    const failure = new Error("the final tag is wrong");
    for (const sliceBytes of [1, 3, 10, 40]) {
      const bytes = pattern(40);
      const { bytes: released, error } = await drain(withhold(watched(sliced(bytes, sliceBytes), { failure }).source, { bytes: keep }));
      expect(error).toBe(failure);
      expect(released).toEqual(Buffer.from(bytes.subarray(0, 30)));
    }
  });
});

it("everything passes in order, whatever the slices, although they are only lent", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 20 }), { maxLength: 12 }), fc.integer({ min: 0, max: 30 }), async (lengths, bytes) => {
      const all = pattern(lengths.reduce((sum, length) => sum + length, 0));
      let at = 0;
      const slices = lengths.map((length) => all.subarray(at, (at += length)));
      const { bytes: released, slices: passed } = await drain(withhold(lent(watched(slices).source), { bytes }));
      expect(released).toEqual(Buffer.from(all));
      expect(passed.every(({ length }) => length > 0)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

it("a consumer that has had enough returns the source", async () => {
  const watch = watched(sliced(pattern(40), 8));
  const stage = withhold(watch.source, { bytes: keep });
  await stage.next();
  await stage.return(undefined);
  expect(watch.end).toBe("returned");
});
