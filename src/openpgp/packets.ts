/**
 * OpenPGP packets: tags, headers and body lengths, read and written (RFC 9580 §4.2, which includes the old format of
 * RFC 4880). Session-key packets are small and whole; data packets are streams with partial body lengths.
 *
 * What is inside a packet is the business of the other files here.
 */
import type { Transform } from "../bytes.ts";
import type { ByteReader } from "./reader.ts";
import { Grouper } from "./slices.ts";

/** Packet tags (RFC 9580 §5; 20 is LibrePGP's). */
export const tags = {
  publicKeySessionKey: 1,
  signature: 2,
  passphraseSessionKey: 3,
  onePassSignature: 4,
  compressed: 8,
  encryptedWithoutIntegrity: 9,
  marker: 10,
  literal: 11,
  integrityProtected: 18,
  ocbEncrypted: 20,
  padding: 21,
} as const;

/** Size of each partial body but the last: 2^18. A writer holds this much; gpg, rnp and openpgp.js take it. */
const partialExponent = 18;
const partialBytes = 2 ** partialExponent;

/** Tags whose bodies may come in parts or without a length (RFC 9580 §4.2.1.4; tag 20 by LibrePGP). */
const dataTags: readonly number[] = [
  tags.compressed,
  tags.encryptedWithoutIntegrity,
  tags.literal,
  tags.integrityProtected,
  tags.ocbEncrypted,
];

type BodyLength =
  | { readonly kind: "definite"; readonly sizeBytes: number }
  | { readonly kind: "partial"; readonly sizeBytes: number }
  | { readonly kind: "indeterminate" };

export interface PacketHeader {
  readonly tag: number;
  readonly length: BodyLength;
}

/** One whole packet with a new-format header. For small packets; `body` is copied. */
export function packet(tag: number, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(0xc0 | tag), definiteLength(body.length), body]);
}

/**
 * A data packet whose length is not known in advance, around whatever is pushed: partial bodies of 256 KiB and a definite
 * rest, which may be empty. The output depends on the bytes alone, not on their slicing. Holds one partial body.
 */
export class PartialPacket implements Transform {
  readonly #body = new Grouper(partialBytes);
  #beginning: readonly [before: Buffer, bodyStart: Buffer] | null;

  /** @param around - packets that stand before this one, and what its body begins with */
  constructor(tag: number, around: { readonly before?: Buffer; readonly bodyStart?: Buffer } = {}) {
    const { before = Buffer.alloc(0), bodyStart = Buffer.alloc(0) } = around;
    this.#beginning = [Buffer.concat([before, Buffer.of(0xc0 | tag)]), bodyStart];
  }

  *push(slice: Buffer): Generator<Buffer> {
    yield* this.#begin();
    yield* this.#add(slice);
  }

  *end(): Generator<Buffer> {
    yield* this.#begin();
    yield definiteLength(this.#body.rest.length);
    if (this.#body.rest.length > 0) yield this.#body.rest;
  }

  *#begin(): Generator<Buffer> {
    if (this.#beginning === null) return;
    const [before, bodyStart] = this.#beginning;
    this.#beginning = null;
    yield before;
    yield* this.#add(bodyStart);
  }

  *#add(slice: Buffer): Generator<Buffer> {
    for (const group of this.#body.push(slice)) {
      yield Buffer.of(0xe0 | partialExponent);
      yield* group;
    }
  }
}

/** Reads a packet's header, in either format. The reader then stands on the first byte of the body. */
export async function readHeader(reader: ByteReader): Promise<PacketHeader> {
  const octet = await takeOctet(reader);
  if ((octet & 0x80) === 0) {
    const armored = octet === "-".charCodeAt(0);
    throw armored
      ? reader.invalid("it is ASCII-armored", "take the armor off first: gpg --dearmor")
      : reader.invalid(`no packet begins with 0x${octet.toString(16).padStart(2, "0")}`);
  }
  const isNewFormat = (octet & 0x40) !== 0;
  const tag = isNewFormat ? octet & 0x3f : (octet >> 2) & 0x0f;
  const length = isNewFormat ? await readNewLength(reader) : await readOldLength(reader, octet & 0x03);
  if (length.kind !== "definite" && !dataTags.includes(tag)) {
    throw reader.invalid(`a packet of type ${tag} must have a definite length`);
  }
  return { tag, length };
}

/** The body of the packet whose header was just read, as it comes; the reader ends up behind it. */
export async function* readBody(reader: ByteReader, header: PacketHeader): AsyncGenerator<Buffer> {
  let { length } = header;
  while (length.kind === "partial") {
    yield* readExactly(reader, length.sizeBytes);
    length = await readNewLength(reader);
  }
  if (length.kind === "definite") yield* readExactly(reader, length.sizeBytes);
  else yield* reader.remainder();
}

/** A body that must be whole and at most `maxBytes`. */
export async function readSmallBody(reader: ByteReader, header: PacketHeader, maxBytes: number): Promise<Buffer> {
  if (header.length.kind !== "definite" || header.length.sizeBytes > maxBytes) {
    throw reader.invalid(`a packet of type ${header.tag} is larger than ${maxBytes} bytes`);
  }
  return reader.take(header.length.sizeBytes);
}

function definiteLength(sizeBytes: number): Buffer {
  if (sizeBytes < 192) return Buffer.of(sizeBytes);
  if (sizeBytes < 8384) return Buffer.of(((sizeBytes - 192) >> 8) + 192, (sizeBytes - 192) & 0xff);
  const octets = Buffer.alloc(5, 0xff);
  octets.writeUInt32BE(sizeBytes, 1);
  return octets;
}

async function takeOctet(reader: ByteReader): Promise<number> {
  return (await reader.take(1)).readUInt8(0);
}

async function readNewLength(reader: ByteReader): Promise<BodyLength> {
  const octet = await takeOctet(reader);
  if (octet < 192) return { kind: "definite", sizeBytes: octet };
  if (octet < 224) return { kind: "definite", sizeBytes: ((octet - 192) << 8) + (await takeOctet(reader)) + 192 };
  if (octet < 255) return { kind: "partial", sizeBytes: 2 ** (octet & 0x1f) };
  return { kind: "definite", sizeBytes: (await reader.take(4)).readUInt32BE(0) };
}

async function readOldLength(reader: ByteReader, lengthType: number): Promise<BodyLength> {
  if (lengthType === 3) return { kind: "indeterminate" };
  const octetCount = 2 ** lengthType;
  return { kind: "definite", sizeBytes: (await reader.take(octetCount)).readUIntBE(0, octetCount) };
}

async function* readExactly(reader: ByteReader, sizeBytes: number): AsyncGenerator<Buffer> {
  let restBytes = sizeBytes;
  while (restBytes > 0) {
    const slice = await reader.some(restBytes);
    if (slice === null) throw reader.truncated();
    restBytes -= slice.length;
    yield slice;
  }
}
