/**
 * What zfs says when it fails, as one of our error codes with something to do about it.
 *
 * zfs has no error numbers: exit status 1 and a sentence on stderr, wrapped over two lines when it is long. The table
 * below holds the sentences of OpenZFS 2.3 and of zfs-fuse 0.7, the oldest zfs we meet; `test/zfs/recorded` holds the
 * recordings each row answers. A sentence nobody recorded becomes `zfs-failed` with zfs' own words, never a guess.
 * Text on stderr beside exit status 0 is no failure (recv says so when it could not mount).
 */
import { ZferryError, type ErrorCode } from "../errors.ts";

/** How a zfs process ended. One of `exitStatus` and `killedBy` is set, or none when it did not end and was given up. */
export interface Ending {
  readonly exitStatus: number | null;
  readonly killedBy: NodeJS.Signals | null;
  /** The last 64 KiB. */
  readonly stderr: string;
}

/** The cause of every error that comes from an ended zfs: keeps the whole of its stderr for `--log-level debug`. */
export class ZfsFailure extends Error {
  readonly ending: Ending;

  constructor(message: string, ending: Ending) {
    super(`${message}; its stderr: ${ending.stderr}`);
    this.name = "ZfsFailure";
    this.ending = ending;
  }
}

interface Row {
  readonly says: RegExp;
  readonly code: ErrorCode;
  readonly hint: string;
}

