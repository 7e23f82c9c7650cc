/**
 * The file sample of level `receive`: some files of what was received, compared with the source's snapshot by SHA-256.
 *
 * Files are read as files, so both file systems must be mounted where zferry runs: the received one is mounted for that
 * moment, read-only, in a folder only this user can enter; the source's snapshot is found under `.zfs/snapshot`. Where
 * that cannot be (the snapshot is gone, zfs is on another machine, a volume, a key that is not loaded) it is said and
 * nothing is compared. A drill reads the files that were received all the same.
 */
import { createHash } from "node:crypto";
import { constants, createReadStream, type Dirent } from "node:fs";
import { mkdtemp, opendir, rmdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isZferryError, ZferryError } from "../errors.ts";
import type { BackupEntry } from "../format/entry.ts";
import { type Finding, finding } from "./findings.ts";
import { runZfs, type Zfs } from "../zfs/command.ts";
import { readDataset } from "../zfs/inventory.ts";
import { isHere } from "../zfs/pool.ts";
import { type DatasetName, datasetOf, shortNameOf, type SnapshotName } from "../zfs/names.ts";
import { readProperties, valueOf } from "../zfs/properties.ts";

/** What to compare. The same seed picks the same files of the same backup. */
export interface SampleRequest {
  readonly fileCount: number;
  readonly seed: string;
  /** Whether files are read, and their digests noted, too where there is nothing to compare them with. False when left out. */
  readonly isReadAnyway?: boolean;
}

/** A file of the received dataset, read to its end. */
export interface SampledFile {
  /** What is no UTF-8 in it is shown as U+FFFD. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly isCompared: boolean;
}

export interface Sample {
  readonly backup: SnapshotName;
  readonly seed: string;
  /** Files compared. */
  readonly fileCount: number;
  /** Why none could be; null when they were. */
  readonly obstacle: string | null;
  /** Those that were read in what was received. */
  readonly files: readonly SampledFile[];
}

/** How long mounting and unmounting may take, whether or not the run is stopped meanwhile: one that is killed may be mounted. */
const mountTimeoutMs = 60_000;

/**
 * Compares files of `into`, which holds the received backup and is not mounted.
 *
 * @throws `signal.reason`; otherwise what stands in the way is told in {@link Sample.obstacle}
 */
export async function compareSample(
  { zfs, into }: { readonly zfs: Zfs; readonly into: DatasetName },
  entry: BackupEntry,
  { fileCount, seed, isReadAnyway = false }: SampleRequest,
  signal: AbortSignal,
): Promise<{ readonly sample: Sample; readonly findings: Finding[] }> {
  const none = { backup: entry.backup, seed, fileCount: 0, files: [] };
  const missing: string[] = [];
  try {
    const source = await sourceFolder(zfs, entry, signal).catch((error: unknown) => {
      if (!isReadAnyway) throw error;
      missing.push(obstacleOf(error, signal));
      return null;
    });
    if (source === null && !isHere(zfs)) throw new Obstacle("zfs is on another machine");
    return await withMounted({ zfs, into }, signal, async (folder) => {
      const chosen = await chooseFiles(folder, { fileCount, seed }, signal);
      const { files, findings } = await readFiles(source, folder, chosen, signal);
      return { sample: { ...none, fileCount: source === null ? 0 : chosen.length, obstacle: missing[0] ?? null, files }, findings };
    });
  } catch (error) {
    const why = [...missing, obstacleOf(error, signal)].join("; and nothing could be read: ");
    return { sample: { ...none, obstacle: why }, findings: [] };
  }
}

/** @throws what is no obstacle; `signal.reason` */
function obstacleOf(error: unknown, signal: AbortSignal): string {
  signal.throwIfAborted();
  if (error instanceof Obstacle || isZferryError(error)) return error.message;
  throw error;
}

/** Why no files can be compared; never leaves this file. */
class Obstacle extends Error {}

/** The folder of the source's snapshot, whatever it is called by now. */
async function sourceFolder(zfs: Zfs, { backup, guid, streamKind }: BackupEntry, signal: AbortSignal): Promise<string> {
  const name = datasetOf(backup);
  if (streamKind === "compound") throw new Obstacle("it is a package of several snapshots");
  const dataset = await readDataset(zfs, name, { signal });
  const snapshot = dataset?.snapshots.find((one) => one.guid === guid);
  if (dataset?.type === "volume") throw new Obstacle(`"${name}" is a volume, which has no files`);
  if (snapshot === undefined) throw new Obstacle(`its snapshot is not on the pool any more`);
  const properties = await readProperties(zfs, ["mountpoint", "mounted"], name, { signal });
  const mountpoint = valueOf(properties, name, "mountpoint");
  if (valueOf(properties, name, "mounted") !== "yes" || !mountpoint.startsWith("/")) throw new Obstacle(`"${name}" is not mounted`);
  const folder = join(mountpoint, ".zfs", "snapshot", shortNameOf(snapshot.name));
  try {
    await (await opendir(folder)).close();
    return folder;
  } catch (error) {
    throw new Obstacle(`the snapshot's folder "${folder}" cannot be read from here: ${codeOf(error)}`);
  }
}

