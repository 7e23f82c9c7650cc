/**
 * The packet inside the encryption: one literal data packet (RFC 9580 §5.9) that holds the stream itself.
 *
 * Ours is binary, without file name and date, so that the same bytes always make the same packet. Read are also those of
 * other programs, with whatever name, date and length style; not read are compressed and signed messages.
 */
import type { Transform } from "../bytes.ts";
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
 * The content of the one literal packet in `plaintext`; marker and padding packets around it are skipped.
 *
 * @throws ZferryError `message-invalid` for any other packet, a second literal packet, or an end inside a packet
 */
export async function* readLiteral(plaintext: ByteReader): AsyncGenerator<Buffer> {
  const header = await skipPadding(plaintext);
  if (header?.tag !== tags.literal) throw refuseContent(plaintext, header);
  const body = new ByteReader(readBody(plaintext, header), "plaintext");
  const [format, nameBytes] = await body.take(2);
  if (!literalFormats.includes(String.fromCharCode(format ?? 0))) {
    throw plaintext.invalid(`a literal packet of unknown format ${format ?? 0}`);
  }
  await body.take((nameBytes ?? 0) + 4);
  yield* body.remainder();
  const next = await skipPadding(plaintext);
  if (next !== null) throw plaintext.invalid(`another packet (type ${next.tag}) follows the literal packet`);
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
      return plaintext.invalid(
        "the content is compressed, and compression is not supported",
        "it was written without `--compress-algo none` (gpg compresses by default); decrypt it with gpg itself",
      );
    case tags.onePassSignature:
    case tags.signature:
      return plaintext.invalid("the content is signed, and signed messages are not supported", "decrypt it with gpg");
    default:
      return plaintext.invalid(`a packet of type ${header?.tag ?? 0} where the literal packet belongs`);
  }
}
