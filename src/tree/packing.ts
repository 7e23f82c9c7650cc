/** How a run packs the files it sends, and how its list is sealed: keys as for streams. */
import { randomBytes } from "node:crypto";
import type { ByteSource } from "../bytes.ts";
import type { Packing } from "../format/file-list.ts";
import type { PacketName } from "../format/layout.ts";
import { encrypt } from "../openpgp/encrypt.ts";
import { fileListKey, keyCheck, type Keyring, newMessageSecrets, openSessionKey, type Recipients, wrapSessionKey } from "../openpgp/session.ts";

export interface Packer {
  readonly packing: Packing;
  /** Of the list; null where there is no key at all. */
  readonly sealKey: Buffer | null;
  /** The content as it is stored. */
  readonly pack: (content: ByteSource) => ByteSource;
}

/**
 * One session key for all files of a run, so that a passphrase is stretched once and not for each of them; every file has a
 * random nonce of its own.
 *
 * @param packet - `none` leaves the files as they are; their list is sealed all the same where there is a key
 * @throws ZferryError `secret-unusable`, `key-missing`
 */
export async function newPacker(packet: PacketName, recipients: Recipients): Promise<Packer> {
  const hasKey = recipients.passphrases.length + recipients.certificates.length > 0;
  if (packet === "none" && !hasKey) return { packing: { packet, sessionKeyPackets: null, keyCheck: null }, sealKey: null, pack: (content) => content };
  const { sessionKey } = newMessageSecrets();
  const packets = await wrapSessionKey(sessionKey, recipients, packet === "none" ? "ocb" : packet);
  return {
    packing: { packet, sessionKeyPackets: packets.toString("base64"), keyCheck: keyCheck(sessionKey) },
    sealKey: fileListKey(sessionKey),
    pack: (content) => (packet === "none" ? content : encrypt(content, { packet, secrets: { sessionKey, nonce: randomBytes(32) }, sessionKeyPackets: packets })),
  };
}

/** The session key that a run's packing names; null where it has none. @throws ZferryError `key-missing`, `key-wrong` */
export async function keyOf({ sessionKeyPackets, keyCheck: check }: Packing, keyring: Keyring): Promise<Buffer | null> {
  return sessionKeyPackets === null ? null : openSessionKey(Buffer.from(sessionKeyPackets, "base64"), keyring, check);
}
