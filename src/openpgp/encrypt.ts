/**
 * One OpenPGP message around a stream: the session-key packets, then one encrypted packet with one literal packet in it
 * (design §3; `docs/format.md`).
 *
 * The bytes that come out depend on the bytes that go in and on the secrets alone, however the source is sliced: a run
 * that is resumed with the same secrets makes the same ciphertext. Encrypting two different streams with one
 * {@link MessageSecrets} gives both away; take new ones for every stream.
 */
import type { ByteSource, Transform } from "../bytes.ts";
import { asBuffer, chained } from "../bytes.ts";
import { CfbPlaintext, CfbSealing } from "./cfb.ts";
import { literalPacket } from "./literal.ts";
import { ocbSealing } from "./ocb.ts";
import { PartialPacket, tags } from "./packets.ts";
import { rfc9580Sealing } from "./rfc9580.ts";
import type { MessageSecrets, PacketKind } from "./session.ts";

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

/**
 * The steps that make the message of what is pushed into the first of them. They are several where a cipher has work
 * for two threads; put together with `chained` they are one.
 */
export function sealingSteps({ packet, secrets, sessionKeyPackets }: Message): readonly Transform[] {
  const tag = packet === "ocb" ? tags.ocbEncrypted : tags.integrityProtected;
  const framed = new PartialPacket(tag, { before: sessionKeyPackets });
  switch (packet) {
    case "ocb":
      return [chained([literalPacket(), ocbSealing({ ...secrets, chunkOctet }), framed])];
    case "rfc9580":
      return [chained([literalPacket(), rfc9580Sealing({ ...secrets, chunkOctet }), framed])];
    case "cfb":
      return [chained([literalPacket(), new CfbPlaintext(secrets.nonce)]), chained([new CfbSealing(secrets.sessionKey), framed])];
  }
}

/** The ciphertext of `source`. Holds about 1 MiB: one AEAD chunk and one partial body at each of two levels. */
export async function* encrypt(source: ByteSource, message: Message): AsyncGenerator<Buffer> {
  const sealing = chained(sealingSteps(message));
  for await (const slice of source) {
    for (const piece of sealing.push(asBuffer(slice))) yield Buffer.from(piece);
  }
  for (const piece of sealing.end()) yield Buffer.from(piece);
}
