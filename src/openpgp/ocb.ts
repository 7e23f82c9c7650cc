/**
 * Tag 20, version 1: AES in OCB mode in chunks, LibrePGP's "OCB Encrypted Data Packet" (draft-koch-librepgp §5.16).
 *
 * Written by default, because gpg since 2.2.21, rnp and openpgp.js read it and each chunk is authenticated before it is
 * released. Body: version, cipher, mode, chunk octet, 15-byte IV, chunks, final tag.
 */
import { AeadSealing, openStream } from "./aead.ts";
import type { Transform } from "../bytes.ts";
import type { Aead, Sealing } from "./chunk.ts";
import { cipherOctetOf, modeOctets, readParameters } from "./chunk.ts";
import type { Candidate } from "./candidates.ts";
import { noneFits } from "./candidates.ts";
import type { ByteReader } from "./reader.ts";
import { tags } from "./packets.ts";

const version = 1;
const ivBytes = 15;

/** The body of a tag 20 packet around what is pushed. `nonce`: its first 15 bytes are the IV. */
export function ocbSealing({ sessionKey, nonce, chunkOctet }: Sealing): Transform {
  const parameters = Buffer.of(version, cipherOctetOf(sessionKey), modeOctets.ocb, chunkOctet);
  const iv = nonce.subarray(0, ivBytes);
  return new AeadSealing(ocbAead(sessionKey, { parameters, iv }), Buffer.concat([parameters, iv]));
}

/** The plaintext of a tag 20 packet's body (behind the version), under the first candidate that opens its first chunk. */
export async function* openOcb(body: ByteReader, candidates: readonly Candidate[]): AsyncGenerator<Buffer> {
  const { parameters, mode, keyBytes } = await readParameters(body, version);
  if (mode !== "ocb") throw body.invalid("tag 20 in a mode other than OCB is not supported", "decrypt it with gpg");
  const iv = await body.take(ivBytes);
  const aeads = candidates
    .filter(({ sessionKey }) => sessionKey.length === keyBytes)
    .map(({ sessionKey }) => ocbAead(sessionKey, { parameters, iv }));
  yield* openStream(body.remainder(), { candidates: aeads, noneFits: () => noneFits(candidates) });
}

/** The AEAD of one tag 20 packet, from its first four body octets and its IV. */
export function ocbAead(
  sessionKey: Buffer,
  { parameters, iv }: { readonly parameters: Buffer; readonly iv: Buffer },
): Aead {
  return {
    mode: "ocb",
    key: sessionKey,
    iv,
    header: Buffer.concat([Buffer.of(0xc0 | tags.ocbEncrypted), parameters]),
    bindsIndex: true,
  };
}
