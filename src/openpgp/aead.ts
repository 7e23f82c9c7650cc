/**
 * Authenticated encryption of a stream, chunk by chunk (chunk.ts has the chunks).
 *
 * Opening releases a chunk only after its tag was verified, and the last one only after the final tag, too: whatever
 * comes out is what went in, and an end is the end.
 */
import { timingSafeEqual } from "node:crypto";
import type { Transform } from "../bytes.ts";
import type { Aead } from "./chunk.ts";
import { chunkBytesOf, openChunk, sealChunk, sealEnd, tagBytes } from "./chunk.ts";
import { invalidAt } from "./reader.ts";
import type { Group } from "./slices.ts";
import { Grouper, groups, SliceQueue } from "./slices.ts";

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

/**
 * The plaintext of `ciphertext`, under the first of `candidates` that opens the first chunk; all of them have the same
 * chunk size. Holds one chunk twice: sealed and opened.
 *
 * @throws ZferryError `message-invalid` for a chunk or an end that does not authenticate; what `noneFits` makes when no
 * candidate opens the first chunk
 */
export async function* openStream(
  ciphertext: AsyncIterable<Buffer>,
  { candidates, noneFits }: { readonly candidates: readonly Aead[]; readonly noneFits: () => Error },
): AsyncGenerator<Buffer> {
  let [aead] = candidates;
  if (aead === undefined) throw noneFits();
  const sizeBytes = chunkBytesOf(aead);
  let chunkCount = 0;
  for await (const group of groups(ciphertext, { sizeBytes: sizeBytes + tagBytes, tailBytes: tagBytes })) {
    const offsetBytes = chunkCount * sizeBytes;
    const { chunk, endTag } = takeApart(group, offsetBytes);
    let opened: readonly Buffer[] = [];
    if (chunk !== null) {
      const fit = openWithAny(chunkCount === 0 ? candidates : [aead], chunkCount, chunk);
      if (fit === null) throw chunkCount === 0 ? noneFits() : damaged(offsetBytes, "a chunk does not authenticate");
      ({ aead, opened } = fit);
      chunkCount += 1;
    }
    if (endTag !== null) checkEnd(aead, { chunkCount, totalBytes: offsetBytes + (chunk?.dataBytes ?? 0), endTag });
    yield* opened;
  }
}

interface SealedChunk {
  readonly slices: readonly Buffer[];
  readonly dataBytes: number;
  readonly tag: Buffer;
}

/** Both are null in turn: every group but the last has no end, and the last has no chunk if the one before was full. */
function takeApart(group: Group, offsetBytes: number): { chunk: SealedChunk | null; endTag: Buffer | null } {
  const queue = new SliceQueue(group.slices);
  const sealedBytes = group.last ? group.sizeBytes - tagBytes : group.sizeBytes;
  const dataBytes = sealedBytes - tagBytes;
  if (sealedBytes !== 0 && dataBytes <= 0) throw damaged(offsetBytes, "it ends in the middle of a tag");
  const chunk =
    sealedBytes === 0 ? null : { slices: queue.take(dataBytes), dataBytes, tag: Buffer.concat(queue.take(tagBytes)) };
  return { chunk, endTag: group.last ? Buffer.concat(queue.take(tagBytes)) : null };
}

function openWithAny(
  candidates: readonly Aead[],
  index: number,
  { slices, tag }: SealedChunk,
): { aead: Aead; opened: readonly Buffer[] } | null {
  for (const aead of candidates) {
    const opened = openChunk(aead, { index, slices, tag });
    if (opened !== null) return { aead, opened };
  }
  return null;
}

function checkEnd(
  aead: Aead,
  end: { readonly chunkCount: number; readonly totalBytes: number; readonly endTag: Buffer },
): void {
  if (timingSafeEqual(sealEnd(aead, end.chunkCount, end.totalBytes), end.endTag)) return;
  throw damaged(end.totalBytes, "the final tag does not authenticate, something is missing at the end");
}

function damaged(offsetBytes: number, why: string): Error {
  return invalidAt({ place: "plaintext", offsetBytes, why });
}
