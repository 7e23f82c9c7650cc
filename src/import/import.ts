/**
 * `zferry import`: what ZFS2Cloud (or `zfs send | gpg -c | split`) has stored becomes backups like any other.
 *
 *   list the source → open each message as far as its first record → each dataset alone: read all of it → chunks, note, manifest
 *
 * The ciphertext stays what it is, and so does what opens it. Every message is read twice: once to find that it is whole and to
 * take its digests, before anything is written, and once to be copied against them. The manifest is written by whoever imports,
 * and its seal vouches for no time before that (`docs/adr/0012-import.md`).
 */
import { createHash } from "node:crypto";
import { alone, type Guard } from "../alone.ts";
import { type Catalog, readCatalog } from "../catalog.ts";
import { rememberWritten } from "../catalog-cache.ts";
import { commit, describe, sealed } from "../commit.ts";
import { copyChunk, refuseTooLarge } from "../download.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import type { BackupEntry } from "../format/entry.ts";
import { type Attempt, attemptPrefix, manifestKey, restoreNoteKey } from "../format/layout.ts";
import type { ChunkEntry, Manifest } from "../format/manifest.ts";
import { restoreNote } from "../format/restore-note.ts";
import type { Keyring } from "../openpgp/session.ts";
import { refuseContinuation } from "../put.ts";
import type { Store } from "../store/store.ts";
import { removeUnfinished } from "../unfinished.ts";
import { type DatasetName, datasetOf, type Guid, parseSnapshotName, type SnapshotName } from "../zfs/names.ts";
import { asStore } from "./as-store.ts";
import { cutSizes } from "./cut-sizes.ts";
import { type Beginning, examine, readBeginning } from "./examine.ts";
import { checkCut, type CutMessage, findMessages } from "./messages.ts";

export interface ImportRequest {
  readonly source: Store;
  readonly to: Store;
  readonly keyring: Keyring;
  readonly concurrency: number;
  readonly stateDir: string;
  /** How long the lease may go without a renewal; null for no lease (`alone.ts`). */
  readonly leaseMs: number | null;
  /** Only open them and tell what they are. */
  readonly isDryRun: boolean;
  readonly progress: {
    /** Bytes of all messages, once they are known. */
    readonly onFound: (bytes: number) => void;
    /** Bytes read since the last call; each is read twice. */
    readonly onRead: (bytes: number) => void;
    readonly warn: (text: string) => void;
  };
  readonly signal: AbortSignal;
}

/** What became of one message. */
export interface ImportedMessage extends Pick<CutMessage, "folder" | "stem" | "sizeBytes"> {
  readonly fate: "imported" | "would-import" | "there" | "failed";
  readonly fileCount: number;
  /** What its stream says it is; null when it could not be opened. */
  readonly what: { readonly backup: SnapshotName; readonly guid: Guid | null; readonly baseGuid: Guid | null } | null;
  /** Why it failed; null for all others. */
  readonly error: ZferryError | null;
}

/** What says something of one message and nothing of the stores. */
const ownFailures = ["chunk-invalid", "message-invalid", "stream-invalid", "key-missing", "key-wrong", "size-limits", "backup-conflict", "manifest-invalid", "format-too-new"] as const;

interface Opened extends Beginning {
  readonly message: CutMessage;
  readonly backup: SnapshotName;
}

/**
 * Imports every message of the source; one that fails fails by itself.
 *
 * @returns one for each message, by dataset and age
 * @throws ZferryError `usage` when there is none, `locked`, and the codes of both stores; what was imported until then is whole
 */
