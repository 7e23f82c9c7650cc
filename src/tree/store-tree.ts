/**
 * A run of the engine `s3`: what has changed in a tree goes to the store, and a list of all that is there (`docs/format.md`
 * § Files).
 *
 *   begun marker → contents, under keys of this run alone → list, which is the commit → what nobody names goes (`tidy.ts`)
 *
 * Until the list is there nothing that can be restored has changed. A run that was cut off leaves its own list so far on
 * this host's disk: what it names is not sent again.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { aloneInStore, type Guard } from "../alone.ts";
import type { KeepPolicy } from "../config/keep.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { type FilesPlace, listKey, runId, type RunId } from "../format/file-layout.ts";
import type { ListHeader, RunKey } from "../format/file-list.ts";
import type { PacketName } from "../format/layout.ts";
import { fileListKey, type Keyring, type Recipients } from "../openpgp/session.ts";
import { linkedController, reasonOf } from "../store/abort.ts";
import type { Store } from "../store/store.ts";
import { version } from "../version.ts";
import type { SnapshotName } from "../zfs/names.ts";
import { bytesOfFile, checkSeal, entriesLeft, entriesOf, ListDraft, type ListFile } from "./list-file.ts";
import { FilesMemory, type Known } from "./memory.ts";
import { keyOf, newPacker, type Packer } from "./packing.ts";
import { piecesOf } from "./pieces.ts";
import { fetchList, nextNumber, type Runs, runsIn } from "./runs.ts";
import type { NotingStore, Sent } from "./send.ts";
import { tidy } from "./tidy.ts";
import { type Missed, refusedByKernel } from "./walk.ts";
import { inOrder } from "./window.ts";

/** Files at a time: small ones are a matter of round trips. */
const maxFiles = 32;
/** Of those that could not be read, told by name, and how much of each. */
const [maxNamed, maxNameChars] = [5, 200];

/** Where files go, open, and how they are packed. */
export interface TreePlace {
  readonly store: Store;
  readonly packet: PacketName;
  readonly recipients: Recipients;
  readonly keyring: Keyring;
  readonly partBytes: number;
  /** Parts in flight; with `partBytes` the bound of memory: about twice as many parts. */
  readonly concurrency: number;
  readonly leaseMs: number | null;
}

export interface TreeRequest extends FilesPlace {
  /** The folder whose content is stored. */
  readonly root: string;
  readonly snapshot: SnapshotName;
  readonly place: TreePlace;
  readonly keep: KeepPolicy | null;
  readonly stateDir: string;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  readonly onProgress: (soFar: TreeCounts) => void;
  readonly signal: AbortSignal;
}

export interface TreeCounts {
  /** Names in the tree, folders and the root among them. */
  readonly entryCount: number;
  readonly fileCount: number;
  /** Of all files. */
  readonly sizeBytes: number;
  readonly sentCount: number;
  /** As they are stored. */
  readonly sentBytes: number;
  /** Left out: neither files, folders nor symbolic links, or gone before they could be read. */
  readonly leftOutCount: number;
  /** In the list as they were at some moment of being read. */
  readonly changedCount: number;
  readonly unreadableCount: number;
}

export interface TreeOutcome extends TreeCounts {
  readonly run: RunId;
}

/**
 * The caller holds the dataset's local lock.
 *
 * @throws ZferryError `usage` for a store that is no bucket; `engine-failed` when files could not be read: all others are
 * stored, and listed; `manifest-invalid` when no run can follow what is there; `locked`, `secret-unusable`, `config-invalid`, the
 * store's codes; the signal's reason, but for an `engine-failed` that comes when the list is there
 */
export async function storeTree(request: TreeRequest): Promise<TreeOutcome> {
  const { place, stateDir, dataset, warn, signal } = request;
  const store = noting(place.store);
  return await aloneInStore({ store, stateDir, leaseMs: place.leaseMs, progress: { warn }, signal }, dataset, (guard) => new Run(request, store, guard).run());
}

/** @throws ZferryError `usage` */
export function noting(store: Store): NotingStore {
  if (store.upload !== undefined && store.noted !== undefined) return store as NotingStore;
  throw new ZferryError("usage", `"${store.url}" cannot keep the files of engine s3, which needs a bucket`, {
    hint: "name a store of s3://…; for a folder use engine rclone, or a command such as restic",
  });
}

