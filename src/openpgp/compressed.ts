/**
 * A compressed data packet (RFC 9580 §5.6), unpacked. Only read: what gpg makes when nobody says `--compress-algo none`, as
 * ZFS2Cloud did not before its version 1.2. zferry itself never compresses.
 *
 * What is unpacked streams, so that a few bytes that become very many cost time and no memory.
 */
import { pipeline } from "node:stream/promises";
import { createInflate, createInflateRaw } from "node:zlib";
import { asBuffer, KiB } from "../bytes.ts";
import type { ByteReader } from "./reader.ts";

/** Unpacked bytes per slice. */
const chunkSize = 256 * KiB;

/** By their numbers (RFC 9580 §9.4). BZip2 is not among what Node unpacks. */
const [zip, zlib, bzip2] = [1, 2, 3];

/** Null for what is not supported. */
function unpackerFor(algorithm: number) {
  switch (algorithm) {
    case zip:
      return createInflateRaw({ chunkSize });
    case zlib:
      return createInflate({ chunkSize });
    default:
      return null;
  }
}

/**
 * The packets in the body of a compressed packet.
 *
 * @throws ZferryError `message-invalid` for what cannot be unpacked or is cut off, and for bytes behind its end
 */
export async function* unpacked(body: ByteReader): AsyncGenerator<Buffer> {
  const algorithm = (await body.take(1)).readUInt8(0);
  const inflate = unpackerFor(algorithm);
  if (inflate === null) {
    const name = algorithm === bzip2 ? "bzip2" : `algorithm ${algorithm}`;
    throw body.invalid(`the content is compressed with ${name}, which is not supported`, "decrypt it with gpg itself");
  }
  let fedBytes = 0;
  const failures: Error[] = [];
  const feed = async function* (): AsyncGenerator<Buffer> {
    try {
      for await (const slice of body.remainder()) {
        fedBytes += slice.length;
        yield Buffer.from(slice); // it is only lent, and the unpacking is done elsewhere
      }
    } catch (error) {
      failures.push(error as Error);
      throw error;
    }
  };
  const feeding = pipeline(feed, inflate).catch(() => undefined); // what reads below throws the same
  try {
    for await (const slice of inflate as AsyncIterable<Uint8Array>) yield asBuffer(slice);
  } catch (error) {
    throw failures[0] ?? body.invalid(`the compressed content is damaged or cut off (${(error as Error).message})`);
  } finally {
    inflate.destroy();
    await feeding;
  }
  if (inflate.bytesWritten !== fedBytes) throw body.invalid("something follows the compressed content");
}
