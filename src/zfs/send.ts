/**
 * `zfs send`: one snapshot as a stream of bytes that ends only if zfs exited 0.
 *
 * One snapshot per stream, full or incremental from a snapshot or bookmark; no packages (`-R`, `-I`) and no properties
 * (`-p`): their bytes differ from one try to the next, and parts of them commit before the whole is verified.
 */
import { ZferryError } from "../errors.ts";
import { runZfs, startZfs, type Cancellable, type Zfs, type ZfsArguments } from "./command.ts";
import { complained } from "./complaints.ts";
import type { DatasetFacts } from "./inventory.ts";
import type { BookmarkName, SnapshotName } from "./names.ts";

export interface SendPlan {
  readonly snapshot: SnapshotName;
  /** The base of an incremental, older than the snapshot (zfs does not always notice: openzfs/zfs#12657); null: full. */
  readonly base: SnapshotName | BookmarkName | null;
  /** From {@link sendFlagsFor} for a full, from the anchor's manifest for an incremental. */
  readonly flags: readonly string[];
}

/**
 * The flags of a new full of this dataset: raw (which implies the others) when it is encrypted, otherwise large blocks
 * and compressed, as far as this zfs knows them. Never `-e`: such streams cannot be received into an encrypted dataset
 * and leaked stack bytes before OpenZFS 2.2.0 (openzfs/zfs#13778).
 */
export async function sendFlagsFor(zfs: Zfs, dataset: DatasetFacts, options: Cancellable): Promise<readonly string[]> {
  if (dataset.encrypted) return ["-w"];
  const wanted = ["-L", "-c"];
  const known = await Promise.all(wanted.map((flag) => knowsFlag(zfs, flag, options)));
  return wanted.filter((_, index) => known[index]);
}

/**
 * The number of bytes zfs expects, null where zfs cannot say (zfs-fuse). For progress only: real streams were up to
 * 56 % longer.
 */
export async function estimateSend(zfs: Zfs, plan: SendPlan, options: Cancellable): Promise<number | null> {
  try {
    const text = await runZfs(zfs, sendArguments(plan, ["-nP"]), options);
    const bytes = /^size\t(\d+)$/m.exec(text)?.[1];
    return bytes === undefined ? null : Number(bytes);
  } catch (error) {
    if (complained(error, "invalid option")) return null;
    throw error;
  }
}

/**
 * The stream, read as fast as it is taken: while nobody takes, zfs sleeps on a full pipe. Holds 64 KiB or so.
 *
 * Ends only if zfs exited 0; an error of zfs is thrown after the last byte. Leaving the loop early, throwing or
 * aborting closes the pipe, ends zfs, and returns when it is gone.
 */
export async function* send(zfs: Zfs, plan: SendPlan, { signal }: Cancellable): AsyncGenerator<Buffer, void, void> {
  const child = await startZfs(zfs, sendArguments(plan), { signal });
  child.stdin.end();
  try {
    yield* child.stdout as AsyncIterable<Buffer>;
    await child.succeeded();
    signal.throwIfAborted();
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    await child.stop();
  }
}

/** Flags can come from a manifest, that is, from the store: only those that shape one plain stream pass. */
function sendArguments({ snapshot, base, flags }: SendPlan, extra: readonly string[] = []): ZfsArguments {
  const foreign = flags.find((flag) => !["-L", "-c", "-e", "-w"].includes(flag));
  if (foreign !== undefined) {
    throw new ZferryError("usage", `will not send "${snapshot}" with "${foreign}"`, { hint: "use -L, -c, -e and -w only" });
  }
  return ["send", ...extra, ...flags, ...(base === null ? [] : ["-i", base]), "--", snapshot];
}

/** Without a snapshot `zfs send` always fails: over the flag where it does not know it, over the snapshot otherwise. */
async function knowsFlag(zfs: Zfs, flag: string, options: Cancellable): Promise<boolean> {
  try {
    await runZfs(zfs, ["send", flag], options);
  } catch (error) {
    if (complained(error, "missing snapshot argument")) return true;
    if (complained(error, "invalid option")) return false;
    throw error;
  }
  return true;
}
