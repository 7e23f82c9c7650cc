/**
 * Walks a ZFS send stream as its bytes pass, in slices of any size: which record may follow which, every length, every
 * checksum. Keeps one record, the running checksum and the BEGIN fields of each snapshot (about 300 bytes apiece).
 *
 * ```
 * stream  = single | package
 * single  = BEGIN record* END                          header type 1; END has the checksum of all before it
 * package = BEGIN END single* END                      header type 2 (`-R`, `-I`, `-p`); the last END is all zeros
 * ```
 *
 * Since 2014 every record but BEGIN ends in the checksum of all bytes of its (sub)stream before that checksum. Older
 * streams, and the two END records of a package, have zeros there: then only END's checksum covers the bytes, nothing
 * covers END itself, and its unused bytes must be zero, as every sender leaves them.
 */
import { ZferryError } from "../errors.ts";
import { Fletcher4 } from "./fletcher4.ts";
import type { ByteOrder } from "./fletcher4.ts";
import { SnapshotPackage } from "./package.ts";
import {
  byteOrderOf,
  checksumOffset,
  couldBegin,
  endChecksumOffset,
  endGuidOf,
  maxCreationSeconds,
  payloadLengthOf,
  readBegin,
  recordBytes,
  typeOf,
} from "./records.ts";
import type { BeginRecord } from "./records.ts";

/** Where the walk stands between two records. */
type Place = "start" | "package head" | "in package" | "in snapshot" | "end";

const damaged = "the stream was damaged on its way here or on its disk; send it again";
const foreign = "pipe the output of `zfs send` here as it is: not compressed, encrypted or wrapped";

const newer = "the stream is from a newer ZFS or damaged: look for a newer version, or send it again";

/** One walk over one stream. After a throw it must not be used. */
export class ReplayWalk {
  /** The first BEGIN: of the snapshot, or of the package. */
  first: BeginRecord | null = null;
  byteOrder: ByteOrder = "little";
  /** The BEGIN of each snapshot begun so far. */
  readonly snapshots: BeginRecord[] = [];
  recordCount = 0;
  /** Bytes walked so far. */
  sizeBytes = 0;

  #place: Place = "start";
  #package: SnapshotPackage | null = null;
  #fletcher = new Fletcher4("little");
  readonly #record = new Uint8Array(recordBytes);
  readonly #view = new DataView(this.#record.buffer);
  /** How much of the record in `#record` has come; stays full once the stream is over. */
  #recordFill = 0;
  #payloadLeftBytes = 0;
  #hasRecordChecksums = false;
  /** All bytes before this one are known good. */
  #goodBytes = 0;

  /**
   * How many of the bytes walked so far belong to a record whose checks are still to come: an incomplete one, or the
   * END of it all, which counts as seen only when nothing follows it.
   */
  get withheldBytes(): number {
    return this.#recordFill;
  }

  /** @throws ZferryError `stream-invalid` at the first byte that cannot be part of a good stream */
  push(slice: Uint8Array): void {
    for (let at = 0; at < slice.length; ) {
      const takenBytes = this.#payloadLeftBytes > 0 ? this.#pushPayload(slice, at) : this.#pushRecord(slice, at);
      at += takenBytes;
    }
  }

