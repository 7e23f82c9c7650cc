import { describe, expect, it } from "vitest";
import { packet, PartialPacket, readBody, readHeader, readSmallBody } from "../../src/openpgp/packets.ts";
import { ByteReader } from "../../src/openpgp/reader.ts";
import { bytesOf, collect, sliced } from "./sample.ts";

function readerOf(...parts: readonly (string | Buffer)[]): ByteReader {
  const bytes = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "hex") : part)));
  return new ByteReader(sliced(bytes, 1, 5, 7919), "message");
}

/** Sizes at both ends of each length form (RFC 9580 §4.2.1). */
const sizes = [
  [0, "00"],
  [191, "bf"],
  [192, "c000"],
  [8383, "dfff"],
  [8384, "ff000020c0"],
  [70_000, "ff00011170"],
] as const;

describe("packet headers", () => {
  it.for(sizes)("write and read a body of %i bytes as %s", async ([sizeBytes, length]) => {
    const body = bytesOf(sizeBytes, "body");
    const written = packet(3, body);
    expect(written.subarray(0, 1 + length.length / 2).toString("hex")).toBe(`c3${length}`);
    const reader = readerOf(written);
    const header = await readHeader(reader);
    expect(header).toEqual({ tag: 3, length: { kind: "definite", sizeBytes } });
    expect(await readSmallBody(reader, header, sizeBytes)).toEqual(body);
    expect(await reader.atEnd()).toBe(true);
  });

  it.for([
    ["8c0d", { tag: 3, length: { kind: "definite", sizeBytes: 13 } }],
    ["850101", { tag: 1, length: { kind: "definite", sizeBytes: 257 } }],
    ["aeffffffff", { tag: 11, length: { kind: "definite", sizeBytes: 2 ** 32 - 1 } }],
    ["a3", { tag: 8, length: { kind: "indeterminate" } }],
    ["af", { tag: 11, length: { kind: "indeterminate" } }],
    ["d2ffffffffff", { tag: 18, length: { kind: "definite", sizeBytes: 2 ** 32 - 1 } }],
    ["d2e9", { tag: 18, length: { kind: "partial", sizeBytes: 512 } }],
    ["d4fe", { tag: 20, length: { kind: "partial", sizeBytes: 2 ** 30 } }],
  ] as const)("read %s as gpg and others write it", async ([octets, expected]) => {
    expect(await readHeader(readerOf(octets))).toEqual(expected);
  });

  it.for([
    ["00", /byte 1: no packet begins with 0x00/],
    ["7f", /no packet begins with 0x7f/],
    ["2d2d2d2d2d424547494e", /ASCII-armored/],
    ["8f", /packet of type 3 must have a definite length/],
    ["c3e9", /packet of type 3 must have a definite length/],
    ["", /byte 0: it ends in the middle/],
    ["d2", /byte 1: it ends in the middle/],
    ["d2c0", /byte 2: it ends in the middle/],
    ["d2ff0000", /it ends in the middle/],
    ["85", /it ends in the middle/],
  ] as const)("refuse %s", async ([octets, message]) => {
    await expect(readHeader(readerOf(octets))).rejects.toThrow(expect.objectContaining({ code: "message-invalid" }));
    await expect(readHeader(readerOf(octets))).rejects.toThrow(message);
  });
});

describe("packet bodies", () => {
  it("are joined from partial lengths of every size, the last of them empty", async () => {
    const [first, second, third] = [512, 1, 65_536].map((sizeBytes) => bytesOf(sizeBytes, `${sizeBytes}`)) as [Buffer, Buffer, Buffer];
    const reader = readerOf("d2e9", first, "e0", second, "f0", third, "00", "aa");
    const body = await collect(readBody(reader, await readHeader(reader)));
    expect(body.equals(Buffer.concat([first, second, third]))).toBe(true);
    expect(await reader.take(1)).toEqual(Buffer.of(0xaa));
  });

  it("without a length end with the source", async () => {
    const reader = readerOf("af", bytesOf(3000, "body"));
    expect(await collect(readBody(reader, await readHeader(reader)))).toEqual(bytesOf(3000, "body"));
  });

  it("past 4 GiB are read by count, not by a 32-bit sum", async () => {
    const partBytes = 2 ** 30;
    const slice = Buffer.alloc(2 ** 24);
    const reader = new ByteReader(fivePartials(partBytes, slice), "message");
    let totalBytes = 0;
    for await (const piece of readBody(reader, await readHeader(reader))) totalBytes += piece.length;
    expect(totalBytes).toBe(5 * partBytes + 3);
  });

  it("that end early are refused with the byte", async () => {
    for (const octets of ["d205aabb", "d2e9aabb"]) {
      const reader = readerOf(octets);
      const header = await readHeader(reader);
      await expect(collect(readBody(reader, header))).rejects.toThrow("not valid at byte 4: it ends in the middle");
    }
  });

  it("that must be small are refused when they are not", async () => {
    const reader = readerOf("c3ff00010000");
    const header = await readHeader(reader);
    await expect(readSmallBody(reader, header, 65_535)).rejects.toThrow("larger than 65535 bytes");
  });

  it.for([0, 1, 262_143, 262_144, 262_145, 524_288])("of %i bytes are written in parts and read back", async (sizeBytes) => {
    const body = bytesOf(sizeBytes, "body");
    const writing = new PartialPacket(11);
    const pieces: Buffer[] = [];
    for await (const slice of sliced(body, 65_537)) {
      for (const piece of writing.push(slice)) pieces.push(Buffer.from(piece));
    }
    const written = Buffer.concat([...pieces, ...writing.end()]);
    const reader = readerOf(written);
    expect((await collect(readBody(reader, await readHeader(reader)))).equals(body)).toBe(true);
    expect(await reader.atEnd()).toBe(true);
  });
});

async function* fivePartials(partBytes: number, slice: Buffer): AsyncGenerator<Buffer> {
  yield Buffer.of(0xd2);
  for (let part = 0; part < 5; part += 1) {
    yield Buffer.of(0xfe);
    for (let at = 0; at < partBytes; at += slice.length) {
      await Promise.resolve();
      yield slice;
    }
  }
  yield Buffer.of(3, 0, 0, 0);
}