/** Mounts the dataset for as long as `work` takes, which is over when this returns or throws. */
async function withMounted<T>({ zfs, into }: { zfs: Zfs; into: DatasetName }, signal: AbortSignal, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "zferry-verify-")); // mode 0700
  try {
    const { dev } = await stat(folder);
    // In two steps: with canmount=noauto the new mountpoint mounts nothing.
    await runZfs(zfs, ["set", "canmount=noauto", "readonly=on", "setuid=off", "devices=off", "exec=off", into], { signal });
    await runZfs(zfs, ["set", `mountpoint=${folder}`, into], { signal });
    signal.throwIfAborted();
    await runZfs(zfs, ["mount", into], { signal: AbortSignal.timeout(mountTimeoutMs) });
    const unmount = (): Promise<string> => runZfs(zfs, ["unmount", into], { signal: AbortSignal.timeout(mountTimeoutMs) });
    const result = await workIn(folder, dev, signal, work).catch(async (error: unknown) => {
      await unmount().catch(() => undefined); // it is destroyed next, which says so if it cannot be
      throw error;
    });
    await unmount();
    return result;
  } finally {
    await rmdir(folder).catch(() => undefined); // still mounted: the error on its way up says so
  }
}

/** @param emptyDev - the device of the folder before anything was mounted on it */
async function workIn<T>(folder: string, emptyDev: number, signal: AbortSignal, work: (folder: string) => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  if ((await stat(folder)).dev === emptyDev) throw new Obstacle("its file system is not mounted where zferry runs: zfs is on another machine");
  return work(folder);
}

/**
 * The files whose SHA-256 of seed and path is lowest: as good as a throw of dice, the same for the same seed whatever the
 * order of folders. Follows no link and reads no special file. Memory: a path for each file chosen and for each folder
 * to come. Paths are latin1: one character a byte, since names need not be text.
 */
export async function chooseFiles(root: string, { fileCount, seed }: SampleRequest, signal: AbortSignal): Promise<string[]> {
  const chosen: { readonly path: string; readonly rank: string }[] = [];
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const entry of entriesOf(place(root, folder))) {
      signal.throwIfAborted();
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) folders.push(path);
      if (!entry.isFile()) continue;
      const rank = createHash("sha256").update(`${seed}\0${path}`, "latin1").digest("hex");
      if (chosen.length === fileCount && rank >= (chosen.at(-1)?.rank ?? "")) continue;
      chosen.push({ path, rank });
      chosen.sort((a, b) => (a.rank < b.rank ? -1 : 1)).splice(fileCount);
    }
  }
  return chosen.map(({ path }) => path);
}

/** @throws ZferryError `zfs-failed` for one that cannot be read: of another user, where zfs is run by sudo, or damaged */
async function* entriesOf(folder: Buffer): AsyncGenerator<Dirent> {
  try {
    yield* await opendir(folder, { encoding: "latin1" as BufferEncoding });
  } catch (error) {
    throw new ZferryError("zfs-failed", `the folder "${folder.toString("utf8")}" cannot be read from here: ${codeOf(error)}`, { hint: "run as a user who may read all files", cause: error });
  }
}

function place(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);
}

/** A finding for each file that is not the same in both. */
export async function compareFiles(source: string, received: string, paths: readonly string[], signal: AbortSignal): Promise<Finding[]> {
  return (await readFiles(source, received, paths, signal)).findings;
}

/** Reads files of what was received, and compares each with the source's, where there is one. */
async function readFiles(
  source: string | null,
  received: string,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly files: SampledFile[]; readonly findings: Finding[] }> {
  const files: SampledFile[] = [];
  const findings: Finding[] = [];
  for (const path of paths) {
    const there = source === null ? null : await sumOf(place(source, path), signal);
    const here = await sumOf(place(received, path), signal);
    const name = Buffer.from(path, "latin1").toString("utf8");
    if (here.sha256 !== null) files.push({ path: name, sizeBytes: here.sizeBytes, sha256: here.sha256, isCompared: there !== null });
    if (there !== null && here.text !== there.text) {
      findings.push(finding("sample", `the file "${name}" is not what it is in the source's snapshot: ${here.text} in the backup, ${there.text} there`));
    } else if (there === null && here.sha256 === null) {
      findings.push(finding("sample", `the file "${name}" of the backup cannot be read: ${here.text}`));
    }
  }
  return { files, findings };
}

interface Summed {
  /** Null when it could not be read. */
  readonly sha256: string | null;
  readonly sizeBytes: number;
  /** `SHA-256 …`, or the word why it could not be read. */
  readonly text: string;
}

async function sumOf(path: Buffer, signal: AbortSignal): Promise<Summed> {
  let sizeBytes = 0;
  try {
    const hash = createHash("sha256");
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW;
    for await (const piece of createReadStream(path, { flags: flags as never, signal }) as AsyncIterable<Buffer>) {
      hash.update(piece);
      sizeBytes += piece.length;
    }
    const sha256 = hash.digest("hex");
    return { sha256, sizeBytes, text: `SHA-256 ${sha256}` };
  } catch (error) {
    signal.throwIfAborted();
    return { sha256: null, sizeBytes, text: codeOf(error) };
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