  /** Says that nothing follows. @throws ZferryError `stream-invalid` unless the stream is whole */
  end(): void {
    if (this.#place === "end") return;
    const hint = "the sender failed or the pipe broke: look at the exit status and error output of `zfs send`";
    if (this.sizeBytes === 0) throw new ZferryError("stream-invalid", "the send stream is empty", { hint });
    if (this.#place === "start" && !couldBegin(this.#record.subarray(0, this.#recordFill))) this.#refuseForeign();
    throw new ZferryError("stream-invalid", `the send stream is cut off at byte ${this.sizeBytes}, ${this.#where()}`, {
      hint,
    });
  }

  #where(): string {
    const number = this.recordCount + 1;
    if (this.#payloadLeftBytes > 0) {
      const record = `record ${this.recordCount} (${this.#typeName()})`;
      return `in the payload of ${record}, ${this.#payloadLeftBytes} bytes short`;
    }
    if (this.#recordFill > 0) return `inside record ${number}`;
    return `before record ${number}, without its END record`;
  }

  #pushPayload(slice: Uint8Array, at: number): number {
    const payload = slice.subarray(at, at + this.#payloadLeftBytes);
    this.#fletcher.update(payload);
    this.#payloadLeftBytes -= payload.length;
    this.sizeBytes += payload.length;
    return payload.length;
  }

  #pushRecord(slice: Uint8Array, at: number): number {
    if (this.#place === "end") this.#refuseTrailing();
    const piece = slice.subarray(at, at + recordBytes - this.#recordFill);
    this.#record.set(piece, this.#recordFill);
    this.#recordFill += piece.length;
    this.sizeBytes += piece.length;
    if (this.#recordFill === recordBytes) this.#takeRecord();
    return piece.length;
  }

  #takeRecord(): void {
    this.recordCount++;
    const isBegin = byteOrderOf(this.#view) !== null;
    if (this.#place === "start" || (this.#place === "in package" && isBegin)) this.#takeBegin();
    else if (this.#place === "in snapshot") this.#takeInner();
    else this.#takePackageEnd();
    if (this.#place !== "end") this.#recordFill = 0;
  }

  #takeBegin(): void {
    const byteOrder = byteOrderOf(this.#view);
    if (byteOrder === null) this.#refuseForeign();
    if (this.#package !== null && byteOrder !== this.byteOrder) {
      this.#refuse("is in another byte order than the package");
    }
    const begin = readBegin(this.#view, byteOrder);
    this.#checkBegin(begin);
    if (this.first === null) {
      this.first = begin;
      this.byteOrder = byteOrder;
      this.#fletcher = new Fletcher4(byteOrder);
    }
    if (begin.headerType === 2) this.#package = new SnapshotPackage(begin);
    else this.#beginSnapshot(begin);
    this.#place = begin.headerType === 2 ? "package head" : "in snapshot";
    this.#fletcher.update(this.#record);
    this.#expectPayload();
  }

  #beginSnapshot(begin: BeginRecord): void {
    const problem = this.#package?.add(begin) ?? null;
    if (problem !== null) this.#refuse(problem.what, problem.hint);
    this.snapshots.push(begin);
  }

  #checkBegin({ headerType, toName, creationSeconds }: BeginRecord): void {
    if (headerType !== 1 && headerType !== 2) this.#refuse(`has the unknown header type ${headerType}`);
    if (headerType === 2 && this.#package !== null) this.#refuse("begins a package within a package");
    if (!toName.includes("@")) this.#refuse(`names no snapshot but "${toName}"`);
    if (creationSeconds > maxCreationSeconds) this.#refuse(`has the absurd creation time ${creationSeconds}`);
  }

  #takeInner(): void {
    const endSumIsRight = this.#fletcher.standsAt(this.#view, endChecksumOffset);
    if (byteOrderOf(this.#view) !== null) this.#refuse("begins another stream before the last one had its END");
    this.#checkRecordChecksum();
    const type = typeOf(this.#view, this.byteOrder);
    if (type === null) this.#refuse("is of a type unknown to this version", newer);
    if (type === "BEGIN") this.#refuse("is a BEGIN without the magic number");
    if (type !== "END") {
      this.#expectPayload();
      return;
    }
    const begin = this.snapshots.at(-1);
    this.#takeEnd(endSumIsRight, begin?.toGuid ?? 0n);
    this.#place = this.#package === null ? "end" : "in package";
  }

  /** The END after the head of a package, or the one after its last snapshot. */
  #takePackageEnd(): void {
    const endSumIsRight = this.#fletcher.standsAt(this.#view, endChecksumOffset);
    this.#checkRecordChecksum();
    if (typeOf(this.#view, this.byteOrder) !== "END") {
      this.#refuse("cannot stand here: a package goes on with BEGIN or END");
    }
    this.#takeEnd(endSumIsRight, 0n);
    if (this.#place === "package head") {
      this.#place = "in package";
      return;
    }
    const problem = this.#package?.missing() ?? null;
    if (problem !== null) this.#refuse(problem.what, problem.hint);
    this.#place = "end";
  }

  #takeEnd(endSumIsRight: boolean, toGuid: bigint): void {
    if (!endSumIsRight) this.#refuseChecksum("the checksum of the whole stream in");
    const endGuid = endGuidOf(this.#view, this.byteOrder);
    if (endGuid !== toGuid && endGuid !== 0n) this.#refuse(`ends the snapshot with guid "${endGuid}", not "${toGuid}"`);
    if (!this.#hasRecordChecksums) {
      const unused = [this.#record.subarray(4, 8), this.#record.subarray(48, checksumOffset)];
      if (!unused.every(isZero)) this.#refuse("has bytes set that no sender sets");
    }
    this.#fletcher.reset();
    this.#hasRecordChecksums = false;
    this.#goodBytes = this.sizeBytes;
  }

  /** Adds the record to the running checksum, comparing on the way. */
  #checkRecordChecksum(): void {
    const own = this.#record.subarray(checksumOffset);
    this.#fletcher.update(this.#record.subarray(0, checksumOffset));
    if (this.#hasRecordChecksums || !isZero(own)) {
      if (!this.#fletcher.standsAt(this.#view, checksumOffset)) this.#refuseChecksum("the checksum in");
      this.#hasRecordChecksums = true;
      this.#goodBytes = this.sizeBytes;
    }
    this.#fletcher.update(own);
  }

  #expectPayload(): void {
    const type = typeOf(this.#view, this.byteOrder);
    const length = type === null ? null : payloadLengthOf(type, this.#view, this.byteOrder);
    if (length === null) return;
    if (length.bytes > length.maxBytes) {
      this.#refuse(`cannot be: its ${length.field} is ${length.bytes}, more than ${length.maxBytes} bytes`);
    }
    if (length.bytes % 4n !== 0n) {
      this.#refuse(`cannot be: its ${length.field} is ${length.bytes}, not a multiple of 4`);
    }
    this.#payloadLeftBytes = Number(length.bytes);
  }

  #typeName(): string {
    return typeOf(this.#view, this.byteOrder) ?? `type ${this.#view.getUint32(0, this.byteOrder === "little")}`;
  }

  #here(): string {
    return `record ${this.recordCount} (${this.#typeName()}) at byte ${this.sizeBytes - recordBytes}`;
  }

  #refuse(problem: string, hint: string = damaged): never {
    throw new ZferryError("stream-invalid", `${this.#here()} of the send stream ${problem}`, { hint });
  }

  #refuseChecksum(which: string): never {
    const extent = `bytes ${this.#goodBytes} to ${this.sizeBytes} are not what was sent`;
    throw new ZferryError("stream-invalid", `${which} ${this.#here()} is wrong: ${extent}`, { hint: damaged });
  }

  #refuseForeign(): never {
    const where = this.first === null ? "at byte 0" : this.#here();
    throw new ZferryError("stream-invalid", `not a zfs send stream: no BEGIN record ${where}`, { hint: foreign });
  }

  #refuseTrailing(): never {
    const message = `bytes follow the END of the send stream, record ${this.recordCount}, at byte ${this.sizeBytes}`;
    throw new ZferryError("stream-invalid", message, {
      hint: "give one send stream at a time: `zfs recv` stops at the first END and never looks at the rest",
    });
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
