/** A run of the engine in miniature: recorded streams, small chunks, and a store that remembers what it was asked. */
import { readFileSync } from "node:fs";
import type { ByteSource } from "../src/bytes.ts";
import type { Cargo, FerrySettings } from "../src/cargo.ts";
import { beginAttempt, newKeys } from "../src/attempt.ts";
import { ferry } from "../src/ferry.ts";
import type { Manifest } from "../src/format/manifest.ts";
import type { Keyring } from "../src/openpgp/session.ts";
import type { Store } from "../src/store/store.ts";
import { parseSnapshotName, type SnapshotName } from "../src/zfs/names.ts";
import { recorded } from "./replay/forge.ts";
import { sliced, watched } from "./stream/sources.ts";

/** 473,200 bytes: a full of `tank/src@s1`. */
export const fullStream = recorded("full");

export const someBackup: SnapshotName = parseSnapshotName("tank/src@s1");

function armored(name: string): string {
  return readFileSync(new URL(`../fixtures/keys/${name}.asc`, import.meta.url), "utf8");
}

/** Without a passphrase to stretch, so that a run takes milliseconds. */
export const bob: FerrySettings["recipients"] = { passphrases: [], certificates: [armored("bob.public")] };
export const bobsKeyring: Keyring = { passphrases: [], privateKeys: [{ armored: armored("bob.private"), passphrase: null }] };

/** Eight chunks of 64 KiB for the full stream, marks and parts every 16 KiB. */
export const smallSettings: FerrySettings = { packet: "ocb", recipients: bob, chunkBytes: 64 * 1024, partBytes: 16 * 1024 };

export const never = new AbortController().signal;

/** The stream in slices no boundary falls together with. */
export function steadily(stream: Uint8Array): ByteSource {
  return watched(sliced(stream, 10_007)).source;
}

export interface Ferrying {
  readonly stream: Uint8Array;
  readonly cargo: Partial<Cargo>;
  readonly settings: Partial<FerrySettings>;
  readonly signal: AbortSignal;
  readonly onRead: (bytes: number) => void;
  readonly onStored: (bytes: number) => void;
  readonly warnings: string[];
  /** Where the attempt's journal is kept; none when left out. */
  readonly stateDir: string;
}

/** Stores the full stream, or what the options say. */
export async function ferrying(store: Store, options: Partial<Ferrying> = {}): Promise<Manifest> {
  const { stream = fullStream, signal = never, warnings = [] } = options;
  const cargo: Cargo = {
    backup: someBackup,
    open: () => steadily(stream),
    expect: {},
    onBegin: () => Promise.resolve(),
    baseBackup: () => null,
    beforeCommit: () => Promise.resolve(),
    isStillAlone: () => Promise.resolve(true),
    createTxg: null,
    flags: null,
    ...options.cargo,
  };
  const progress = {
    onRead: options.onRead ?? ((): void => undefined),
    onStored: options.onStored ?? ((): void => undefined),
    warn: (text: string): void => void warnings.push(text),
  };
  const settings = { ...smallSettings, ...options.settings };
  const { stateDir } = options;
  const rest = { storeUrl: store.url, backup: someBackup, send: null };
  const attempt =
    stateDir === undefined
      ? { ...(await newKeys(settings)), journal: null }
      : await beginAttempt(stateDir, { verb: "put", name: someBackup }, settings, rest);
  return ferry(store, { cargo, attempt }, settings, progress, signal);
}

/** The keys of all objects. */
export async function keysIn(store: Store): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list("", { signal: never })) keys.push(key);
  return keys;
}

export async function bytesOf(store: Store, key: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of store.get(key, { signal: never })) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
