/**
 * `zfs receive`: a stream into a dataset.
 *
 * zfs commits when it reads the END record, before we can tell it that anything is wrong; so the source must withhold
 * that record until it vouches for the whole. When the source throws, zfs never sees an end of its input: it is killed
 * first. Exit status 0 is not yet proof either: the caller compares the guid of what is there afterwards. It looks before,
 * too: for an incremental whose target is not there, old zfs pick any dataset of the pool that has the base, and receive
 * into that (seen with zfs-fuse 0.7).
 */
import { ZferryError } from "../errors.ts";
import type { ByteSource } from "../bytes.ts";
import type { Child } from "./child.ts";
import { startZfs, type Cancellable, type Zfs, type ZfsArguments } from "./command.ts";
import type { DatasetName } from "./names.ts";

export interface ReceiveOptions {
  /** `-u`: do not mount; a received mountpoint can cover a live path. */
  readonly unmounted: boolean;
  /** `-F`: roll the target back to its latest snapshot first, losing what was written since. */
  readonly force: boolean;
  /** `-s`: keep what arrived when the stream breaks; `zfs receive -A` drops it. */
  readonly resumable: boolean;
  /** `-o`: properties to set on the target. */
  readonly set: Readonly<Record<string, string>>;
  /** `-x`: properties to leave as they would be without the stream. */
  readonly exclude: readonly string[];
}

export interface ReceivePlan {
  readonly target: DatasetName;
  readonly options: ReceiveOptions;
}

export const defaultReceiveOptions: ReceiveOptions = {
  unmounted: true,
  force: false,
  resumable: false,
  set: {},
  exclude: [],
};

/**
 * Feeds the source to zfs, one piece at a time, and returns when zfs has exited 0. The source is always exhausted or
 * returned, and must obey the same signal: while it waits for its own next piece, nothing here can end.
 *
 * @throws what the source threw; else what zfs complained of, `target-exists`, `target-modified`, `zfs-no-space`, …
 */
export async function receive(
  zfs: Zfs,
  source: ByteSource,
  { target, options }: ReceivePlan,
  { signal }: Cancellable,
): Promise<void> {
  refuseImpossible(options);
  const child = await startZfs(zfs, receiveArguments(target, options), { signal });
  child.stdout.resume();
  try {
    const fedAll = await feed(child, source);
    if (fedAll) child.stdin.end();
    await child.succeeded();
    signal.throwIfAborted();
    if (!fedAll) throw stoppedReading(target);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    await child.stop();
  }
}

/** False when zfs stopped reading; why, it will say itself. */
async function feed(child: Child, source: ByteSource): Promise<boolean> {
  for await (const piece of source) {
    if (!(await write(child, piece))) return false;
  }
  return true;
}

/** Resolves when the piece has left for the pipe (true) or never will (false: EPIPE, or the child was stopped). */
function write({ stdin }: Child, piece: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => {
    stdin.write(piece, (error) => {
      resolve(error === null || error === undefined);
    });
  });
}

/** zfs ignores what follows a stream's END, so this is no success: the source had not vouched for the whole yet. */
function stoppedReading(target: DatasetName): ZferryError {
  return new ZferryError("zfs-failed", `"zfs receive" into "${target}" stopped reading before the end of the stream`, {
    hint: "do not trust the target: destroy it and verify the backup at level stream",
  });
}

function refuseImpossible({ set }: ReceiveOptions): void {
  if (set.keylocation !== "prompt") return;
  throw new ZferryError("usage", `cannot set "keylocation" to "prompt": zfs would read the key from the stream`, {
    hint: "set keylocation to a file:// URL, or load the key after the restore",
  });
}

function receiveArguments(target: DatasetName, options: ReceiveOptions): ZfsArguments {
  return [
    "receive",
    ...(options.unmounted ? ["-u"] : []),
    ...(options.force ? ["-F"] : []),
    ...(options.resumable ? ["-s"] : []),
    ...Object.entries(options.set).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
    ...options.exclude.flatMap((name) => ["-x", name]),
    "--",
    target,
  ];
}
