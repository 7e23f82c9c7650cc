/**
 * One name of a tree becomes an entry of the list: a file's content is sent, unless an earlier run has sent it as it is.
 */
import type { BigIntStats } from "node:fs";
import { readlink } from "node:fs/promises";
import { type ByteSource, TiB } from "../bytes.ts";
import { type FilesPlace, objectKey, type RunId } from "../format/file-layout.ts";
import type { FileEntry, RunKey, TreeEntry } from "../format/file-list.ts";
import { pathText } from "../format/file-path.ts";
import type { NotedObject, ObjectKey, Store, StoredObject, UploadOptions } from "../store/store.ts";
import { bytesOf, type Content, Digested, hasChanged, openContent } from "./content.ts";
import { type ListedEntry, objectPathOf } from "./list-file.ts";
import type { Packer } from "./packing.ts";
import { type Found, type Missed, missed } from "./walk.ts";

/** A store that keeps notes beside objects. */
export interface NotingStore extends Store {
  upload(options: UploadOptions): Promise<StoredObject>;
  noted(key: ObjectKey, options: { readonly signal: AbortSignal }): Promise<NotedObject | null>;
}

export interface Sending {
  readonly store: NotingStore;
  readonly place: FilesPlace;
  readonly run: RunId;
  readonly packer: Packer;
  /** Parts of one file in flight. */
  readonly inFlight: number;
  readonly onSent: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** An entry, and the key of the run that has sent its content where that was an earlier one. */
export interface Sent {
  readonly kind: "sent";
  readonly entry: TreeEntry;
  readonly key: RunKey | null;
  /** What was sent of it now; null for nothing. */
  readonly sentBytes: number | null;
}

/** What is known beforehand of a file. */
export interface Known {
  /** Of this path, in lists of earlier runs; the likeliest first. */
  readonly before: readonly ListedEntry[];
  /** What became of another name of the same file, earlier in the tree; null for a file with one name, or the first of its names. */
  readonly first: Promise<Sent | Missed> | null;
}

/**
 * The longest file: its parts, and the memory they take, grow to at most so many times what the store was opened with. Any user
 * can make a file of petabytes without a byte in it.
 */
const maxGrowth = 8;
/** 5 TiB is what every provider takes, less what encrypting adds. */
const maxFileBytes = 4.99 * TiB;

/** Names of the notes beside objects. */
const [mtimeNote, sizeNote] = ["zferry-mtime", "zferry-size"];

/** @throws the store's codes, and what else is no refusal of the kernel */
export async function entryOf(found: Found, known: Known, sending: Sending): Promise<Sent | Missed> {
  const { path, stat } = found;
  const text = pathText(path);
  if (stat.isDirectory()) return plain({ type: "folder", ...aboutOf(text, stat) });
  if (stat.isFile()) return fileOf(found, known, sending);
  if (!stat.isSymbolicLink()) return plain({ type: "other", path: text, what: stat.isFIFO() ? "pipe" : stat.isSocket() ? "socket" : "device" });
  try {
    const target = await readlink(found.folder.path(found.name), { encoding: "buffer" });
    return plain({ type: "symlink", ...aboutOf(text, stat), target: target.toString("base64") });
  } catch (error) {
    return missed(path, error);
  }
}

function plain(entry: TreeEntry): Sent {
  return { kind: "sent", entry, key: null, sentBytes: null };
}

function aboutOf(path: string, stat: BigIntStats): { path: string; mode: number; uid: number; gid: number; mtime: string } {
  return { path, mode: Number(stat.mode & 0o7777n), uid: Number(stat.uid), gid: Number(stat.gid), mtime: String(stat.mtimeNs) };
}

async function fileOf(found: Found, { before, first }: Known, sending: Sending): Promise<Sent | Missed> {
  const twin = await first;
  if (twin?.kind === "sent" && twin.entry.type === "file") return linkTo(twin.entry, pathText(found.path), twin.key);
  if (found.stat.size > 0n) {
    for (const listed of before) {
      const sent = await unchanged(found, listed, sending);
      if (sent !== null) return sent;
    }
  }
  return sendFile(found, sending);
}

function linkTo(first: FileEntry, path: string, key: RunKey | null): Sent {
  const object = first.object === null ? null : { ...first.object, at: objectPathOf(first) };
  return { kind: "sent", key, sentBytes: null, entry: { ...first, path, linkTo: first.path, object } };
}

/**
 * The entry for a file that is as it was: by its size and time in the list, and by those that were noted beside the object,
 * which is there. Null when it is not, or is packed in another way than it would be now.
 */
async function unchanged({ path, stat }: Found, { entry, key }: ListedEntry, { store, place, packer, signal }: Sending): Promise<Sent | null> {
  if (entry.type !== "file" || entry.object === null || key === null || entry.changed === true) return null;
  if (BigInt(entry.sizeBytes) !== stat.size || entry.mtime !== String(stat.mtimeNs)) return null;
  if ((key.packet === "none") !== (packer.packing.packet === "none")) return null;
  const { object } = entry;
  const at = objectPathOf(entry);
  const there = await store.noted(objectKey(place, object.run, at), { signal });
  if (there?.sizeBytes !== object.sizeBytes || there.notes[mtimeNote] !== entry.mtime || there.notes[sizeNote] !== String(entry.sizeBytes)) return null;
  const text = pathText(path);
  const { run, sizeBytes, sha256 } = object;
  const where = { run, ...(at === text ? {} : { at }), sizeBytes, sha256 };
  return { kind: "sent", key, sentBytes: null, entry: fileEntry(text, stat, { object: where, sizeBytes: entry.sizeBytes }) };
}

function fileEntry(path: string, stat: BigIntStats, more: Pick<FileEntry, "object" | "sizeBytes" | "changed">): FileEntry {
  return { type: "file", ...aboutOf(path, stat), ...more, ...(stat.blocks * 512n < stat.size ? { sparse: true } : {}), ...(stat.nlink > 1n ? { linked: true } : {}) };
}

async function sendFile(found: Found, sending: Sending): Promise<Sent | Missed> {
  let content: Content | null;
  try {
    content = await openContent(found);
  } catch (error) {
    return missed(found.path, error);
  }
  if (content === null) return { kind: "vanished", path: found.path, why: "another file has taken its name" };
  try {
    return await sendContent(found, content, sending);
  } finally {
    await content.handle.close();
  }
}

/** What reading the file failed of is the file's own, and no failure of the store. */
interface Reading {
  bytes: number;
  failure: { readonly error: unknown } | null;
}

async function sendContent({ path }: Found, content: Content, sending: Sending): Promise<Sent | Missed> {
  const { store, place, run, packer, inFlight, onSent, signal } = sending;
  const { stat } = content;
  const text = pathText(path);
  if (stat.size === 0n) return plain(fileEntry(text, stat, { object: null, sizeBytes: 0 }));
  if (Number(stat.size) > Math.min(maxFileBytes, maxGrowth * store.limits.maxObjectBytes)) return { kind: "unreadable", path, why: "EFBIG" };
  const key = objectKey(place, run, text);
  const reading: Reading = { bytes: 0, failure: null };
  const digested = new Digested();
  try {
    const body = digested.through(packer.pack(read(content, reading)));
    await store.upload({ key, body, notes: notesOf(stat), expectedBytes: Number(stat.size), inFlight, signal });
  } catch (error) {
    if (reading.failure !== null) return missed(path, reading.failure.error);
    throw error;
  }
  const changed = (await hasChanged(content, reading)) ? ({ changed: true } as const) : {};
  const { sizeBytes } = digested;
  onSent(sizeBytes);
  if (sizeBytes === 0) await store.delete([key], { signal }); // it was emptied at this moment
  const object = sizeBytes === 0 ? null : { run, sizeBytes, sha256: digested.sha256 };
  return { kind: "sent", key: { type: "key", run, ...packer.packing }, sentBytes: sizeBytes, entry: fileEntry(text, stat, { object, sizeBytes: reading.bytes, ...changed }) };
}

async function* read(content: Content, reading: Reading): ByteSource {
  try {
    yield* bytesOf(content, reading);
  } catch (error) {
    reading.failure = { error };
    throw error;
  }
}

function notesOf(stat: BigIntStats): Record<string, string> {
  return { [mtimeNote]: String(stat.mtimeNs), [sizeNote]: String(stat.size) };
}
