/**
 * One backup, read at a level: opened as far as there is a key, and then as much of it as the level asks for.
 */
import { type Catalog, fetchListed, type OpenedBackup } from "../catalog.ts";
import { isZferryError, type ZferryError } from "../errors.ts";
import { chainTo } from "../format/chain.ts";
import type { BackupEntry } from "../format/entry.ts";
import { manifestKey } from "../format/layout.ts";
import { openListed, type ReadOptions } from "../get.ts";
import { ManifestReplaced } from "../manifest-replaced.ts";
import type { Store } from "../store/store.ts";
import type { VerifyLevel } from "../verified.ts";
import { type Finding, finding, replaced } from "./findings.ts";
import { checkReceive, type Scratch } from "./receive.ts";
import { checkDigests, checkStream, explainReading } from "./stream.ts";
import { stillFound } from "./survey.ts";

export interface ReadingRequest extends ReadOptions {
  readonly store: Store;
  readonly level: VerifyLevel;
  /** For level `receive`, and only for it. */
  readonly scratch: Scratch | null;
  readonly stateDir: string;
}

/** What is known of the backup before a chunk is read. */
interface Known {
  readonly findings: readonly Finding[];
  /** The backups its base may be looked for in. */
  readonly usable: Pick<Catalog, "backups">;
}

export interface Reading {
  /** What it was verified at: lower than wanted beyond the budget, without its key, and where its manifest is no use. */
  readonly level: VerifyLevel;
  readonly findings: readonly Finding[];
  /** Why it was not verified at the wanted level; null when it was, and when the budget or a finding stood in the way. */
  readonly obstacle: ZferryError | null;
  /** Whether a key vouched for the manifest. */
  readonly isSealChecked: boolean;
  /** Bytes of chunks that were read. */
  readonly bytes: number;
}

export function hasKey({ passphrases, privateKeys }: ReadOptions["keyring"]): boolean {
  return passphrases.length + privateKeys.length > 0;
}

/**
 * Null when the backup was removed meanwhile.
 *
 * @throws ZferryError the store's codes, and zfs' codes that say nothing of the backup
 */
export async function readBackup(request: ReadingRequest, entry: BackupEntry, known: Known): Promise<Reading | null> {
  const { store, signal } = request;
  let bytes = 0;
  const onFetched = (count: number): void => {
    bytes += count;
    request.onFetched(count);
  };
  const outcome = await readAt({ ...request, onFetched }, entry, known).catch((error: unknown): Outcome => {
    const unread = { level: "exists", obstacle: null, isSealChecked: false } as const;
    if (error instanceof ManifestReplaced) return { ...unread, findings: [replaced(error)] };
    if (!isZferryError(error, "backup-not-found")) throw error;
    return { ...unread, findings: [finding("base-missing", error.message)] };
  });
  const findings = await stillFound(store, entry, outcome.findings, signal);
  return findings === null ? null : { ...outcome, findings: [...known.findings, ...findings], bytes };
}

type Outcome = Omit<Reading, "bytes">;

async function readAt(request: ReadingRequest, entry: BackupEntry, known: Known): Promise<Outcome> {
  const { level, store, signal } = request;
  const bad = new Set(known.findings.flatMap(({ chunk }) => chunk ?? []));
  const opening = await open(request, entry);
  if (opening.kind === "open") return readOpened(request, entry, { backup: opening.backup, bad, usable: known.usable });
  const { manifest } = await fetchListed(store, entry, signal);
  const unsealed = { obstacle: null, isSealChecked: false };
  if (opening.kind === "broken") {
    // What is sealed is not to be decrypted; whether its chunks are there is still worth knowing.
    const digests = await checkDigests(store, manifest, bad, request);
    return { ...unsealed, level, findings: [opening.finding, ...digests] };
  }
  const isWithoutKey = !hasKey(request.keyring);
  if (isWithoutKey || level === "digest") {
    const findings = await checkDigests(store, manifest, bad, request);
    return { ...unsealed, level: "digest", findings, obstacle: isWithoutKey && level === "digest" ? null : opening.error };
  }
  return { ...unsealed, level: "exists", findings: [], obstacle: opening.error };
}

interface Opened {
  readonly backup: OpenedBackup;
  /** Chunks known to be bad. */
  readonly bad: ReadonlySet<number>;
  readonly usable: Pick<Catalog, "backups">;
}

async function readOpened(request: ReadingRequest, entry: BackupEntry, { backup, bad, usable }: Opened): Promise<Outcome> {
  const { level, store, scratch } = request;
  const sealed = { obstacle: null, isSealChecked: backup.isAuthentic };
  if (level === "digest") return { ...sealed, level, findings: await checkDigests(store, backup.manifest, bad, request) };
  const chain = chainTo(entry, usable);
  if (level === "stream" || scratch === null || typeof chain === "string" || bad.size > 0) {
    return { ...sealed, level: "stream", findings: await checkStream(store, backup, bad, request) };
  }
  const findings = await checkReceive({ ...request, scratch, chain }).catch((error: unknown) =>
    explainReading(error, store, backup.manifest, request),
  );
  return { ...sealed, level, findings };
}

type Opening =
  | { readonly kind: "open"; readonly backup: OpenedBackup }
  | { readonly kind: "no-key"; readonly error: ZferryError }
  /** The seal, or what it seals, is not what a holder of the key wrote. */
  | { readonly kind: "broken"; readonly finding: Finding };

/** @throws ZferryError `ManifestReplaced`, and what says nothing of the backup */
async function open(request: ReadingRequest, entry: BackupEntry): Promise<Opening> {
  try {
    return { kind: "open", backup: await openListed(request.store, entry, request) };
  } catch (error) {
    if (isZferryError(error, "key-missing", "key-wrong", "secret-unusable")) return { kind: "no-key", error };
    const isBroken = isZferryError(error, "manifest-invalid", "message-invalid") && !(error instanceof ManifestReplaced);
    if (!isBroken) throw error;
    return { kind: "broken", finding: finding("seal", error.message, manifestKey(entry.backup)) };
  }
}
