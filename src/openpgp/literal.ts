/**
 * The packet inside the encryption: one literal data packet (RFC 9580 §5.9) that holds the stream itself.
 *
 * Ours is binary, without file name and date, so that the same bytes always make the same packet. Read are also those of
 * other programs, with whatever name, date and length style, also inside one compressed packet; not read are signed messages.
 */
import type { Transform } from "../bytes.ts";
import { unpacked } from "./compressed.ts";
import type { PacketHeader } from "./packets.ts";
import { PartialPacket, readBody, readHeader, readSmallBody, tags } from "./packets.ts";
import { ByteReader } from "./reader.ts";

/** Format `b`, a file name of no bytes, no date. */
const literalHeader = Buffer.from("620000000000", "hex");
const literalFormats = "btul";
const markerText = "PGP";
const maxPaddingBytes = 2 ** 20;

/** The literal packet around what is pushed. */
export function literalPacket(): Transform {
  return new PartialPacket(tags.literal, { bodyStart: literalHeader });
}

/**
 * The content of the one literal packet in `plaintext`, which may be compressed; marker and padding packets around it are
 * skipped.
 *
 * @throws ZferryError `message-invalid` for any other packet, a second literal packet, or an end inside a packet
 */
export async function* readLiteral(plaintext: ByteReader): AsyncGenerator<Buffer> {
  const header = await skipPadding(plaintext);
  if (header?.tag === tags.compressed) {
    const inner = new ByteReader(unpacked(new ByteReader(readBody(plaintext, header), "plaintext")), "unpacked content");
    yield* readPacket(inner, await skipPadding(inner));
  } else yield* readPacket(plaintext, header);
  const next = await skipPadding(plaintext);
  if (next !== null) throw plaintext.invalid(`another packet (type ${next.tag}) follows the content`);
}

async function* readPacket(reader: ByteReader, header: PacketHeader | null): AsyncGenerator<Buffer> {
  if (header?.tag !== tags.literal) throw refuseContent(reader, header);
  const body = new ByteReader(readBody(reader, header), "plaintext");
  const [format, nameBytes] = await body.take(2);
  if (!literalFormats.includes(String.fromCharCode(format ?? 0))) {
    throw reader.invalid(`a literal packet of unknown format ${format ?? 0}`);
  }
  await body.take((nameBytes ?? 0) + 4);
  yield* body.remainder();
  const next = await skipPadding(reader);
  if (next !== null) throw reader.invalid(`another packet (type ${next.tag}) follows the literal packet`);
}

/** Reads on to the next packet that means something; null at the end. */
async function skipPadding(reader: ByteReader): Promise<PacketHeader | null> {
  while (!(await reader.atEnd())) {
    const header = await readHeader(reader);
    if (!(await skipMeaningless(reader, header))) return header;
  }
  return null;
}

/** Skips a marker or padding packet (RFC 9580 §5.8, §5.14); false when the packet is neither. */
export async function skipMeaningless(reader: ByteReader, header: PacketHeader): Promise<boolean> {
  if (header.tag === tags.padding) {
    await readSmallBody(reader, header, maxPaddingBytes);
    return true;
  }
  if (header.tag !== tags.marker) return false;
  const text = await readSmallBody(reader, header, markerText.length);
  if (text.toString("latin1") !== markerText) throw reader.invalid("a marker packet that is none");
  return true;
}

function refuseContent(plaintext: ByteReader, header: PacketHeader | null): Error {
  switch (header?.tag) {
    case undefined:
      return plaintext.invalid("there is nothing inside the encryption");
    case tags.compressed:
      return plaintext.invalid("the content is compressed twice, which is not supported", "decrypt it with gpg");
    case tags.onePassSignature:
    case tags.signature:
      return plaintext.invalid("the content is signed, and signed messages are not supported", "decrypt it with gpg");
    default:
      return plaintext.invalid(`a packet of type ${header?.tag ?? 0} where the literal packet belongs`);
  }
}
