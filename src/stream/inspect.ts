/**
 * A stage that knows whether what passes is a whole and undamaged ZFS send stream, and of what.
 *
 * Every byte passes unchanged and uncopied, but not before its record was found right as far as that can be known: a
 * record's bytes wait for its checksum, and the last END waits until the source has ended without an error, because
 * `zfs recv` commits when it has read END. What a payload holds is known good only at the next record.
 */
import type { ByteSource } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import type { BeginRecord } from "../replay/records.ts";
import { hasFeature, namesOfFeatures } from "../replay/records.ts";
import type { ByteOrder } from "../replay/fletcher4.ts";
import { ReplayWalk } from "../replay/walk.ts";
import { guidFrom } from "../zfs/names.ts";
import type { Guid } from "../zfs/names.ts";

/** One snapshot of a stream, as its BEGIN record tells. */
export interface StreamSnapshot {
  /** `pool/dataset@snapshot` at the sender. */
  readonly toName: string;
  readonly toGuid: Guid | null;
  /** The snapshot this one is an increment of; null for a full stream. */
  readonly fromGuid: Guid | null;
  /** When the snapshot was taken, to the second; the epoch for a package. */
  readonly creationTime: Date;
}

/** What is known once the first record was read. */
export interface BeginFacts extends StreamSnapshot {
  readonly byteOrder: ByteOrder;
  /** `compound`: a package of several snapshots (`zfs send -R`, `-I`, `-p`), whose own guids are null. */
  readonly kind: "single" | "compound";
  /** Null for the BEGIN of a package. */
  readonly holds: "filesystem" | "volume" | null;
  /** 56 bits as they stand in the stream. A package's own are not those of its snapshots. */
  readonly featureFlags: bigint;
  /** The same by name, unknown ones as `bit-40`. */
  readonly features: readonly string[];
  /** The rest of a stream that broke off (`zfs send -t`): only the receiver that holds the first part can use it. */
  readonly resuming: boolean;
  /** Encrypted by ZFS (`zfs send -w`). */
  readonly raw: boolean;
  readonly redacted: boolean;
}

/** What is known once the whole stream has passed. */
export interface StreamFacts extends BeginFacts {
  readonly sizeBytes: number;
  /** Every record, the BEGIN and END ones included. */
  readonly recordCount: number;
  /** One for a single stream; for a package, each in the order of the stream. */
  readonly snapshots: readonly StreamSnapshot[];
}

export interface InspectionOptions {
  /** Refuses a stream that is of, or from, another snapshot; `fromGuid: null` demands a full stream. */
  readonly expect?: { readonly toGuid?: Guid; readonly fromGuid?: Guid | null };
  /** Awaited before the first byte is released; what it throws ends the stream. */
  readonly onBegin?: (begin: BeginFacts) => Promise<void>;
  readonly signal: AbortSignal;
}

export interface Inspection {
  /**
   * Passes the source on. Once only. Holds back at most 312 bytes beyond the slice at work.
   *
   * @throws ZferryError `stream-invalid` with the place, and never ends without an error unless the stream is whole
   */
  through(source: ByteSource): AsyncGenerator<Uint8Array>;
  /** Only after `through` has ended well; throws (a bug) before. */
  facts(): StreamFacts;
}

export function inspection(options: InspectionOptions): Inspection {
  const walk = new ReplayWalk();
  let progress: "waiting" | "passing" | "whole" = "waiting";

  async function* through(source: ByteSource): AsyncGenerator<Uint8Array> {
    if (progress !== "waiting") throw new Error("an inspection is for one stream");
    progress = "passing";
    const waiting = new Waiting();
    let isAnnounced = false;
    for await (const slice of source) {
      options.signal.throwIfAborted();
      walk.push(slice);
      if (!isAnnounced && walk.first !== null) {
        isAnnounced = true;
        await announce(beginFacts(walk.first, walk.byteOrder), options);
      }
      waiting.add(slice);
      yield* waiting.release(walk.withheldBytes);
    }
    options.signal.throwIfAborted();
    walk.end();
    yield* waiting.release(0);
    progress = "whole";
  }

  function facts(): StreamFacts {
    if (progress !== "whole" || walk.first === null) throw new Error("the facts of a stream that has not ended");
    const { sizeBytes, recordCount } = walk;
    const snapshots = walk.snapshots.map(identity);
    return { ...beginFacts(walk.first, walk.byteOrder), sizeBytes, recordCount, snapshots };
  }

  return { through, facts };
}

