/**
 * Messages that `encrypt` never writes: any packets inside, any chunk size, any literal packet.
 */
import { chained, type Transform } from "../../src/bytes.ts";
import { CfbPlaintext, CfbSealing } from "../../src/openpgp/cfb.ts";
import { ocbSealing } from "../../src/openpgp/ocb.ts";
import { packet, tags } from "../../src/openpgp/packets.ts";
import { rfc9580Sealing } from "../../src/openpgp/rfc9580.ts";
import type { PacketKind } from "../../src/openpgp/session.ts";
import { fixedSecrets } from "./sample.ts";

/** A whole message, without session-key packets, around `inner`. */
export function craft(kind: PacketKind, inner: Buffer, chunkOctet = 6): Buffer {
  const secrets = { ...fixedSecrets, chunkOctet };
  switch (kind) {
    case "ocb":
      return packet(tags.ocbEncrypted, transformed(inner, ocbSealing(secrets)));
    case "cfb":
      return packet(tags.integrityProtected, transformed(inner, chained([new CfbPlaintext(secrets.nonce), new CfbSealing(secrets.sessionKey)])));
    case "rfc9580":
      return packet(tags.integrityProtected, transformed(inner, rfc9580Sealing(secrets)));
  }
}

function transformed(bytes: Buffer, transform: Transform): Buffer {
  return Buffer.concat([...copies(transform.push(bytes)), ...copies(transform.end())]);
}

/** What a step yields is only lent. */
function copies(pieces: Iterable<Buffer>): Buffer[] {
  return Array.from(pieces, (piece) => Buffer.from(piece));
}

/** A literal packet's body. */
export function literalBody(content: Buffer, { format = "b", name = "", date = 0 } = {}): Buffer {
  const header = Buffer.concat([Buffer.from(format), Buffer.of(name.length), Buffer.from(name), Buffer.alloc(4)]);
  header.writeUInt32BE(date, header.length - 4);
  return Buffer.concat([header, content]);
}