/** The first row that fits wins: a sentence about a cause stands before the general one it comes with. */
const rows: readonly Row[] = [
  {
    says: /Permission denied \(|Host key verification failed|Could not resolve hostname|ssh: connect to host/,
    code: "zfs-failed",
    hint: "the way to the zfs host is closed: try the same ssh command by hand, without a terminal to ask on",
  },
  {
    says: /permission denied|must be run as root|operation not permitted|a password is required/i,
    code: "zfs-permission",
    hint: "run as root, or delegate: zfs allow USER send,snapshot,hold,release,bookmark,destroy,mount,userprop DATASET (to receive: create,receive,mount), as in docs/pull.md",
  },
  {
    says: /out of space|no space left|quota exceeded/i,
    code: "zfs-no-space",
    hint: "free space in the pool or raise the quota of the dataset, then run again",
  },
  {
    says: /key must be loaded|encryption key not loaded/,
    code: "zfs-failed",
    hint: "load the key with zfs load-key, or send the dataset raw",
  },
  {
    says: /destination .* does not exist/,
    code: "zfs-not-found",
    hint: "an incremental needs its base on the target: restore the full backup there first",
  },
  {
    says: /incremental source .* does not exist/,
    code: "zfs-not-found",
    hint: "the base of this incremental is gone from the pool: run a full backup",
  },
  {
    says: /contains partially-complete state/,
    code: "zfs-busy",
    hint: "drop the unfinished receive with zfs receive -A TARGET, then run again",
  },
  {
    says: /has been modified since most recent snapshot/,
    code: "target-modified",
    hint: "restore to a new target, or roll the target back to its latest snapshot (zfs rollback, or force)",
  },
  {
    says: /does not match incremental source|IV set guid m/,
    code: "target-modified",
    hint: "the target's latest snapshot is not the base of this incremental: restore to a new target",
  },
  {
    says: /destination has snapshots|destination .* exists|destination already exists|must specify -F/,
    code: "target-exists",
    hint: "restore to a dataset that does not exist yet, or destroy this one first",
  },
  {
    says: /cannot create (snapshot|bookmark).* exists/,
    code: "target-exists",
    hint: "wait a second and run again, or choose another name",
  },
  {
    says: /dataset is busy|pool is busy|target is busy|it's being held|has dependent clones|' is busy/,
    code: "zfs-busy",
    hint: "something uses it: see zfs holds, zfs list -o origin and running sends or receives",
  },
  {
    says: /does not exist|could not find any snapshots|no such pool/,
    code: "zfs-not-found",
    hint: "check the name with zfs list -t all, and that the pool is imported",
  },
  {
    says: /multiple snapshots of same fs not allowed/,
    code: "zfs-failed",
    hint: "snapshots made together must be of different datasets of one pool: put other pools into a job of their own",
  },
  {
    says: /not an earlier snapshot from the same fs/,
    code: "zfs-failed",
    hint: "the base is not older than the snapshot or not of the same dataset: run a full backup",
  },
  {
    says: /incomplete stream|failed to read from stream|invalid backup stream|bad magic number|checksum mismatch/,
    code: "zfs-failed",
    hint: "the stream is cut off, damaged or none at all: verify the backup at level stream",
  },
  {
    says: /unsupported feature|must be upgraded|requires -L|crypto parameters/,
    code: "zfs-failed",
    hint: "this zfs is older than the one that sent the stream, or set up differently: restore on a newer one",
  },
  {
    says: /invalid option|unrecognized command|too many arguments|invalid property/,
    code: "zfs-failed",
    hint: "this zfs does not know the request: see zfs version; OpenZFS 0.8 or newer is needed for all features",
  },
  {
    says: /modules (are not|cannot be auto-) ?loaded|\/dev\/zfs|failed to initialize ZFS library/i,
    code: "zfs-failed",
    hint: "load the zfs kernel module or start the zfs daemon",
  },
  {
    says: /I\/O error|pool I\/O is currently suspended/i,
    code: "zfs-failed",
    hint: "the pool could not read its own data: see zpool status -v",
  },
];

const fallbackHint = "run the same zfs command by hand to see more";
const brokenWayHint = "the connection to the zfs host broke: see that the same ssh command reaches it, then run again";
/** ssh(1), "Exit status"; zfs itself ends with 0, 1 or 2 (zfs(8)). */
const brokenWayStatus = 255;
const outOfMemoryHint = "look for the out-of-memory killer in the kernel log";

/** The error for a zfs that ended badly. `what` is the command as people say it, `zfs send`. */
export function complaintOf(what: string, ending: Ending): ZferryError {
  const words = wordsOf(ending.stderr);
  const row = rows.find(({ says }) => says.test(words));
  const message = `"${what}" ${howItEnded(ending)}: ${words === "" ? "it said nothing on stderr" : shortened(words)}`;
  return new ZferryError(row?.code ?? "zfs-failed", message, {
    hint: row?.hint ?? hintAt(ending),
    cause: new ZfsFailure(message, ending),
  });
}

/** For an ending whose words say nothing to us. */
function hintAt({ exitStatus, killedBy }: Ending): string {
  if (exitStatus === brokenWayStatus) return brokenWayHint;
  return killedBy === "SIGKILL" ? outOfMemoryHint : fallbackHint;
}

/** True for an error of {@link complaintOf} that is not zfs' own: the connection to another host's zfs broke. */
export function isWayBroken(error: unknown): boolean {
  return error instanceof ZferryError && error.cause instanceof ZfsFailure && error.cause.ending.exitStatus === brokenWayStatus;
}

/** True for an error of {@link complaintOf} whose stderr, unwrapped, has these words. */
export function complained(error: unknown, words: string): boolean {
  if (!(error instanceof ZferryError && error.cause instanceof ZfsFailure)) return false;
  return wordsOf(error.cause.ending.stderr).includes(unwrapped(words));
}

/**
 * True when zfs said that exactly this dataset, snapshot or bookmark is not there. Another name in the sentence means
 * that something else was missing, and that nobody looked for this one.
 */
export function saysMissing(error: unknown, name: string): boolean {
  const missing = [`'${name}': dataset does not exist`, `'${name}': no such pool or dataset`, `bookmark '${name}' does not`];
  return missing.some((words) => complained(error, words));
}

function howItEnded({ exitStatus, killedBy }: Ending): string {
  if (killedBy !== null) return `was killed by ${killedBy}`;
  return exitStatus === null ? "did not end when it was killed" : `failed with exit status ${exitStatus}`;
}

/** stderr as one line, unwrapped, without the usage text that zfs appends. */
function wordsOf(stderr: string): string {
  const [words = ""] = stderr.split(/^usage:/m);
  return unwrapped(words).trim().replace(/\.$/, "");
}

function unwrapped(text: string): string {
  return text.replace(/\s+/g, " ");
}

/** A message quotes at most twice this many characters: what zfs said first and what it said last. */
const quoteLength = 300;

function shortened(words: string): string {
  if (words.length <= 2 * quoteLength) return words;
  return `${words.slice(0, quoteLength)} … ${words.slice(-quoteLength)}`;
}
