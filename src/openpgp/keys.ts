/**
 * Passphrases, keys, certificates, and the session-key packets they open: what we use of the openpgp library to read.
 *
 * The library says by plain errors that a secret does not fit; here that is an empty list. It is loaded where it is first
 * used, because whatever opens no message does without it.
 */
import type { DecryptedSessionKey, Message, PartialConfig, PrivateKey, PublicKey } from "openpgp";
import { ZferryError } from "../errors.ts";
import { packet, tags } from "./packets.ts";
import { isPassphrasePacket, openForPassphrase } from "./passphrase.ts";

/** One session-key packet of a version that is known. */
export interface SessionKeyPacket {
  readonly kind: "passphrase" | "private-key";
  readonly version: number;
  /** The packet alone, as the library reads it, or the body of one that `passphrase.ts` reads. */
  readonly content: Message<Uint8Array> | Buffer;
  /** Hexadecimal ids of the keys it is for; none for a passphrase. */
  readonly keyIds: readonly string[];
}

/** An anonymous recipient: every key may be the one (RFC 9580 §5.1.8). */
const wildcardId = "0000000000000000";

const knownVersions: ReadonlyMap<number, readonly number[]> = new Map([
  [tags.passphraseSessionKey, [4, 5, 6]],
  [tags.publicKeySessionKey, [3, 6]],
]);

/**
 * 2^21 KiB: the most that RFC 9580 §3.7.1.4 proposes. Whoever can write to the store can write these packets, and they are
 * opened before anything is authenticated; the library itself would try 1 TiB.
 */
const argon2Limit: PartialConfig = { maxArgon2MemoryExponent: 21 };

/** AES by the library's names; null is a version 5 or 6 packet, which does not name the cipher. */
const keyBytesOf: ReadonlyMap<string | null, readonly number[]> = new Map([
  [null, [16, 24, 32]],
  ["aes128", [16]],
  ["aes192", [24]],
  ["aes256", [32]],
]);

/** `unknown`: to be ignored, as RFC 9580 §10.3.2.1 has it (another version, cipher or key derivation). */
export async function parseSessionKeyPacket(tag: number, body: Buffer): Promise<SessionKeyPacket | "unknown" | "malformed"> {
  const version = body[0];
  if (version === undefined) return "malformed";
  if (knownVersions.get(tag)?.includes(version) !== true) return "unknown";
  if (tag === tags.passphraseSessionKey && isPassphrasePacket(body)) return { kind: "passphrase", version, content: body, keyIds: [] };
  const { enums, readMessage } = await import("openpgp");
  let message: Message<Uint8Array>;
  try {
    message = await readMessage({ binaryMessage: packet(tag, body) });
  } catch {
    // No secret and nothing outside is involved yet: whatever the library throws is about these bytes.
    return "malformed";
  }
  const [kind, libraryTag] =
    tag === tags.passphraseSessionKey
      ? (["passphrase", enums.packet.symEncryptedSessionKey] as const)
      : (["private-key", enums.packet.publicKeyEncryptedSessionKey] as const);
  if (message.packets.filterByTag(libraryTag).length === 0) return "unknown";
  return { kind, version, content: message, keyIds: message.getEncryptionKeyIDs().map((id) => id.toHex()) };
}

/**
 * The session keys that `passphrase` finds in the packet: one, or none.
 *
 * @throws ZferryError `message-invalid` when the packet wants more memory than {@link argon2Limit} grants
 */
export async function openWithPassphrase({ content }: SessionKeyPacket, passphrase: string): Promise<readonly Buffer[]> {
  if (Buffer.isBuffer(content)) {
    const sessionKey = openForPassphrase(content, passphrase);
    return sessionKey === null ? [] : [sessionKey];
  }
  const { decryptSessionKeys } = await import("openpgp");
  try {
    return aesKeys(await decryptSessionKeys({ message: content, passwords: [passphrase], config: argon2Limit }));
  } catch (error) {
    if (error instanceof Error && error.cause instanceof Error && error.cause.name === "Argon2OutOfMemoryError") {
      throw new ZferryError("message-invalid", "the OpenPGP message wants more memory to check a passphrase than there is", {
        hint: "up to 2 GiB is granted; a packet that wants more is damaged or hostile",
        cause: error,
      });
    }
    // The library has no other way to say that the passphrase does not fit.
    return [];
  }
}

