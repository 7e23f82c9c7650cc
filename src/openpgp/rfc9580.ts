/**
 * Tag 18, version 2: chunked AEAD as RFC 9580 §5.13.2 has it. Written with AES-256 and OCB, the mode every reader must
 * have; OCB and GCM are read.
 *
 * Body: version, cipher, mode, chunk octet, 32-byte salt, chunks, final tag. Key and nonce prefix come from the session
 * key by HKDF-SHA256 under the salt, so that a session key wrapped for this packet is good for no other.
 */
import { hkdfSync } from "node:crypto";
import { AeadSealing, openStream } from "./aead.ts";
import type { Transform } from "../bytes.ts";
import type { Aead, Sealing } from "./chunk.ts";
import { cipherOctetOf, modeOctets, readParameters } from "./chunk.ts";
import type { Candidate } from "./candidates.ts";
import { noneFits } from "./candidates.ts";
import type { ByteReader } from "./reader.ts";
import { tags } from "./packets.ts";

const version = 2;
const saltBytes = 32;
const nonceBytes = { ocb: 15, gcm: 12 } as const;
/** The chunk's number fills the end of the nonce. */
const indexBytes = 8;

/** The body of a version 2 packet around what is pushed. `nonce`: all 32 bytes are the salt. */
export function rfc9580Sealing({ sessionKey, nonce, chunkOctet }: Sealing): Transform {
  const parameters = Buffer.of(version, cipherOctetOf(sessionKey), modeOctets.ocb, chunkOctet);
  const aead = rfc9580Aead(sessionKey, { parameters, salt: nonce, mode: "ocb" });
  return new AeadSealing(aead, Buffer.concat([parameters, nonce]));
}

/** The plaintext of a version 2 packet's body (behind the version), under the first candidate that opens its first chunk. */
export async function* openRfc9580(body: ByteReader, candidates: readonly Candidate[]): AsyncGenerator<Buffer> {
  const { parameters, mode, keyBytes } = await readParameters(body, version);
  const salt = await body.take(saltBytes);
  const aeads = candidates
    .filter(({ sessionKey }) => sessionKey.length === keyBytes)
    .map(({ sessionKey }) => rfc9580Aead(sessionKey, { parameters, salt, mode }));
  yield* openStream(body.remainder(), { candidates: aeads, noneFits: () => noneFits(candidates) });
}

/** The AEAD of one version 2 packet, from its first four body octets and its salt. */
export function rfc9580Aead(
  sessionKey: Buffer,
  { parameters, salt, mode }: { readonly parameters: Buffer; readonly salt: Buffer; readonly mode: Aead["mode"] },
): Aead {
  const header = Buffer.concat([Buffer.of(0xc0 | tags.integrityProtected), parameters]);
  const prefixBytes = nonceBytes[mode] - indexBytes;
  const derived = Buffer.from(hkdfSync("sha256", sessionKey, salt, header, sessionKey.length + prefixBytes));
  return {
    mode,
    key: derived.subarray(0, sessionKey.length),
    iv: Buffer.concat([derived.subarray(sessionKey.length), Buffer.alloc(indexBytes)]),
    header,
    bindsIndex: false,
  };
}
