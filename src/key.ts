/**
 * `zferry key`: who can open the backups that there are, one more who can, one less.
 *
 * A key is added by wrapping a backup's session key once more, in an object of its own; its data is neither fetched nor sent.
 * Only what was added can be removed: the packets in the first chunk are part of the message that every digest covers (ADR 14).
 */
import { type AddedKey, maxAddedKeys, opened, readAddedKeys, sessionKeyOf } from "./added-keys.ts";
import { fetchListed, openManifest } from "./catalog.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import type { BackupEntry } from "./format/entry.ts";
import { addedKeyKey } from "./format/layout.ts";
import type { Manifest } from "./format/manifest.ts";
import { areHolders, holdersOf, type KeyHolder } from "./openpgp/candidates.ts";
import { type Keyring, type Recipients, wrapSessionKey } from "./openpgp/session.ts";
import type { Store } from "./store/store.ts";

/** Who can open one backup. */
export interface HeldKey {
  /** Of a key that was added; null for those the backup was made with. */
  readonly name: string | null;
  readonly holders: readonly KeyHolder[];
}

export interface KeyOutcome {
  readonly entry: BackupEntry;
  readonly outcome: "added" | "there" | "would-go" | "removed" | "nothing" | "failed";
  /** Why it failed; null for all others. */
  readonly error: ZferryError | null;
}

interface Place {
  readonly store: Store;
  readonly signal: AbortSignal;
}

/** The session keys of AES-256, for which packets can be made. */
const sessionKeyBytes = 32;

/** What says something of one backup and nothing of the store. */
const ownFailures = ["key-missing", "key-wrong", "manifest-invalid", "message-invalid", "format-too-new", "backup-not-found", "backup-conflict", "size-limits", "usage"] as const;

/** Who can open a backup: those it was made for, then what was added. None for one without encryption and key. */
export async function keysOf({ store, signal }: Place, entry: BackupEntry): Promise<readonly HeldKey[]> {
  const { manifest } = await fetchListed(store, entry, signal);
  const { sessionKeyPackets } = manifest.encryption;
  const own = sessionKeyPackets === null ? [] : [{ name: null, holders: await holdersOf(Buffer.from(sessionKeyPackets, "base64")) }];
  const added = await readAddedKeys(store, manifest, signal);
  return [...own, ...(await Promise.all(added.map(async ({ name, packets }) => ({ name, holders: await holdersIn(packets) }))))];
}

/** None where the object holds no packets: it opens nothing, and can be removed. */
async function holdersIn(packets: Buffer): Promise<readonly KeyHolder[]> {
  try {
    return await holdersOf(packets);
  } catch (error) {
    if (isZferryError(error, "message-invalid")) return [];
    throw error;
  }
}

export interface AddRequest extends Place {
  readonly name: string;
  /** Opens the backups. */
  readonly keyring: Keyring;
  /** Is to open them from now on. */
  readonly recipients: Recipients;
}

/** Adds a key to one backup. Create-only, so that nothing is ever overwritten; again it finds what is there. */
export async function addKey(request: AddRequest, entry: BackupEntry): Promise<KeyOutcome> {
  const { store, name, keyring, recipients, signal } = request;
  return telling(entry, async () => {
    const { manifest, sessionKey, isAuthentic } = await openManifest(store, await fetchListed(store, entry, signal), keyring, signal);
    if (sessionKey === null || !isAuthentic) throw new ZferryError("key-missing", `"${entry.backup}" was stored without any key, and needs none`);
    if (sessionKey.length !== sessionKeyBytes) {
      throw new ZferryError("usage", `"${entry.backup}" was imported with a key of ${sessionKey.length * 8} bits, beside which no other can be put`);
    }
    const added = await readAddedKeys(store, manifest, signal);
    const taken = added.find((one) => one.name === name);
    if (taken !== undefined) return sameOrTaken(taken, request, manifest);
    if (added.length >= maxAddedKeys) throw new ZferryError("size-limits", `"${entry.backup}" has ${maxAddedKeys} added keys, and there is no room for more`);
    const packets = await wrapSessionKey(sessionKey, recipients, manifest.encryption.packet === "rfc9580" ? "rfc9580" : "ocb");
    await store.put(addedKeyKey(manifest.backup, manifest.attempt, name), packets, { when: "create", signal });
    return "added";
  });
}

/** A passphrase tells whether it is the same by opening it, and a certificate by the ids of its keys. */
async function sameOrTaken({ name, packets }: AddedKey, { recipients }: AddRequest, { backup, encryption }: Manifest): Promise<"there"> {
  const keyrings = recipients.passphrases.map((passphrase) => ({ passphrases: [passphrase], privateKeys: [] }));
  const isOpened = await Promise.all(keyrings.map((keyring) => opened(packets, keyring, encryption.keyCheck)));
  const holders = await holdersIn(packets);
  const isSame = isOpened.every((key) => key !== null) && (await areHolders(recipients.certificates, holders));
  if (isSame && holders.length > 0) return "there";
  throw new ZferryError("backup-conflict", `"${backup}" has an added key "${name}" already, and it is another one`, {
    hint: "take another name, or remove that one first: zferry key remove",
  });
}

export interface RemoveRequest extends Place {
  readonly name: string;
  /** Must open the backup without the key that goes. */
  readonly keyring: Keyring;
  /** Only look. */
  readonly isDryRun: boolean;
}

/** Removes an added key from one backup, unless nothing else that was given opens it. */
export async function removeKey({ store, name, keyring, isDryRun, signal }: RemoveRequest, entry: BackupEntry): Promise<KeyOutcome> {
  return telling(entry, async () => {
    const { manifest } = await fetchListed(store, entry, signal);
    const key = addedKeyKey(manifest.backup, manifest.attempt, name);
    if ((await store.head(key, { signal })) === null) return "nothing";
    await sessionKeyOf(store, manifest, { keyring, signal, without: name });
    if (isDryRun) return "would-go";
    await store.delete([key], { signal });
    return "removed";
  });
}

async function telling(entry: BackupEntry, work: () => Promise<Exclude<KeyOutcome["outcome"], "failed">>): Promise<KeyOutcome> {
  try {
    return { entry, outcome: await work(), error: null };
  } catch (error) {
    if (!isZferryError(error, ...ownFailures)) throw error;
    return { entry, outcome: "failed", error };
  }
}
