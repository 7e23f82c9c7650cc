import { describe, expect, it } from "vitest";
import { decrypt } from "../../src/openpgp/decrypt.ts";
import { encrypt } from "../../src/openpgp/encrypt.ts";
import type { PacketKind } from "../../src/openpgp/session.ts";
import { bytesOf, collect, fixedSecrets, packets, sliced } from "./sample.ts";

/** Content that makes the plaintext packets exactly one AEAD chunk: the literal packet's own 12 bytes are taken off. */
const oneChunk = 256 * 1024 - 12;
/** Content that makes the literal packet exactly one partial body. */
const onePartial = 256 * 1024 - 6;

const small = [0, 1, 185, 186, 511, 512, 513];
const edges = [8377, 8378, oneChunk - 1, oneChunk, oneChunk + 1, onePartial - 1, onePartial, onePartial + 1];
const large = [2 * onePartial - 1, 2 * onePartial + 1, 524_287, 524_288, 524_289, 3 * 1024 * 1024 + 1];

const slicings = {
  "in odd primes": [7919, 65_537],
  "small and large in turn": [1, 16_383, 100_003, 3, 16_384, 9973, 262_145],
  "all at once": [Number.MAX_SAFE_INTEGER],
};

function message(packet: PacketKind) {
  return { packet, secrets: fixedSecrets, sessionKeyPackets: Buffer.alloc(0) };
}

describe.each(packets)("a message with a %s packet", (packet) => {
  it.for([...small, ...edges, ...large])("gives back %i bytes, however they are sliced on either side", async (sizeBytes) => {
    const content = bytesOf(sizeBytes, packet);
    const first = await collect(encrypt(sliced(content), message(packet)));
    for (const [, sizes] of Object.entries(slicings)) {
      const ciphertext = await collect(encrypt(sliced(content, ...sizes), message(packet)));
      expect(ciphertext.equals(first)).toBe(true);
      const plaintext = await collect(decrypt(sliced(ciphertext, ...sizes), fixedSecrets));
      expect(plaintext.equals(content)).toBe(true);
    }
  });

  it.for(small)("is the same when %i bytes come byte by byte, with empty pieces between", async (sizeBytes) => {
    const content = bytesOf(sizeBytes, packet);
    const first = await collect(encrypt(sliced(content), message(packet)));
    expect(await collect(encrypt(sliced(content, 1, 0), message(packet)))).toEqual(first);
    expect(await collect(decrypt(sliced(first, 0, 1), fixedSecrets))).toEqual(content);
  });

  it("changes with the session key and with the nonce", async () => {
    const content = bytesOf(100, "content");
    const texts = [
      fixedSecrets,
      { ...fixedSecrets, sessionKey: bytesOf(32, "another") },
      { ...fixedSecrets, nonce: bytesOf(32, "another") },
    ].map(async (secrets) => (await collect(encrypt(sliced(content), { ...message(packet), secrets }))).toString("hex"));
    expect(new Set(await Promise.all(texts)).size).toBe(3);
  });

  it("leaves the pieces it was given as they were", async () => {
    const pieces = [5, 100_000, 200_000].map((sizeBytes) => bytesOf(sizeBytes, "content"));
    const ciphertext = await gatherPieces(encrypt(fromPieces(pieces), message(packet)));
    expect(pieces.every((piece) => piece.equals(bytesOf(piece.length, "content")))).toBe(true);
    const before = Buffer.concat(ciphertext);
    expect((await collect(decrypt(fromPieces(ciphertext), fixedSecrets))).equals(Buffer.concat(pieces))).toBe(true);
    expect(Buffer.concat(ciphertext).equals(before)).toBe(true);
  });

  it("passes on what the source throws, encrypting and decrypting", async () => {
    const content = bytesOf(400_000, "content");
    const ciphertext = await collect(encrypt(sliced(content), message(packet)));
    await expect(collect(encrypt(failing(content), message(packet)))).rejects.toThrow("the source broke");
    await expect(collect(decrypt(failing(ciphertext.subarray(0, -1)), fixedSecrets))).rejects.toThrow("the source broke");
  });

  it("lets go of the source when the taker leaves early, encrypting and decrypting", async () => {
    const content = bytesOf(2_000_000, "content");
    const ciphertext = await collect(encrypt(sliced(content), message(packet)));
    const reading = new WatchedSource(content);
    await leaveEarly(encrypt(reading.source(), message(packet)));
    expect(reading.state).toBe("let go");
    const restoring = new WatchedSource(ciphertext);
    await leaveEarly(decrypt(restoring.source(), fixedSecrets));
    expect(restoring.state).toBe("let go");
  });
});

async function gatherPieces(source: AsyncIterable<Buffer>): Promise<readonly Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of source) pieces.push(piece);
  return pieces;
}

async function* fromPieces(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  await Promise.resolve();
  yield* pieces;
}

async function leaveEarly(source: AsyncIterable<Buffer>): Promise<void> {
  for await (const piece of source) if (piece.length > 1000) return;
}

async function* failing(bytes: Buffer): AsyncGenerator<Buffer> {
  yield* sliced(bytes, 50_000);
  throw new Error("the source broke");
}

class WatchedSource {
  state = "open";
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  async *source(): AsyncGenerator<Buffer> {
    try {
      yield* sliced(this.#bytes, 10_000);
      this.state = "read to the end";
    } finally {
      if (this.state === "open") this.state = "let go";
    }
  }
}
