/**
 * Messages that `encrypt` never writes: any packets inside, any chunk size, any literal packet.
 */
import { sealCfb } from "../../src/openpgp/cfb.ts";
import { sealOcb } from "../../src/openpgp/ocb.ts";
import { packet, tags } from "../../src/openpgp/packets.ts";
import { sealRfc9580 } from "../../src/openpgp/rfc9580.ts";
import type { PacketKind } from "../../src/openpgp/session.ts";
import { collect, fixedSecrets, sliced } from "./sample.ts";

/** A whole message, without session-key packets, around `inner`. */
export async function craft(kind: PacketKind, inner: Buffer, chunkOctet = 6): Promise<Buffer> {
  const secrets = { ...fixedSecrets, chunkOctet };
  switch (kind) {
    case "ocb":
      return packet(tags.ocbEncrypted, await collect(sealOcb(sliced(inner), secrets)));
    case "cfb":
      return packet(tags.integrityProtected, await collect(sealCfb(sliced(inner), secrets)));
    case "rfc9580":
      return packet(tags.integrityProtected, await collect(sealRfc9580(sliced(inner), secrets)));
  }
}

/** A literal packet's body. */
export function literalBody(content: Buffer, { format = "b", name = "", date = 0 } = {}): Buffer {
  const header = Buffer.concat([Buffer.from(format), Buffer.of(name.length), Buffer.from(name), Buffer.alloc(4)]);
  header.writeUInt32BE(date, header.length - 4);
  return Buffer.concat([header, content]);
}