/** The session keys that an unlocked private key finds in the packet: one, or none. */
export async function openWithPrivateKey({ content }: SessionKeyPacket, key: PrivateKey): Promise<readonly Buffer[]> {
  if (Buffer.isBuffer(content)) return []; // for a passphrase
  const { decryptSessionKeys, readMessage } = await import("openpgp");
  try {
    // A copy: the library empties a public-key packet when it opens it.
    const copy = await readMessage({ binaryMessage: Buffer.from(content.packets.write()) });
    return aesKeys(await decryptSessionKeys({ message: copy, decryptionKeys: [key] }));
  } catch {
    // As above: the key does not fit, or the packet is damaged; the two cannot be told apart.
    return [];
  }
}

/** All private keys in an armored text. @throws ZferryError `secret-unusable` */
export async function parsePrivateKeys(armored: string): Promise<readonly PrivateKey[]> {
  const { readPrivateKeys } = await import("openpgp");
  try {
    const keys = await Promise.all(armoredBlocks(armored).map((block) => readPrivateKeys({ armoredKeys: block })));
    return keys.flat();
  } catch (cause) {
    throw new ZferryError("secret-unusable", "a private key given cannot be read", {
      hint: "give what `gpg --armor --export-secret-keys` prints",
      cause,
    });
  }
}

/** All certificates in an armored text. @throws ZferryError `secret-unusable` */
export async function parseCertificates(armored: string): Promise<readonly PublicKey[]> {
  const { readKeys } = await import("openpgp");
  try {
    const keys = await Promise.all(armoredBlocks(armored).map((block) => readKeys({ armoredKeys: block })));
    return keys.flat().map((key) => key.toPublic());
  } catch (cause) {
    throw new ZferryError("secret-unusable", "a recipient's certificate cannot be read", {
      hint: "give what `gpg --armor --export` prints",
      cause,
    });
  }
}

/**
 * Each armored block of a text on its own, because the library reads the first and drops the others without a word, and a
 * recipient lost that way is found out only at the restore.
 */
function armoredBlocks(text: string): readonly string[] {
  const blocks = text.match(/^-----BEGIN PGP [A-Z ]+-----\r?$[\s\S]*?^-----END PGP [A-Z ]+-----\r?$/gm);
  const beginCount = text.split("-----BEGIN PGP ").length - 1;
  if (blocks?.length !== beginCount) throw new Error("incomplete armor");
  return blocks;
}

/** True when the packet is for this key or for nobody named. */
export function isAddressed({ content }: SessionKeyPacket, key: PrivateKey): boolean {
  if (Buffer.isBuffer(content)) return false;
  return content.getEncryptionKeyIDs().some((id) => id.toHex() === wildcardId || key.getKeys(id).length > 0);
}

/** @throws ZferryError `key-missing` for a locked key without a passphrase, `key-wrong` for one with a wrong one */
export async function unlock(key: PrivateKey, passphrase: string | null): Promise<PrivateKey> {
  if (key.isDecrypted()) return key;
  const name = key.getKeyID().toHex();
  if (passphrase === null) {
    throw new ZferryError("key-missing", `the private key "${name}" is locked, and no passphrase was given for it`);
  }
  const { decryptKey } = await import("openpgp");
  try {
    return await decryptKey({ privateKey: key, passphrase });
  } catch (cause) {
    throw new ZferryError("key-wrong", `the passphrase given does not unlock the private key "${name}"`, { cause });
  }
}

function aesKeys(found: readonly DecryptedSessionKey[]): readonly Buffer[] {
  return found
    .filter(({ data, algorithm }) => keyBytesOf.get(algorithm ?? null)?.includes(data.length) === true)
    .map(({ data }) => Buffer.from(data));
}