class Run {
  readonly #request: TreeRequest;
  readonly #store: NotingStore;
  readonly #guard: Guard;
  readonly #memory: FilesMemory;
  readonly #missed: Missed[] = [];
  #counts: TreeCounts = { entryCount: 0, fileCount: 0, sizeBytes: 0, sentCount: 0, sentBytes: 0, leftOutCount: 0, changedCount: 0, unreadableCount: 0 };

  constructor(request: TreeRequest, store: NotingStore, guard: Guard) {
    this.#request = request;
    this.#store = store;
    this.#guard = guard;
    this.#memory = new FilesMemory(request.stateDir, request, request.place.store.url);
  }

  async run(): Promise<TreeOutcome> {
    const { now, place } = this.#request;
    const { signal } = this.#guard;
    await this.#memory.open();
    const runs = await runsIn(this.#store, this.#request, signal);
    const known = await this.#memory.known();
    const base = await this.#base(runs, known);
    const startedAt = now();
    const run = runId(nextNumber(runs, known?.run ?? null), startedAt, randomBytes(3).toString("hex"));
    const packer = await newPacker(place.packet, place.recipients);
    const marker = { format: 1, host: hostname(), startedAt: startedAt.toISOString() };
    await this.#store.put(listKey(this.#request, run, "begun"), Buffer.from(`${JSON.stringify(marker)}\n`), { when: "create", signal });
    const header = this.#header(run, { base: base?.header.run ?? null, startedAt, packer });
    const sha256 = await this.#write(header, packer, base);
    await this.#commit(run, sha256);
    await this.#afterwards(run);
    return { run, ...this.#counts };
  }

  /** The newest list, if it is to be believed; without one everything is sent. */
  async #base({ lists }: Runs, known: Known | null): Promise<ListFile | null> {
    const { place, warn } = this.#request;
    const newest = lists.at(-1);
    if (known !== null && (newest === undefined || newest < known.run)) warn(`the list of run ${known.run}, which this host has seen, is gone from "${place.store.url}"`);
    if (newest === undefined) return null;
    try {
      const list = await fetchList(this.#store, { ...this.#request, run: newest }, this.#memory.fetched, this.#guard);
      if (known?.run === newest) throwUnlessMade(list, known);
      else await believe(list, place.keyring);
      return list;
    } catch (error) {
      if (!isZferryError(error, "manifest-invalid", "format-too-new", "key-missing", "key-wrong")) throw error;
      warn(`every file is sent again, because the newest list cannot be gone by: ${error.message}`);
      return null;
    }
  }

  #header(run: RunId, { base, startedAt, packer }: { readonly base: RunId | null; readonly startedAt: Date; readonly packer: Packer }): ListHeader {
    const { job, dataset, snapshot } = this.#request;
    return { list: "zferry files", format: 1, job, dataset, run, base, snapshot, startedAt, writer: `zferry ${version}`, ...packer.packing };
  }

  /** Sends what is to be sent, and writes the list to this host's disk. @returns its sum */
  async #write(header: ListHeader, packer: Packer, base: ListFile | null): Promise<string> {
    const { root, place, onProgress } = this.#request;
    const run = linkedController(this.#guard.signal);
    const draft = await ListDraft.begin(this.#memory.draft, header, packer);
    try {
      const sending = { store: this.#store, place: this.#request, run: header.run, packer, inFlight: place.concurrency, onSent: () => undefined, signal: run.signal };
      const before = [entriesLeft(this.#memory.left, this.#request), ...(base === null ? [] : [entriesOf(base)])];
      const keys = new Set<RunId>();
      const stop = (reason: unknown): void => { run.abort(reason); };
      for await (const end of inOrder(piecesOf(root, { before, sending }), { maxCount: maxFiles, maxWeight: place.concurrency * place.partBytes, stop })) {
        try {
          if (end.kind === "sent") await this.#note(end, draft, keys);
          else this.#miss(end);
          onProgress(this.#counts);
        } catch (error) {
          stop(error); // or leaving the loop would wait for what is on its way
          throw error;
        }
      }
      const { entryCount, fileCount, sizeBytes } = this.#counts;
      return await draft.end({ type: "end", entryCount, fileCount, sizeBytes, committedAt: this.#request.now() });
    } catch (error) {
      run.abort(error);
      throw refusedByKernel(run.signal.reason, `store the files in "${root}"`);
    } finally {
      run.release();
      await draft.close();
    }
  }

  async #note({ entry, key, sentBytes }: Sent, draft: ListDraft, keys: Set<RunId>): Promise<void> {
    if (entry.type === "file" && entry.object !== null && key !== null && !keys.has(key.run)) {
      keys.add(key.run);
      await draft.add(withoutMore(key));
    }
    await draft.add(entry);
    const counts = this.#counts;
    const isFirst = entry.type === "file" && entry.linkTo === undefined;
    this.#counts = {
      ...counts,
      entryCount: counts.entryCount + 1,
      fileCount: counts.fileCount + (isFirst ? 1 : 0),
      sizeBytes: counts.sizeBytes + (isFirst ? entry.sizeBytes : 0),
      sentCount: counts.sentCount + (sentBytes === null ? 0 : 1),
      sentBytes: counts.sentBytes + (sentBytes ?? 0),
      leftOutCount: counts.leftOutCount + (entry.type === "other" ? 1 : 0),
      changedCount: counts.changedCount + (entry.type === "file" && entry.changed === true ? 1 : 0),
    };
  }

  #miss(missed: Missed): void {
    const { leftOutCount, unreadableCount } = this.#counts;
    if (missed.kind === "vanished") this.#counts = { ...this.#counts, leftOutCount: leftOutCount + 1 };
    else this.#counts = { ...this.#counts, unreadableCount: unreadableCount + 1 };
    if (missed.kind === "unreadable" && this.#missed.length < maxNamed) this.#missed.push(missed);
  }

  async #commit(run: RunId, sha256: string): Promise<void> {
    const { signal } = this.#guard;
    await this.#guard.check();
    await this.#store.put(listKey(this.#request, run), bytesOfFile(this.#memory.draft), { when: "create", signal });
    await this.#memory.learn({ run, sha256 });
    await this.#memory.tidy();
  }

  /** The list is there, and stays, whatever becomes of this. */
  async #afterwards(run: RunId): Promise<void> {
    const { place, warn, keep, now } = this.#request;
    if (this.#missed.length > 0) throw unreadable(this.#missed, this.#counts.unreadableCount);
    const { changedCount } = this.#counts;
    if (changedCount > 0) warn(`${changedCount} files changed while they were read, and are stored as they were at that moment`);
    try {
      await tidy({ store: this.#store, place: this.#request, own: run, keep, isLeased: place.leaseMs !== null, memory: this.#memory, warn, now, guard: this.#guard });
    } catch (error) {
      const { signal } = this.#request;
      // Out of time: what was asked for is done.
      if (signal.aborted && !isZferryError(signal.reason, "engine-failed")) throw reasonOf(signal);
      if (!isZferryError(error)) throw error;
      warn(`what is not needed any more could not be removed; the next run tries again: ${error.message}`);
    }
  }
}

/** What this host has made needs no key to be known again. @throws ZferryError `manifest-invalid` */
export function throwUnlessMade({ header: { run }, seal }: ListFile, { sha256 }: Pick<Known, "sha256">): void {
  if (seal.sha256 === sha256) return;
  throw new ZferryError("manifest-invalid", `the list of run ${run} is not the one that this host has made`, { hint: "someone has replaced it: use another run, or a second copy of the store" });
}

/** @throws ZferryError `manifest-invalid`, `key-missing`, `key-wrong` */
export async function believe(list: ListFile, keyring: Keyring): Promise<void> {
  const sessionKey = await keyOf(list.header, keyring);
  if (sessionKey === null) throw new ZferryError("key-missing", `list "${list.subject.where}" is not sealed with any key`);
  await checkSeal(list, fileListKey(sessionKey));
}

function withoutMore({ run, packet, sessionKeyPackets, keyCheck }: RunKey): RunKey {
  return { type: "key", run, packet, sessionKeyPackets, keyCheck };
}

function unreadable(missed: readonly Missed[], count: number): ZferryError {
  const named = missed.map(({ path, why }) => `"${shortened(path.toString("utf8"))}" (${why})`).join(", ");
  return new ZferryError("engine-failed", `${count} files or folders could not be read: ${named}${count > missed.length ? ", …" : ""}`, {
    hint: "all others are stored, and can be restored; see that zferry may read these, that the pool is well, and for EFBIG that part_size is large enough",
  });
}

function shortened(name: string): string {
  return name.length <= maxNameChars ? name : `${name.slice(0, maxNameChars)}…`;
}
