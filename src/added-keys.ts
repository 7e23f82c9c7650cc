/**
 * Keys that were added to a backup after it was made: small objects beside its chunks, `KEY-<name>.pgp`, with session-key packets
 * for further passphrases and certificates (`docs/format.md` § Added keys, ADR 14).
 *
 * No chunk and no manifest changes for them. They prove nothing: what they open counts only if it fits the manifest's key
 * check, so that whoever can write to the store gains nothing by adding one.
 */
import { gather, KiB } from "./bytes.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { addedKeyKey, addedKeysPrefix, nameOfAddedKey } from "./format/layout.ts";
import type { Manifest } from "./format/manifest.ts";
import { type Keyring, openSessionKey } from "./openpgp/session.ts";
import type { Store } from "./store/store.ts";

/** Larger ones are none of ours: a packet has up to 1,100 bytes. */
const maxAddedKeyBytes = 64 * KiB;
/** More of one backup are not looked at, since each is tried with every secret. */
export const maxAddedKeys = 64;

export interface AddedKey {
  readonly name: string;
  readonly packets: Buffer;
}

type Backup = Pick<Manifest, "backup" | "attempt">;

/** The keys that were added to a backup, by name. @throws ZferryError the store's codes */
export async function readAddedKeys(store: Store, { backup, attempt }: Backup, signal: AbortSignal): Promise<readonly AddedKey[]> {
  const found: AddedKey[] = [];
  for await (const { key, sizeBytes } of store.list(addedKeysPrefix(backup, attempt), { signal })) {
    const name = nameOfAddedKey(key);
    if (name === null || sizeBytes > maxAddedKeyBytes) continue;
    const tooLong = () => new ZferryError("store-failed", `"${key}" is longer than the store says`);
    found.push({ name, packets: await gather(store.get(key, { signal }), maxAddedKeyBytes, tooLong) });
    if (found.length === maxAddedKeys) break;
  }
  return found;
}

/**
 * The session key of a backup, by the packets of its manifest or else by keys that were added.
 *
 * @param without - the name of an added key that is not to be tried
 * @throws ZferryError as `openSessionKey` does, and the store's codes
 */
export async function sessionKeyOf(
  store: Store,
  { backup, attempt, encryption }: Pick<Manifest, "backup" | "attempt" | "encryption">,
  { keyring, signal, without = null }: { readonly keyring: Keyring; readonly signal: AbortSignal; readonly without?: string | null },
): Promise<Buffer> {
  const { sessionKeyPackets, keyCheck } = encryption;
  try {
    return await openSessionKey(Buffer.from(sessionKeyPackets ?? "", "base64"), keyring, keyCheck);
  } catch (error) {
    if (!isZferryError(error, "key-missing", "key-wrong") || keyring.passphrases.length + keyring.privateKeys.length === 0) throw error;
    const added = await readAddedKeys(store, { backup, attempt }, signal).catch((failure: unknown) => {
      throw isZferryError(failure, "store-denied") ? error : failure; // who may not list has what the manifest has
    });
    for (const { name, packets } of added) {
      const sessionKey = name === without ? null : await opened(packets, keyring, keyCheck);
      if (sessionKey !== null) return sessionKey;
    }
    throw error;
  }
}

/** Null when nothing in the keyring opens it, or there is nothing that could be opened. */
export async function opened(packets: Buffer, keyring: Keyring, keyCheck: string | null): Promise<Buffer | null> {
  try {
    return await openSessionKey(packets, keyring, keyCheck);
  } catch (error) {
    if (isZferryError(error, "key-missing", "key-wrong", "message-invalid")) return null;
    throw error;
  }
}

/** As they are. @throws ZferryError the codes of both stores */
export async function copyAddedKeys(from: Store, to: Store, manifest: Backup, signal: AbortSignal): Promise<void> {
  for (const { name, packets } of await readAddedKeys(from, manifest, signal)) {
    await to.put(addedKeyKey(manifest.backup, manifest.attempt, name), packets, { when: "replace", signal });
  }
}
