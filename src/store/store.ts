/**
 * What every store must do: five verbs, their contract, and nothing else.
 *
 * `test/store.suite.ts` holds each store to this text. A store keeps objects: whole, immutable byte strings under a
 * key. An object is there whole or not at all; what `put` returned is there for every later `get`, `head` and `list`
 * (read-after-write). A store that cannot tell must throw, and never answers "not there" for "could not look".
 *
 * Errors of all verbs: `store-denied` (credentials, permission), `store-not-found` (the bucket or folder itself),
 * `store-full`, `store-failed` (anything else, after the retries of `retry.ts`).
 */
import type { ByteSource, LentSource } from "../bytes.ts";
import type { BucketRules, Look, ObjectLock } from "./rules.ts";

/** Slash-separated, 1–1,024 bytes of UTF-8, no empty, `.` or `..` component (the narrowest provider's rule, S3 and R2). */
export type ObjectKey = string;

/** One object as `head` and `list` see it. */
export interface StoredObject {
  readonly key: ObjectKey;
  readonly sizeBytes: number;
  /** When it became visible, to the provider's precision. */
  readonly modifiedAt: Date;
  /** The provider's entity tag without quotes; changes whenever the content does. */
  readonly etag: string;
}

/** Bytes `startBytes` (included) to `endBytes` (excluded) of an object. */
export interface ByteRange {
  readonly startBytes: number;
  readonly endBytes: number;
}

/** What one object may be, checked before a byte is sent. */
export interface StoreLimits {
  readonly minPartBytes: number;
  readonly maxPartBytes: number;
  /** Parts of one object. */
  readonly maxPartCount: number;
  /** Of an open store with parts of its size. */
  readonly maxObjectBytes: number;
  /** Writes to one key that follow each other sooner may be refused. */
  readonly sameKeySpacingMs: number;
}

/** A put that was begun and neither ended nor failed, as the provider remembers it. */
export interface UnfinishedPut {
  readonly key: ObjectKey;
  /** By the provider's clock. */
  readonly startedAt: Date;
}

interface Cancellable {
  /** Aborting makes the verb throw `signal.reason` after it has let go of everything it held. */
  readonly signal: AbortSignal;
}

export interface PutOptions extends Cancellable {
  /**
   * `replace`: the last writer wins. `create`: fails with `object-exists` when the key is taken, and of several that
   * race exactly one wins. `{ etag }`: replaces only that version, otherwise fails with `object-exists`.
   */
  readonly when: "replace" | "create" | { readonly etag: string };
  /** Called as bytes are known to be stored, with the number since the last call. For progress only. */
  readonly onStored?: (bytes: number) => void;
}

export interface GetOptions extends Cancellable {
  /** Must lie within the object; the whole object when left out. */
  readonly range?: ByteRange;
  /** Reads only this version: fails with `store-failed` when the object has been replaced meanwhile. */
  readonly etag?: string;
  /** Called once, before the first byte, with the object that is being read. */
  readonly onFound?: (object: StoredObject) => void;
}

export interface ListOptions extends Cancellable {
  /** Only the keys that sort after this one. */
  readonly after?: ObjectKey;
}

/** An object with the words that were put beside it: small, ASCII, known to whoever can read the store. */
export interface NotedObject extends StoredObject {
  readonly notes: Readonly<Record<string, string>>;
}

export interface UploadOptions extends Cancellable {
  readonly key: ObjectKey;
  /** Not empty. Read once; its slices are handed over. */
  readonly body: ByteSource;
  readonly notes: Readonly<Record<string, string>>;
  /** About how many bytes: decides the size of parts. */
  readonly expectedBytes: number;
  /** Parts in flight. As many and two more are held in memory. */
  readonly inFlight: number;
}

export interface Store {
  /** How people name it; holds no secret. */
  readonly url: string;
  readonly limits: StoreLimits;

  /**
   * Stores one object. A streamed body is read once, with backpressure, and always either exhausted or returned; if it
   * throws, nothing becomes visible under the key and nothing (temp file, multipart upload) stays behind. A body that
   * ends is complete: the caller vouches for that.
   */
  put(key: ObjectKey, body: Uint8Array | ByteSource, options: PutOptions): Promise<StoredObject>;

  /**
   * Reads an object or a range of it; the bytes are lent. Yields exactly the promised number of bytes or throws: a connection that ends
   * early is an error, not an end. Throws `object-missing` when there is none. Leaving the loop early lets go of the
   * connection.
   */
  get(key: ObjectKey, options: GetOptions): LentSource;

  /** `null` means looked, not there. */
  head(key: ObjectKey, options: Cancellable): Promise<StoredObject | null>;

  /** Every object whose key starts with `prefix`, in ascending order of the keys' UTF-8 bytes; any number of them. */
  list(prefix: string, options: ListOptions): AsyncIterable<StoredObject>;

  /** Removes the objects; a key that is not there is not an error. On failure any of them may be gone. */
  delete(keys: readonly ObjectKey[], options: Cancellable): Promise<void>;

  /**
   * What puts that were cut off, or are under way, have left of objects under `prefix`: multipart uploads on S3; one
   * entry each, in no order. Empty where nothing is left, where the provider cannot list it, and for a folder, whose
   * temporary files do not say their object and go by themselves after a day.
   */
  listUnfinished(prefix: string, options: Cancellable): Promise<readonly UnfinishedPut[]>;

  /**
   * Removes what puts that were cut off have left of objects under `prefix` and no other verb can see: multipart
   * uploads on S3, temporary files in a folder. The caller knows that no put is running there. A store that leaves
   * nothing, or cannot list it, removes nothing; a folder store looks only directly below a `prefix` that ends in `/`.
   *
   * @returns how many were removed
   */
  removeUnfinished(prefix: string, options: Cancellable): Promise<number>;

  /** Stores one object with notes beside it, replacing what is there. A store that keeps no such notes has no such verb. */
  upload?(options: UploadOptions): Promise<StoredObject>;

  /** An object with its notes; null means looked, not there. Only beside {@link upload}. */
  noted?(key: ObjectKey, options: Cancellable): Promise<NotedObject | null>;

  /** What the bucket does by itself. A store that has no such thing has no such verb. */
  rules?(options: Cancellable): Promise<BucketRules>;

  /** What keeps an object from being deleted; null for nothing, and for one that is not there. Only beside {@link rules}. */
  lockOf?(key: ObjectKey, options: Cancellable): Promise<Look<ObjectLock | null>>;

  /** Lets go of sockets. The store must not be used afterwards. Calling twice is safe. */
  close(): Promise<void>;
}
