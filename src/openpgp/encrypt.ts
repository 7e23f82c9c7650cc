/**
 * One OpenPGP message around a stream: the session-key packets, then one encrypted packet with one literal packet in it
 * (design §3; `docs/format.md`).
 *
 * The bytes that come out depend on the bytes that go in and on the secrets alone, however the source is sliced: a run
 * that is resumed with the same secrets makes the same ciphertext. Encrypting two different streams with one
 * {@link MessageSecrets} gives both away; take new ones for every stream.
 */
import type { ByteSource } from "../bytes.ts";
import { sealCfb } from "./cfb.ts";
import { writeLiteral } from "./literal.ts";
import { sealOcb } from "./ocb.ts";
import { partialPacket, tags } from "./packets.ts";
import { sealRfc9580 } from "./rfc9580.ts";
import type { MessageSecrets, PacketKind } from "./session.ts";
import { evenSlices } from "./slices.ts";

/**
 * Chunks of 256 KiB (2^(12+6)): 0.57 CPU-s/GiB, against 0.70 at 64 KiB and 0.50 at the most that RFC 9580 lets a writer use,
 * 4 MiB, for which a reader must hold 16 times as much.
 */
const chunkOctet = 12;

export interface Message {
  readonly packet: PacketKind;
  readonly secrets: MessageSecrets;
  /** What `wrapSessionKey` made for the same packet. */
  readonly sessionKeyPackets: Buffer;
}

/** The ciphertext of `source`. Holds about 1 MiB: one AEAD chunk and one partial body at each of two levels. */
export async function* encrypt(source: ByteSource, { packet, secrets, sessionKeyPackets }: Message): AsyncGenerator<Buffer> {
  yield sessionKeyPackets;
  const tag = packet === "ocb" ? tags.ocbEncrypted : tags.integrityProtected;
  yield* partialPacket(tag, seal(writeLiteral(evenSlices(source)), { packet, secrets }));
}

function seal(
  plaintext: AsyncIterable<Buffer>,
  { packet, secrets }: { readonly packet: PacketKind; readonly secrets: MessageSecrets },
): AsyncGenerator<Buffer> {
  switch (packet) {
    case "ocb":
      return sealOcb(plaintext, { ...secrets, chunkOctet });
    case "cfb":
      return sealCfb(plaintext, secrets);
    case "rfc9580":
      return sealRfc9580(plaintext, { ...secrets, chunkOctet });
  }
}
