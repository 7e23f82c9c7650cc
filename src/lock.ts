/**
 * One run per dataset on this host: a lock file `<state folder>/locks/<dataset>-<hash>.lock` that says who holds it.
 *
 * Node has no `flock`, so the file names its holder exactly enough for others to see whether it is still there
 * (`lock-holder.ts`). A lock whose holder is gone is taken over at once: a crash never blocks the next night. A holder
 * that cannot be looked up (no `/proc`, another container, a damaged file) counts by the age of its file, which a holder
 * touches every 20 s: after two minutes of silence it is nobody's.
 *
 * The state folder belongs to one host. Hosts, and several state folders, are kept apart by `store/lease.ts`.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ZferryError } from "./errors.ts";
import { inStateFolder } from "./files.ts";
import { parsedAs } from "./json.ts";
import { type LockHolder, lockHolderSchema, presenceOf, type ProcessIdentity, thisProcess } from "./lock-holder.ts";
import type { DatasetName } from "./zfs/names.ts";

const touchMs = 20_000;
/** Silence after which a holder that cannot be looked up is taken for gone. */
const silentMs = 120_000;
/** What a takeover that crashed left beside the lock is nobody's after this long. */
const leftoverMs = 600_000;
/** How long to wait for another process that is taking over at this moment, and between two looks. */
const rivalMs = 5_000;
const rivalPollMs = 20;
/** Of the dataset's name in the file's: NAME_MAX is 255. The hash tells long names apart. */
const maxNameChars = 160;

export interface LocalLockOptions {
  readonly signal: AbortSignal;
  /** Where the kernel lists processes, `/proc` when left out. For tests. */
  readonly procDir?: string;
}

/**
 * Runs `work` while this process holds the lock of `dataset`, and lets go of it however `work` ends.
 *
 * @throws ZferryError `locked` while another run holds it (one in this process included), `config-invalid` when the
 * state folder cannot be written
 */
export function withLocalLock<T>(stateDir: string, dataset: DatasetName, options: LocalLockOptions, work: () => Promise<T>): Promise<T> {
  return withLockAt(lockPath(stateDir, dataset), `"${dataset}"`, options, work);
}

/** The same for a lock at a path of its own, which ends in `.lock`. @param what - what it is the lock of, for messages */
export async function withLockAt<T>(path: string, what: string, options: LocalLockOptions, work: () => Promise<T>): Promise<T> {
  const lock = await takeLockAt(path, what, options);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/** A lock in hand. */
export interface LocalLock {
  /** Lets go of it. Never throws: a lock that could not be removed is stale as soon as this process has ended. */
  readonly release: () => Promise<void>;
}

/**
 * Takes the lock of `dataset`, for whoever cannot say it in one block; the caller releases it.
 *
 * @throws ZferryError as {@link withLocalLock}
 */
export function takeLocalLock(stateDir: string, dataset: DatasetName, options: LocalLockOptions): Promise<LocalLock> {
  return takeLockAt(lockPath(stateDir, dataset), `"${dataset}"`, options);
}

async function takeLockAt(path: string, what: string, { signal, procDir = "/proc" }: LocalLockOptions): Promise<LocalLock> {
  signal.throwIfAborted();
  const bid = await inStateFolder(`lock ${what} with "${path}"`, () => drafted(path, procDir, signal));
  try {
    const holder = await inStateFolder(`lock ${what} with "${path}"`, () => seize(bid, path));
    if (holder !== null) throw heldBy(holder, what);
  } catch (error) {
    await drop(bid);
    throw error;
  }
  const timer = setInterval(() => void bid.file.utimes(new Date(), new Date()).catch(() => undefined), touchMs).unref();
  const release = async (): Promise<void> => {
    clearInterval(timer);
    await letGo(bid, path).catch(() => undefined);
    await drop(bid).catch(() => undefined);
  };
  try {
    await inStateFolder(`tidy the locks of ${what} beside "${path}"`, () => sweep(bid));
    return { release };
  } catch (error) {
    await release();
    throw error;
  }
}

async function drop({ file, draft }: Bid): Promise<void> {
  await file.close();
  await rm(draft, { force: true });
}

/** Where the lock of a dataset lies. */
export function lockPath(stateDir: string, dataset: DatasetName): string {
  return join(stateDir, "locks", `${dataset.replaceAll("/", "-").slice(0, maxNameChars)}-${digest(dataset, 8)}.lock`);
}

/**
 * Names this state folder on this host since its boot, 16 hex digits: the holder of leases. Runs of one name are kept
 * apart by the local lock, so whoever has that lock knows that every earlier run of the name is over. A folder that was
 * copied, a host that was cloned or rebooted has another one. Random where there is no `/proc`.
 *
 * @throws ZferryError `config-invalid` when the state folder cannot be made
 */
export async function holderIdOf(stateDir: string, procDir = "/proc"): Promise<string> {
  return inStateFolder(`prepare the state folder "${stateDir}"`, async () => {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const { dev, ino } = await stat(stateDir, { bigint: true });
    const { bootId } = await thisProcess(procDir);
    return digest(`${bootId ?? randomBytes(16).toString("hex")}:${dev}:${ino}`, 16);
  });
}

/** A process that wants a lock: its file, written and flushed under a name of its own, ready to be linked. */
interface Bid {
  readonly lock: string;
  readonly draft: string;
  readonly token: string;
  /** Open on the draft, which is the lock itself once linked: touching it never touches another's. */
  readonly file: FileHandle;
  readonly self: ProcessIdentity;
  readonly procDir: string;
  readonly signal: AbortSignal;
}

/** A lock file as it was read. */
interface Found {
  /** Digest of the content, which no two holders share. */
  readonly token: string;
  /** Null for garbage. */
  readonly holder: LockHolder | null;
  readonly touchedAtMs: number;
}

async function drafted(lock: string, procDir: string, signal: AbortSignal): Promise<Bid> {
  await mkdir(dirname(lock), { recursive: true, mode: 0o700 });
  const self = await thisProcess(procDir);
  const holder: LockHolder = { ...self, since: new Date().toISOString(), nonce: randomBytes(8).toString("hex") };
  const text = `${JSON.stringify(holder)}\n`;
  const draft = `${lock}.${holder.nonce}`;
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await file.close();
    await rm(draft, { force: true });
    throw error;
  }
  return { lock, draft, token: digest(text, 16), file, self, procDir, signal };
}

