/**
 * Authenticated encryption of a stream, chunk by chunk (chunk.ts has the chunks).
 *
 * Opening releases a chunk only after its tag was verified, and the last one only after the final tag, too: whatever
 * comes out is what went in, and an end is the end.
 */
import { timingSafeEqual } from "node:crypto";
import { asBuffer, type Transform } from "../bytes.ts";
import { Tail } from "../tail.ts";
import { type Aead, ChunkOpening, chunkBytesOf, sealChunk, sealEnd, tagBytes } from "./chunk.ts";
import { invalidAt } from "./reader.ts";
import { Grouper } from "./slices.ts";

/** Seals what is pushed: `prologue`, chunks with their tags, then the final tag. Holds one chunk. */
export class AeadSealing implements Transform {
  readonly #aead: Aead;
  readonly #plaintext: Grouper;
  #prologue: readonly Buffer[];
  #chunkCount = 0;
  #totalBytes = 0;

  constructor(aead: Aead, prologue: Buffer) {
    this.#aead = aead;
    this.#plaintext = new Grouper(chunkBytesOf(aead));
    this.#prologue = [prologue];
  }

  *push(slice: Buffer): Generator<Buffer> {
    yield* this.#begin();
    for (const group of this.#plaintext.push(slice)) yield* this.#seal(group);
  }

  *end(): Generator<Buffer> {
    yield* this.#begin();
    if (this.#plaintext.rest.length > 0) yield* this.#seal([this.#plaintext.rest]);
    yield sealEnd(this.#aead, this.#chunkCount, this.#totalBytes);
  }

  #begin(): readonly Buffer[] {
    const prologue = this.#prologue;
    this.#prologue = [];
    return prologue;
  }

  #seal(group: readonly Buffer[]): Buffer[] {
    for (const { length } of group) this.#totalBytes += length;
    return sealChunk(this.#aead, this.#chunkCount++, group);
  }
}

/** What opens a message: the first of `candidates` that opens the first chunk; all of them have the same chunk size. */
export interface Opening {
  readonly candidates: readonly Aead[];
  /** The error when none does. */
  readonly noneFits: () => Error;
}

/**
 * The plaintext of `ciphertext`, in memory of its own.
 *
 * @throws ZferryError as {@link AeadOpening}
 */
export async function* openStream(ciphertext: AsyncIterable<Buffer>, opening: Opening): AsyncGenerator<Buffer> {
  const opener = new AeadOpening(opening);
  for await (const slice of ciphertext) yield* opener.push(slice);
  yield* opener.end();
}

/**
 * Opens what is pushed: chunks with their tags, then the final tag. Holds the plaintext of one chunk, and of the first
 * one its ciphertext too.
 *
 * What is followed by two tags' bytes at least is neither the last chunk's tag nor the final one, so that many are kept
 * back, and all others can be opened as they come.
 *
 * @throws ZferryError `message-invalid` for a chunk or an end that does not authenticate; what `noneFits` makes
 */
export class AeadOpening implements Transform {
  readonly #candidates: readonly Aead[];
  readonly #noneFits: () => Error;
  readonly #chunkBytes: number;
  readonly #tail = new Tail(2 * tagBytes);
  readonly #tag = Buffer.alloc(tagBytes);
  #aead: Aead;
  #chunkCount = 0;
  #totalBytes = 0;
  #chunk: ChunkInHand | null = null;

  constructor({ candidates, noneFits }: Opening) {
    const [first] = candidates;
    if (first === undefined) throw noneFits();
    this.#candidates = candidates;
    this.#noneFits = noneFits;
    this.#aead = first;
    this.#chunkBytes = chunkBytesOf(first);
  }

  *push(slice: Buffer): Generator<Buffer> {
    for (const piece of this.#tail.push(slice)) yield* this.#open(asBuffer(piece));
  }

  *end(): Generator<Buffer> {
    const rest = this.#tail.bytes;
    const endTag = rest.subarray(-tagBytes);
    let opened: readonly Buffer[] = [];
    if (this.#chunk !== null || rest.length !== tagBytes) {
      const isWhole = rest.length === 2 * tagBytes && this.#chunk !== null && this.#chunk.seenBytes <= this.#chunkBytes;
      if (!isWhole) throw damaged(this.#totalBytes, "it ends in the middle of a tag");
      opened = this.#finish(rest.subarray(0, tagBytes));
    }
    const expected = sealEnd(this.#aead, this.#chunkCount, this.#totalBytes);
    if (!timingSafeEqual(expected, endTag)) {
      throw damaged(this.#totalBytes, "the final tag does not authenticate, something is missing at the end");
    }
    yield* opened;
  }

  *#open(piece: Buffer): Generator<Buffer> {
    for (let at = 0; at < piece.length; ) {
      const chunk = (this.#chunk ??= this.#begin());
      const dataBytes = this.#chunkBytes - chunk.seenBytes;
      const part = piece.subarray(at, at + (dataBytes > 0 ? dataBytes : dataBytes + tagBytes));
      if (dataBytes > 0) chunk.push(part);
      else part.copy(this.#tag, -dataBytes);
      chunk.seenBytes += part.length;
      at += part.length;
      if (chunk.seenBytes === this.#chunkBytes + tagBytes) yield* this.#finish(this.#tag);
    }
  }

  #begin(): ChunkInHand {
    return this.#chunkCount === 0 ? new FirstChunk(this.#candidates) : new LaterChunk(this.#aead, this.#chunkCount);
  }

  /** The plaintext of the chunk in hand. */
  #finish(tag: Buffer): readonly Buffer[] {
    const fit = this.#chunk?.end(tag) ?? null;
    if (fit === null) throw this.#chunkCount === 0 ? this.#noneFits() : damaged(this.#totalBytes, "a chunk does not authenticate");
    this.#aead = fit.aead;
    this.#chunk = null;
    this.#chunkCount += 1;
    for (const { length } of fit.opened) this.#totalBytes += length;
    return fit.opened;
  }
}

interface ChunkInHand {
  /** Of its data and its tag. */
  seenBytes: number;
  push(slice: Buffer): void;
  /** Null when it does not authenticate. */
  end(tag: Buffer): { readonly aead: Aead; readonly opened: readonly Buffer[] } | null;
}

class LaterChunk implements ChunkInHand {
  seenBytes = 0;
  readonly #aead: Aead;
  readonly #opening: ChunkOpening;

  constructor(aead: Aead, index: number) {
    this.#aead = aead;
    this.#opening = new ChunkOpening(aead, index);
  }

  push(slice: Buffer): void {
    this.#opening.push(slice);
  }

  end(tag: Buffer): { readonly aead: Aead; readonly opened: readonly Buffer[] } | null {
    const opened = this.#opening.end(tag);
    return opened === null ? null : { aead: this.#aead, opened };
  }
}

/** The first chunk is kept until its tag tells which of the candidates is the right one. */
class FirstChunk implements ChunkInHand {
  seenBytes = 0;
  readonly #candidates: readonly Aead[];
  readonly #slices: Buffer[] = [];

  constructor(candidates: readonly Aead[]) {
    this.#candidates = candidates;
  }

  push(slice: Buffer): void {
    this.#slices.push(Buffer.from(slice));
  }

  end(tag: Buffer): { readonly aead: Aead; readonly opened: readonly Buffer[] } | null {
    for (const aead of this.#candidates) {
      const opening = new ChunkOpening(aead, 0);
      for (const slice of this.#slices) opening.push(slice);
      const opened = opening.end(tag);
      if (opened !== null) return { aead, opened };
    }
    return null;
  }
}

function damaged(offsetBytes: number, why: string): Error {
  return invalidAt({ place: "plaintext", offsetBytes, why });
}