export async function importMessages(request: ImportRequest): Promise<readonly ImportedMessage[]> {
  const { source, to, progress, signal } = request;
  if (source.url === to.url) throw new ZferryError("usage", `"${source.url}" cannot be imported into itself`, { hint: "give --store another folder or prefix" });
  const messages = await findMessages(source, signal);
  if (messages.length === 0) {
    throw new ZferryError("backup-not-found", `there is no file NAME@SNAPSHOT.zfs.gpg.0000 in "${source.url}"`, {
      hint: "give the folder that has one folder per snapshot, as ZFS2Cloud's intermediate_basedir or its remote",
    });
  }
  progress.onFound(messages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
  const done: ImportedMessage[] = [];
  const byDataset = new Map<DatasetName, Opened[]>();
  for (const message of messages) {
    const opened = await trying(message, null, () => open(request, message));
    if ("fate" in opened) done.push(opened);
    else byDataset.set(datasetOf(opened.backup), [...(byDataset.get(datasetOf(opened.backup)) ?? []), opened]);
  }
  for (const [dataset, all] of [...byDataset].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const ordered = all.sort(byBirth);
    if (request.isDryRun) done.push(...(await importAll(request, ordered, null)));
    else done.push(...(await alone({ ...request, store: to }, dataset, (guard) => importAll({ ...request, signal: guard.signal }, ordered, guard))));
  }
  return done;
}

/** By the time of the snapshot; of two messages of one snapshot the full comes first. */
function byBirth(a: Opened, b: Opened): number {
  const age = a.begin.creationTime.getTime() - b.begin.creationTime.getTime();
  return age !== 0 ? age : Number(a.begin.fromGuid !== null) - Number(b.begin.fromGuid !== null);
}

async function open({ source, keyring, progress, signal }: ImportRequest, message: CutMessage): Promise<Opened> {
  checkCut(message);
  const beginning = await readBeginning(message, { source, keyring, onRead: progress.onRead, signal });
  refuseContinuation(beginning.begin);
  return { ...beginning, message, backup: backupIn(beginning) };
}

/** @throws ZferryError `stream-invalid`, because the name is the stream's */
function backupIn({ begin }: Beginning): SnapshotName {
  try {
    return parseSnapshotName(begin.toName);
  } catch (error) {
    throw new ZferryError("stream-invalid", `the send stream is of "${begin.toName}", which is no snapshot's name`, { cause: error });
  }
}

/** @param guard - null in a dry run */
async function importAll(request: ImportRequest, all: readonly Opened[], guard: Guard | null): Promise<ImportedMessage[]> {
  const { to, stateDir, progress, signal } = request;
  const { backups, damaged } = await readCatalog(to, { dataset: null, stateDir, warn: progress.warn, signal });
  const held = [...backups];
  const done: ImportedMessage[] = [];
  for (const opened of all) {
    signal.throwIfAborted();
    done.push(
      await trying(opened.message, whatOf(opened), async () => {
        if (isThere(opened, { backups: held, damaged })) return outcome(opened, "there");
        if (guard === null) return outcome(opened, "would-import");
        held.push(await importOne(request, guard, opened, held));
        return outcome(opened, "imported");
      }),
    );
  }
  return done;
}

/** @throws ZferryError `backup-conflict` for another backup of the name, and what is wrong with its manifest */
function isThere({ backup, begin }: Opened, { backups, damaged }: Pick<Catalog, "backups" | "damaged">): boolean {
  const broken = damaged.find(({ key }) => key === manifestKey(backup));
  if (broken !== undefined) throw broken.error;
  const taken = backups.find((entry) => entry.backup === backup);
  if (taken === undefined) return false;
  if (begin.toGuid === null || taken.guid === begin.toGuid) return true;
  throw new ZferryError("backup-conflict", `"${backup}" is in the store already, with guid ${taken.guid} and not ${begin.toGuid}`, {
    hint: "nothing was overwritten; import into another store or prefix",
  });
}

async function importOne(request: ImportRequest, guard: Guard, opened: Opened, held: readonly BackupEntry[]): Promise<BackupEntry> {
  const { source, to, concurrency, progress, signal } = request;
  const { message, backup, lock } = opened;
  const startedAt = new Date();
  const sizes = cutSizes(checkCut(message), message.files.length);
  refuseTooLarge(to, { backup, chunks: message.files.map(({ sizeBytes }) => ({ sizeBytes, sha256: "", marks: [] })) });
  const { stream, chunks } = await examine(message, opened, sizes.markBytes, { ...request, onRead: progress.onRead });
  const attempt = { id: attemptOf(chunks), startedAt, lock };
  const settings = { packet: opened.packet, chunkBytes: sizes.chunkBytes, partBytes: sizes.markBytes };
  const baseBackup = (guid: Guid): SnapshotName | null => held.find((entry) => entry.guid === guid)?.backup ?? null;
  const cargo = { backup, createTxg: null, flags: null, baseBackup };
  const manifest: Manifest = { ...describe({ cargo, settings, stream, attempt, chunks }), imported: { from: message.stem } };
  if (manifest.base?.backup === null) progress.warn(`the snapshot that "${backup}" starts from (guid ${manifest.base.guid}) is not in "${to.url}": without it this one cannot be restored`);
  const { file, entry } = sealed(manifest, lock);
  await removeUnfinished(to, attemptPrefix(backup, attempt.id), { warn: progress.warn, signal });
  const moving = { from: asStore(source, message, manifest), to, concurrency, onFetched: progress.onRead, signal };
  for (const [index, chunk] of chunks.entries()) {
    guard.throwIfOver();
    await copyChunk(moving, manifest, index, chunk);
  }
  await to.put(restoreNoteKey(backup, attempt.id), Buffer.from(restoreNote(manifest)), { when: "replace", signal });
  await guard.check();
  signal.throwIfAborted();
  const { etag, sizeBytes } = await commit(to, { manifest, file, attempt: { id: attempt.id, journal: null } }, progress.warn, signal);
  await rememberWritten(to, { stateDir: request.stateDir, warn: progress.warn }, { etag, sizeBytes, entry });
  return entry;
}

/** Made of the message itself, so that an import that was cut off finds what it has stored. */
function attemptOf(chunks: readonly ChunkEntry[]): Attempt {
  const hash = createHash("sha256");
  for (const { sha256 } of chunks) hash.update(sha256);
  return hash.digest("hex").slice(0, 8);
}

function whatOf({ backup, begin }: Opened): ImportedMessage["what"] {
  return { backup, guid: begin.toGuid, baseGuid: begin.fromGuid };
}

function outcome(opened: Opened, fate: "imported" | "would-import" | "there"): ImportedMessage {
  return { ...told(opened.message), fate, what: whatOf(opened), error: null };
}

function told({ folder, stem, sizeBytes, files }: CutMessage): Pick<ImportedMessage, "folder" | "stem" | "sizeBytes" | "fileCount"> {
  return { folder, stem, sizeBytes, fileCount: files.length };
}

async function trying<T>(message: CutMessage, what: ImportedMessage["what"], work: () => Promise<T>): Promise<T | ImportedMessage> {
  try {
    return await work();
  } catch (error) {
    if (!isZferryError(error, ...ownFailures)) throw error;
    return { ...told(message), fate: "failed", what, error };
  }
}
