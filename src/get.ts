/**
 * `zferry get`: the stream of one backup, verified, for `zfs recv`, `zstream` or anything else to read.
 */
import { fetchListed, openBackup, type OpenedBackup, openManifest } from "./catalog.ts";
import { ZferryError } from "./errors.ts";
import { type Sources, sourcesOf } from "./fall-over.ts";
import type { BackupEntry } from "./format/entry.ts";
import { manifestKey } from "./format/layout.ts";
import type { Keyring } from "./openpgp/session.ts";
import { retrieve } from "./retrieve.ts";
import type { Pressure } from "./stream/pressure.ts";
import type { Store } from "./store/store.ts";
import type { SnapshotName } from "./zfs/names.ts";

/** How a backup is read, whatever it is read for. */
export interface ReadOptions {
  readonly keyring: Keyring;
  /** Take a backup nobody with a key vouches for, although there is a key. */
  readonly allowUnauthenticated: boolean;
  /** Ranges fetched at a time. */
  readonly concurrency: number;
  /** Worker threads for hashes and ciphers, 0 (the default) to 2. */
  readonly threads?: number;
  readonly onFetched: (bytes: number) => void;
  /** Told which end holds the other up. */
  readonly pressure?: Pressure;
  readonly warn: (text: string) => void;
  readonly signal: AbortSignal;
}

/**
 * The verified stream; its last 64 KiB come only once all of it was found right.
 *
 * @param from - a store, or several: the manifest is that of the first in which it is authentic
 * @throws ZferryError the codes of `openTrusted` and `retrieve`
 */
export async function* get(from: Store | Sources, backup: SnapshotName, options: ReadOptions): AsyncGenerator<Uint8Array> {
  for await (const slice of getLent(from, backup, options)) yield Buffer.from(slice);
}

/** The same, lent (`bytes.ts`), for whoever writes each slice away before it asks for the next. */
export async function* getLent(from: Store | Sources, backup: SnapshotName, options: ReadOptions): AsyncGenerator<Uint8Array> {
  const sources = sourcesOf(from);
  const search = sources.search({ backup, chunk: null, key: manifestKey(backup) });
  const opened = await search.first((store) => openTrusted(store, backup, options), options.signal);
  yield* retrieve(sources.preferring([search.store]), opened, options);
}

/**
 * Opens a backup's manifest, which somebody with a key must vouch for.
 *
 * @throws ZferryError the codes of `openBackup` and {@link trusted}
 */
async function openTrusted(store: Store, backup: SnapshotName, options: ReadOptions): Promise<OpenedBackup> {
  return trusted(await openBackup(store, backup, options.keyring, options.signal), options);
}

/**
 * The same for a backup that was chosen by an entry, which nobody has vouched for: from here on the entry is as good as
 * the manifest.
 *
 * @throws ZferryError the codes of `fetchListed`, `openManifest` and {@link trusted}
 */
export async function openListed(store: Store, listed: BackupEntry, options: ReadOptions): Promise<OpenedBackup> {
  return trusted(await openManifest(store, await fetchListed(store, listed, options.signal), options.keyring, options.signal), options);
}

/**
 * Refuses a manifest that only claims to need no key: whoever can write to the store could put an unsealed manifest in
 * the place of a sealed one.
 *
 * @throws ZferryError `manifest-invalid`
 */
export function trusted(opened: OpenedBackup, { keyring, allowUnauthenticated, warn }: Pick<ReadOptions, "keyring" | "allowUnauthenticated" | "warn">): OpenedBackup {
  const { isAuthentic, manifest: { backup } } = opened;
  if (isAuthentic) return opened;
  const hasKey = keyring.passphrases.length + keyring.privateKeys.length > 0;
  if (hasKey && !allowUnauthenticated) {
    throw new ZferryError("manifest-invalid", `"${backup}" is not sealed with any key, so nothing shows who wrote it`, {
      hint: "if it was stored with packet \"none\" and without a passphrase, give --allow-unauthenticated",
    });
  }
  warn(`"${backup}" is unauthenticated: damage would be found, a change by someone who can write to the store would not`);
  return opened;
}
