/**
 * Where a drill restores to: a new dataset below one that was set aside for it, or a pool in a file of the state folder.
 * Whether there is room is looked at first: a drill must not fill the pool that live data is on.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { formatSize, MiB } from "../bytes.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { inStateFolder } from "../files.ts";
import type { BackupEntry } from "../format/entry.ts";
import { receivedOf } from "../verify/receive.ts";
import type { Zfs } from "../zfs/command.ts";
import { type DatasetName, parseDatasetName } from "../zfs/names.ts";
import { createFilePool, isHere, listPools, zpoolBeside } from "../zfs/pool.ts";
import { readProperties } from "../zfs/properties.ts";
import { clear, type Note, poolFileIn, writeNote } from "./notes.ts";

/** Of a pool in a file: what ZFS itself takes, and the smallest one. */
const poolOverheadBytes = 128 * MiB;
const minPoolBytes = 256 * MiB;
/** Blocks of a send stream can take more room than they have bytes. */
const poolFactor = 1.25;

export interface Place {
  readonly kind: "dataset" | "file-pool";
  /** The dataset to receive into; it is not there yet. */
  readonly into: DatasetName;
}

interface PlaceRequest {
  readonly zfs: Zfs;
  readonly stateDir: string;
  /** The dataset below which to receive; null for a pool in a file. */
  readonly parent: DatasetName | null;
  /** What is to be received. */
  readonly chain: readonly BackupEntry[];
  /** Told when all that was made is gone again. */
  readonly onGone: () => void;
  readonly signal: AbortSignal;
}

/** Bytes that the streams of a chain have: about what they take on a pool, for they are sent as they lie there. */
export function neededBytes(chain: readonly BackupEntry[]): number {
  return chain.reduce((sum, { streamBytes }) => sum + streamBytes, 0);
}

/** Bytes a dataset may still take; null where zfs does not say. */
export async function availableBytes(zfs: Zfs, dataset: DatasetName, signal: AbortSignal): Promise<number | null> {
  try {
    const value = Number((await readProperties(zfs, ["available"], dataset, { signal })).get("available")?.value);
    return Number.isFinite(value) ? value : null;
  } catch (error) {
    signal.throwIfAborted();
    if (isZferryError(error)) return null; // that it is not there is told by whoever receives into it
    throw error;
  }
}

/**
 * Runs `work` with a place to receive into, and takes away whatever it has come to hold, however `work` ends.
 *
 * @throws ZferryError `zfs-no-space` before anything is made; zfs' codes when it cannot be made, or not be taken away
 */
export async function withPlace<T>(request: PlaceRequest, work: (place: Place) => Promise<T>): Promise<T> {
  const { zfs, stateDir, parent, chain } = request;
  const id = randomBytes(4).toString("hex");
  const { guids, isPackage } = receivedOf(chain, { isOwnName: true });
  const note = { version: 1, id, command: [...zfs.command] as [string, ...string[]], guids, isPackage } as const;
  if (parent !== null) {
    await refuseTooLittle(request, parent);
    const into = parseDatasetName(`${parent}/zferry-drill-${id}`);
    return withNoted(request, { ...note, into, pool: null }, () => work({ kind: "dataset", into }));
  }
  if (!isHere(zfs)) {
    throw new ZferryError("usage", `"${zfs.command.join(" ")}" is on another machine, where no pool can be made in a file of this one`, {
      hint: "name a dataset to restore below, with --into or drill.into",
    });
  }
  const [file, name] = [poolFileIn(stateDir, id), parseDatasetName(`zferry-drill-${id}`)];
  const into = parseDatasetName(`${name}/restored`);
  await inStateFolder(`prepare "${dirname(file)}"`, () => mkdir(dirname(file), { recursive: true, mode: 0o700 }));
  await refuseFullDisk(file, chain);
  const zpool = zpoolBeside(zfs);
  await listPools(zpool, request); // where there is no zpool that answers, nothing could be taken away again either
  return withNoted(request, { ...note, into, pool: { name, file } }, async () => {
    await makeFile(file, Math.max(minPoolBytes, Math.ceil(neededBytes(chain) * poolFactor) + poolOverheadBytes));
    await createFilePool(zpool, name, file, request);
    return work({ kind: "file-pool", into });
  });
}

async function withNoted<T>({ stateDir, zfs, onGone }: PlaceRequest, note: Note, work: () => Promise<T>): Promise<T> {
  await writeNote(stateDir, note);
  let first: { readonly error: unknown } | null = null;
  try {
    return await work();
  } catch (error) {
    first = { error };
    throw error;
  } finally {
    await clear(stateDir, note, zfs).then(onGone, (error: unknown) => {
      throw first === null ? error : joined(first.error, error);
    });
  }
}

/** What went wrong first, with the word that something is left. */
function joined(first: unknown, second: unknown): unknown {
  if (!isZferryError(first)) return first;
  return new ZferryError(first.code, `${first.message}; and what the drill made is left: ${(second as Error).message}`, {
    hint: first.hint ?? "the next drill removes it",
    cause: first,
  });
}

async function refuseTooLittle({ zfs, chain, signal }: PlaceRequest, parent: DatasetName): Promise<void> {
  const available = await availableBytes(zfs, parent, signal);
  const needed = neededBytes(chain);
  if (available === null || available >= needed) return;
  throw new ZferryError("zfs-no-space", `too little space for the drill: "${parent}" has ${formatSize(available)} left, and "${chain[chain.length - 1]?.backup ?? ""}" needs about ${formatSize(needed)}`, {
    hint: "make room, raise its quota, or name a dataset of another pool with --into",
  });
}

async function refuseFullDisk(file: string, chain: readonly BackupEntry[]): Promise<void> {
  const { bavail, bsize } = await inStateFolder(`look at the disk of "${file}"`, () => statfs(dirname(file)));
  const needed = neededBytes(chain) + poolOverheadBytes;
  if (bavail * bsize >= needed) return;
  throw new ZferryError("zfs-no-space", `too little space for the drill: the disk of "${dirname(file)}" has ${formatSize(bavail * bsize)} left, and a pool for "${chain[chain.length - 1]?.backup ?? ""}" needs about ${formatSize(needed)}`, {
    hint: "make room, or name a dataset of a larger pool with --into",
  });
}

/** Sparse: it takes no more room than what is received. */
async function makeFile(file: string, sizeBytes: number): Promise<void> {
  await inStateFolder(`make "${file}"`, async () => {
    const handle = await open(file, "wx", 0o600);
    try {
      await handle.truncate(sizeBytes);
    } finally {
      await handle.close();
    }
  });
}