/** Gives the bid's file the name `path`; null when that worked, otherwise who has it. */
async function seize(bid: Bid, path: string): Promise<Found | null> {
  const startedAt = performance.now();
  for (;;) {
    bid.signal.throwIfAborted();
    if (await linked(bid.draft, path)) return null;
    const found = await look(path);
    if (found === null) continue; // let go of meanwhile
    if (await isHeld(found, bid)) return found;
    if (await replaceStale(bid, path, found.token)) return null;
    if (performance.now() - startedAt > rivalMs) return found;
    await sleep(rivalPollMs);
  }
}

/**
 * Puts the bid's file in the place of a stale one; false when another process does or did. Only who holds the claim, a
 * lock named after the content to be replaced, may replace it, and a content that has gone never comes back. So the one
 * that still finds it is alone with it: there is no moment without a lock, and no fresh lock is ever moved away.
 */
async function replaceStale(bid: Bid, path: string, token: string): Promise<boolean> {
  const claim = claimOn(bid, path, token);
  if ((await seize(bid, claim)) !== null) return false;
  try {
    const found = await look(path);
    if (found?.token !== token || (await isHeld(found, bid))) return false;
    const spare = `${bid.draft}.${digest(path, 8)}`;
    await linked(bid.draft, spare);
    await rename(spare, path);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
}

/** Removes the lock if it is still the bid's own. Whoever has the claim on it took it for stale, and replaces it. */
async function letGo(bid: Bid, path: string): Promise<void> {
  const claim = claimOn(bid, path, bid.token);
  const unaborted = { ...bid, signal: new AbortController().signal };
  if ((await seize(unaborted, claim)) !== null) return;
  try {
    if ((await look(path))?.token === bid.token) await rm(path);
  } finally {
    await rm(claim, { force: true });
  }
}

/** Claims are locks as well, so a process that dies with one blocks nobody either. */
function claimOn(bid: Bid, path: string, token: string): string {
  return `${bid.lock}.${digest(`${basename(path)}:${token}`, 16)}`;
}

/** Links, which is atomic; copies exclusively where there are no links (exFAT), and then the first bytes are garbage. */
async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    if (!isErrno(error, "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK")) throw error;
  }
  try {
    await copyFile(draft, path, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw error;
  }
}

/** Null when there is none. */
async function look(path: string): Promise<Found | null> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const { mtimeMs } = await file.stat();
      const text = await file.readFile("utf8");
      return { token: digest(text, 16), holder: parsedAs(lockHolderSchema, text), touchedAtMs: mtimeMs };
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

async function isHeld({ holder, touchedAtMs }: Found, { self, procDir }: Bid): Promise<boolean> {
  const presence = holder === null ? "unknown" : await presenceOf(holder, self, procDir);
  return presence === "unknown" ? silenceMs(touchedAtMs) < silentMs : presence === "running";
}

/** A time to come, which a clock that was wrong has left, counts as one as long ago: whoever is there touches it anew. */
function silenceMs(touchedAtMs: number): number {
  return Math.abs(Date.now() - touchedAtMs);
}

/**
 * Removes the drafts and claims of processes that died with them. Called with the lock in hand: no content that is
 * gone can come back, so no claim but one on the own lock can matter any more.
 */
async function sweep(bid: Bid): Promise<void> {
  const folder = dirname(bid.lock);
  const own = basename(claimOn(bid, bid.lock, bid.token));
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${basename(bid.lock)}.`) || name === own) continue;
    const found = await look(join(folder, name));
    if (found === null || silenceMs(found.touchedAtMs) < leftoverMs || (await isHeld(found, bid))) continue;
    await rm(join(folder, name), { force: true });
  }
}

function heldBy({ holder }: Found, what: string): ZferryError {
  const who = holder?.pid === null || holder === null ? "a process that cannot be looked up" : `process ${holder.pid}`;
  const since = holder === null ? "" : ` since ${holder.since}`;
  return new ZferryError("locked", `another run is at work on ${what}: ${who} has the lock${since}`, {
    hint: "wait for it to end, or end it; a lock whose process is gone is taken over by the next run",
  });
}

function digest(text: string, hexDigits: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, hexDigits);
}

function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
