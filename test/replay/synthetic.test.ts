import { deflateRawSync } from "node:zlib";
import { expect, it } from "vitest";
import { GiB, KiB, MiB } from "../../src/bytes.ts";
import { Fletcher4 } from "../../src/replay/fletcher4.ts";
import { syntheticStream } from "../../src/replay/synthetic.ts";
import { inspection, type StreamFacts } from "../../src/stream/inspect.ts";

async function factsOf(slices: Iterable<Buffer>): Promise<StreamFacts> {
  const inspected = inspection({ signal: new AbortController().signal });
  const source = (async function* () {
    for (const slice of slices) yield await Promise.resolve(slice);
  })();
  for await (const slice of inspected.through(source)) expect(slice.length).toBeGreaterThan(0);
  return inspected.facts();
}

/** Records have 312 bytes, a WRITE 128 KiB of payload besides; the payloads come round after 8 MiB. */
it.for([
  [0, 0],
  [1, 1],
  [128 * KiB, 1],
  [128 * KiB + 1, 2],
  [8 * MiB, 64],
  [8 * MiB + 1, 65],
  [17 * MiB, 136],
] as const)("a stream of %i bytes is whole, with every checksum right, in %i WRITE records", async ([sizeBytes, writeCount]) => {
  const facts = await factsOf(syntheticStream({ sizeBytes, guid: 77n }));
  expect(facts).toMatchObject({ kind: "single", toGuid: 77n, fromGuid: null, recordCount: writeCount + 2 });
  expect(facts.sizeBytes).toBe(writeCount * (312 + 128 * KiB) + 2 * 312);
});

it("has the checksum that taking the whole of it gives", () => {
  const fletcher = new Fletcher4("little");
  const slices = [...syntheticStream({ sizeBytes: MiB })];
  for (const slice of slices.slice(0, -1)) fletcher.update(slice);
  const end = slices.at(-1) ?? Buffer.alloc(0);
  expect([0, 8, 16, 24].map((at) => end.readBigUInt64LE(8 + at))).toEqual([...fletcher.sums()]);
});

it("cannot be compressed", () => {
  const bytes = Buffer.concat([...syntheticStream({ sizeBytes: 4 * MiB })]);
  expect(deflateRawSync(bytes, { level: 1 }).length / bytes.length).toBeGreaterThan(0.99);
});

it("has payloads that are not copied: its memory is 8 MiB, however long it is", () => {
  const seen = new Set<ArrayBufferLike>();
  for (const slice of syntheticStream({ sizeBytes: GiB / 8 })) {
    if (slice.length > 312) seen.add(slice.buffer);
  }
  expect(seen.size).toBeLessThanOrEqual(64);
});
