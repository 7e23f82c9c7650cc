/**
 * What a thread can be asked to do with the bytes that pass: seal them, note their marks, check them, open them.
 *
 * A station is told in plain data, because it crosses into the thread, and works on blocks (`link.ts`). How many
 * threads there are changes nothing about the bytes that come out.
 */
import { createHash } from "node:crypto";
import { asBuffer, type LentSource, type Transform } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { decrypt } from "../openpgp/decrypt.ts";
import { type Message, sealingSteps } from "../openpgp/encrypt.ts";
import { MarkWalk, type Mark, type MarkLayout } from "../stream/digest.ts";
import type { Receiver, Sender } from "./link.ts";

export type Station =
  /** Step `step` of `sealingSteps(message)`. */
  | { readonly kind: "seal"; readonly message: Message; readonly step: number }
  /** Passes blocks on, with the marks that fall into them as their note. */
  | { readonly kind: "mark"; readonly layout: MarkLayout }
  /** Passes the blocks of a piece on when it is what their note, a {@link PieceClaim}, says; otherwise ends, or says so. */
  | { readonly kind: "check" }
  /** Decrypts. */
  | { readonly kind: "open"; readonly sessionKey: Uint8Array };

/** What a piece of a chunk has to be. Each of its blocks says so, and no block has bytes of two. */
export interface PieceClaim {
  readonly sizeBytes: number;
  /** Whether it is the first of its chunk. */
  readonly begins: boolean;
  /** The chunk's SHA-256 up to the end of this piece. */
  readonly sha256: string;
  /** The error when it is not, in its words; null when it is to be answered whether it is, and another may follow in its place. */
  readonly otherwise: { readonly message: string; readonly hint: string } | null;
}

/** Works until the input has ended; whatever goes wrong goes on to the output. Never throws. */
export async function runStation(station: Station, input: Receiver<unknown>, output: Sender<unknown>): Promise<void> {
  try {
    output.end(await work(station, input, output));
  } catch (error) {
    output.fail(error);
  }
}

/** Whether blocks of the input come out at the other end, to be given back from there. */
export function passesBlocksOn({ kind }: Station): boolean {
  return kind === "mark" || kind === "check";
}

/** @returns the note of the end */
function work(station: Station, input: Receiver<unknown>, output: Sender<unknown>): Promise<unknown> {
  switch (station.kind) {
    case "seal":
      return transform(stepOf(station), input, output);
    case "mark":
      return mark(new MarkWalk(station.layout), input, output);
    case "check":
      return check(input as Receiver<PieceClaim>, output);
    case "open":
      return open(asBuffer(station.sessionKey), input, output);
  }
}

function stepOf({ message: { packet, secrets, sessionKeyPackets }, step }: Station & { kind: "seal" }): Transform {
  const { sessionKey, nonce } = secrets; // Buffers arrive as Uint8Arrays
  const message = { packet, secrets: { sessionKey: asBuffer(sessionKey), nonce: asBuffer(nonce) }, sessionKeyPackets: asBuffer(sessionKeyPackets) };
  const found = sealingSteps(message)[step];
  if (found === undefined) throw new Error(`packet "${packet}" has no step ${step}`);
  return found;
}

async function transform(step: Transform, input: Receiver<unknown>, output: Sender<unknown>): Promise<null> {
  for await (const { slice } of input) {
    for (const piece of step.push(asBuffer(slice))) await output.write(piece, null);
    input.giveBack(slice.buffer);
  }
  for (const piece of step.end()) await output.write(piece, null);
  return null;
}

async function mark(walk: MarkWalk, input: Receiver<unknown>, output: Sender<unknown>): Promise<Mark[]> {
  for await (const { slice } of input) output.forward(slice, walk.push(slice));
  return walk.end();
}

async function check(input: Receiver<PieceClaim>, output: Sender<unknown>): Promise<null> {
  let proved = createHash("sha256");
  let hash = proved;
  let seenBytes = 0;
  let held: Uint8Array<ArrayBuffer>[] = [];
  for await (const { slice, note } of input) {
    if (seenBytes === 0) hash = note.begins ? createHash("sha256") : proved.copy();
    hash.update(slice);
    held.push(slice);
    seenBytes += slice.length;
    if (seenBytes < note.sizeBytes) continue;
    const isRight = hash.copy().digest("hex") === note.sha256;
    if (isRight) {
      proved = hash;
      for (const block of held) output.forward(block, null);
    } else if (note.otherwise === null) {
      for (const block of held) input.giveBack(block.buffer);
    } else {
      throw new ZferryError("chunk-invalid", note.otherwise.message, { hint: note.otherwise.hint });
    }
    if (note.otherwise === null) input.answer(isRight);
    held = [];
    seenBytes = 0;
  }
  return null;
}

async function open(sessionKey: Buffer, input: Receiver<unknown>, output: Sender<unknown>): Promise<null> {
  for await (const piece of decrypt(lent(input), { sessionKey })) await output.write(piece, null);
  return null;
}

async function* lent(input: Receiver<unknown>): LentSource {
  for await (const { slice } of input) {
    yield slice;
    input.giveBack(slice.buffer);
  }
}