/** Slices on their way, of which the last bytes must wait: as a copy, because the slice they came in may only be lent. */
class Waiting {
  #slices: Uint8Array[] = [];
  #bytes = 0;

  add(slice: Uint8Array): void {
    if (slice.length > 0) this.#slices.push(slice);
    this.#bytes += slice.length;
  }

  /** Everything but the last `withheldBytes`, as the slices came; the one the line falls in is cut in two views. */
  *release(withheldBytes: number): Generator<Uint8Array> {
    while (this.#bytes > withheldBytes) {
      const [first = new Uint8Array()] = this.#slices;
      const freeBytes = Math.min(first.length, this.#bytes - withheldBytes);
      if (freeBytes === first.length) this.#slices.shift();
      else this.#slices[0] = first.subarray(freeBytes);
      this.#bytes -= freeBytes;
      yield freeBytes === first.length ? first : first.subarray(0, freeBytes);
    }
    if (this.#bytes > 0) this.#slices = [Buffer.concat(this.#slices)];
  }
}

async function announce(begin: BeginFacts, { expect = {}, onBegin }: InspectionOptions): Promise<void> {
  const hint = "the name was given to another snapshot meanwhile, or another stream was piped in: run it again";
  if (expect.toGuid !== undefined && begin.toGuid !== expect.toGuid) {
    const message = `the send stream is of ${described(begin.toGuid, begin)}, not of guid "${expect.toGuid}"`;
    throw new ZferryError("stream-invalid", `${message} (record 1, BEGIN, at byte 0)`, { hint });
  }
  if (expect.fromGuid !== undefined && begin.fromGuid !== expect.fromGuid) {
    const [is, wanted] = [begin.fromGuid, expect.fromGuid].map(basis);
    const message = `the send stream of "${begin.toName}" is ${is ?? ""}, not ${wanted ?? ""}`;
    throw new ZferryError("stream-invalid", `${message} (record 1, BEGIN, at byte 0)`, { hint });
  }
  await onBegin?.(begin);
}

function described(toGuid: Guid | null, { toName, kind }: BeginFacts): string {
  return kind === "compound" ? `the package "${toName}"` : `"${toName}" with guid "${toGuid ?? 0n}"`;
}

function basis(fromGuid: Guid | null): string {
  return fromGuid === null ? "a full one" : `an increment of guid "${fromGuid}"`;
}

function beginFacts(begin: BeginRecord, byteOrder: ByteOrder): BeginFacts {
  const { featureFlags, objectSetType, headerType } = begin;
  return {
    ...identity(begin),
    byteOrder,
    kind: headerType === 2 ? "compound" : "single",
    holds: objectSetType === 2 ? "filesystem" : objectSetType === 3 ? "volume" : null,
    featureFlags,
    features: namesOfFeatures(featureFlags),
    resuming: hasFeature(featureFlags, "resuming"),
    raw: hasFeature(featureFlags, "raw"),
    redacted: hasFeature(featureFlags, "redacted"),
  };
}

function identity({ toName, toGuid, fromGuid, creationSeconds }: BeginRecord): StreamSnapshot {
  const creationTime = new Date(Number(creationSeconds) * 1000);
  return { toName, toGuid: guidFrom(toGuid), fromGuid: guidFrom(fromGuid), creationTime };
}
