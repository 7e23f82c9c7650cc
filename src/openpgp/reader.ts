/**
 * Reading a byte source by count, with the offset kept for error messages.
 *
 * One reader stands on the message itself, another on the decrypted packets inside; what each offset counts is told by
 * the reader's place. A reader holds one piece of its source.
 */
import type { ByteSource } from "../bytes.ts";
import { ZferryError } from "../errors.ts";

/** What a reader's offset counts: bytes of the whole, of the encrypted packet's body, of what was decrypted, or of that unpacked. */
export type Place = "message" | "encrypted packet" | "plaintext" | "unpacked content";

const damageHint = "the data is damaged or cut short: fetch it again, or use another copy";

export class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #place: Place;
  #rest: Buffer = Buffer.alloc(0);
  #offsetBytes = 0;

  constructor(source: ByteSource | readonly Uint8Array[], place: Place) {
    this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#place = place;
  }

  /** The next 1 to `maxBytes` bytes, as they come; null at the end of the source. */
  async some(maxBytes: number): Promise<Buffer | null> {
    if (await this.atEnd()) return null;
    const slice = this.#rest.subarray(0, maxBytes);
    this.#rest = this.#rest.subarray(slice.length);
    this.#offsetBytes += slice.length;
    return slice;
  }

  /**
   * Exactly `sizeBytes` bytes (keep it small: they are copied into one buffer).
   *
   * @throws ZferryError `message-invalid` when the source ends before
   */
  async take(sizeBytes: number): Promise<Buffer> {
    const taken = Buffer.allocUnsafe(sizeBytes);
    let filledBytes = 0;
    while (filledBytes < sizeBytes) {
      const slice = await this.some(sizeBytes - filledBytes);
      if (slice === null) throw this.truncated();
      filledBytes += slice.copy(taken, filledBytes);
    }
    return taken;
  }

  async atEnd(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#iterator.next();
      if (next.done === true) return true;
      this.#rest = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    return false;
  }

  /** Everything that is left. */
  async *remainder(): AsyncGenerator<Buffer> {
    for (;;) {
      const slice = await this.some(Number.MAX_SAFE_INTEGER);
      if (slice === null) return;
      yield slice;
    }
  }

  /** The error for something wrong where the reader stands now. */
  invalid(why: string, hint = damageHint): ZferryError {
    return invalidAt({ place: this.#place, offsetBytes: this.#offsetBytes, why, hint });
  }

  truncated(): ZferryError {
    return this.invalid("it ends in the middle of a packet");
  }

  /**
   * Lets go of the source. What the source throws while it is being let go has no taker: either it has already ended, or
   * a first error is on its way up, or nobody wants the rest.
   */
  async close(): Promise<void> {
    try {
      await this.#iterator.return?.();
    } catch {
      return;
    }
  }
}

/** A `message-invalid` that says where. */
export function invalidAt(what: {
  readonly place: Place;
  readonly offsetBytes: number;
  readonly why: string;
  readonly hint?: string;
}): ZferryError {
  const place = what.place === "message" ? "" : ` of its ${what.place}`;
  const message = `the OpenPGP message is not valid at byte ${what.offsetBytes}${place}: ${what.why}`;
  return new ZferryError("message-invalid", message, { hint: what.hint ?? damageHint });
}
