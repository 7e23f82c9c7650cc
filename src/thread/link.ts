/**
 * Bytes from one thread to another: blocks of one size go round between a sender and a receiver, transferred both ways
 * and filled anew, so that nothing is allocated for the trip and memory stays the same however much passes.
 *
 * A sender without an empty block waits: that is the backpressure. Slices are copied into blocks once, in the cache
 * (0.04 CPU-s/GiB measured); a station that only looks passes whole blocks on.
 */
import type { MessagePort } from "node:worker_threads";
import { MiB } from "../bytes.ts";
import { isZferryError, ZferryError, type ErrorCode } from "../errors.ts";

/** Large enough that a message (some 20 µs at both ends) costs nothing beside the work on its bytes. */
export const blockBytes = MiB;
/** A block that nothing was added to for this long is sent as it is: a source that dawdles is not kept waiting for its rest. */
const idleMs = 50;
/** One is filled, one is on its way or worked on, one is on its way back. */
export const blocksPerLink = 3;

/** Bytes in a block of their own, and what the sender says about them. */
export interface Block<Note = unknown> {
  readonly slice: Uint8Array<ArrayBuffer>;
  readonly note: Note;
}

/** A failure as it crosses between threads, where errors lose their class. */
interface WireError {
  readonly message: string;
  readonly code: ErrorCode | null;
  readonly hint: string | null;
}

type Message =
  | { readonly kind: "block"; readonly slice: Uint8Array<ArrayBuffer>; readonly note: unknown }
  | { readonly kind: "end"; readonly note: unknown }
  | { readonly kind: "failed"; readonly error: WireError };

function toWire(error: unknown): WireError {
  if (isZferryError(error)) return { message: error.message, code: error.code, hint: error.hint ?? null };
  return { message: error instanceof Error ? `${error.name}: ${error.message}` : String(error), code: null, hint: null };
}

function fromWire({ message, code, hint }: WireError): Error {
  if (code === null) return new ZferryError("bug", `a worker thread failed: ${message}`, { hint: "please report this with --log-level debug" });
  return new ZferryError(code, message, hint === null ? {} : { hint });
}

/** The sending end. `Note` must be plain data. */
export class Sender<Note> {
  readonly #port: MessagePort;
  readonly #empty: ArrayBuffer[] = [];
  #waiting: { readonly resolve: (block: ArrayBuffer) => void; readonly reject: (reason: Error) => void } | null = null;
  #filling: Buffer<ArrayBuffer> | null = null;
  #filledBytes = 0;
  #blocksToMake: number;
  /** Runs while a block is filled in part. */
  #idleTimer: NodeJS.Timeout | null = null;
  #isIdle = false;
  readonly #answers: boolean[] = [];
  #awaitingAnswer: { readonly resolve: (answer: boolean) => void; readonly reject: (reason: Error) => void } | null = null;
  /** Why no block, and no answer, will come back any more. */
  #stopped: Error | null = null;

  /** @param onReturned - takes blocks that come back instead of their being filled here again */
  constructor(port: MessagePort, { blocks = blocksPerLink, onReturned }: { blocks?: number; onReturned?: (block: ArrayBuffer) => void } = {}) {
    this.#port = port;
    this.#blocksToMake = blocks;
    port.on("message", (back: ArrayBuffer | boolean) => {
      if (typeof back === "boolean") this.#answered(back);
      else if (onReturned !== undefined) onReturned(back);
      else this.#giveBack(back);
    });
  }

  /** What the other end says to what was sent: one answer for each time it gives one, in order. Asked for once at a time. */
  answer(): Promise<boolean> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    const arrived = this.#answers.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    return new Promise((resolve, reject) => {
      this.#awaitingAnswer = { resolve, reject };
    });
  }

  #answered(answer: boolean): void {
    if (this.#awaitingAnswer === null) this.#answers.push(answer);
    else this.#awaitingAnswer.resolve(answer);
    this.#awaitingAnswer = null;
  }

  /** Copies the slice into blocks and sends those that are full. Undefined when that could be done at once; one at a time. */
  write(slice: Buffer, note: Note): Promise<void> | undefined {
    let at = 0;
    while (at < slice.length) {
      const block = this.#filling ?? this.#take();
      if (block === null) return this.#writeLater(slice.subarray(at), note);
      this.#filling = block;
      const copied = slice.copy(block, this.#filledBytes, at);
      at += copied;
      this.#filledBytes += copied;
      if (this.#filledBytes === block.length) this.flush(note);
    }
    this.#isIdle = false;
    if (this.#filledBytes > 0) this.#idleTimer ??= this.#awaitIdleness(note);
    return undefined;
  }

  #awaitIdleness(note: Note): NodeJS.Timeout {
    return setTimeout(() => {
      const isIdle = this.#isIdle;
      this.#isIdle = true;
      this.#idleTimer = null;
      if (isIdle) this.flush(note);
      else if (this.#filledBytes > 0) this.#idleTimer = this.#awaitIdleness(note);
    }, idleMs).unref();
  }

  async #writeLater(slice: Buffer, note: Note): Promise<void> {
    if (this.#stopped !== null) throw this.#stopped;
    const block = await new Promise<ArrayBuffer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    this.#filling = Buffer.from(block);
    await this.write(slice, note);
  }

  /** Sends what was written and is not on its way yet. */
  flush(note: Note): void {
    if (this.#filling !== null && this.#filledBytes > 0) {
      this.#post({ kind: "block", slice: this.#filling.subarray(0, this.#filledBytes), note }, this.#filling.buffer);
    }
    this.#filling = null;
    this.#filledBytes = 0;
  }

  /** Sends memory that is not of this link; `onReturned` gets it back. */
  forward(slice: Uint8Array<ArrayBuffer>, note: Note): void {
    this.#post({ kind: "block", slice, note }, slice.buffer);
  }

  end(note: Note): void {
    this.flush(note);
    this.#stopTimer();
    this.#post({ kind: "end", note });
  }

  fail(error: unknown): void {
    this.#stopTimer();
    this.#post({ kind: "failed", error: toWire(error) });
  }

  /** Ends the waiting for a block, or an answer, that will never come back, now and later. */
  stop(reason: Error): void {
    this.#stopped ??= reason;
    this.#stopTimer();
    this.#waiting?.reject(reason);
    this.#waiting = null;
    this.#awaitingAnswer?.reject(reason);
    this.#awaitingAnswer = null;
  }

  close(): void {
    this.#stopTimer();
    this.#port.close();
  }

  #stopTimer(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
  }

  #post(message: Message, ...transfer: ArrayBuffer[]): void {
    this.#port.postMessage(message, transfer);
  }

  #take(): Buffer<ArrayBuffer> | null {
    const block = this.#empty.pop();
    if (block !== undefined) return Buffer.from(block);
    if (this.#blocksToMake === 0) return null;
    this.#blocksToMake -= 1;
    return Buffer.from(new ArrayBuffer(blockBytes));
  }

  #giveBack(block: ArrayBuffer): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#empty.push(block);
    else waiting.resolve(block);
  }
}

/** The receiving end: an iteration of blocks, each to be given back when its bytes are used up. */
export class Receiver<Note> implements AsyncIterableIterator<Block<Note>> {
  readonly #port: MessagePort;
  readonly #arrived: Message[] = [];
  #wake: (() => void) | null = null;
  #failure: Error | null = null;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on("message", (message: Message) => {
      this.#arrived.push(message);
      this.#awaken();
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The note of the end; only after the iteration. */
  endNote: Note | null = null;

  async next(): Promise<IteratorResult<Block<Note>, undefined>> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const message = this.#arrived.shift();
      if (message?.kind === "block") return { done: false, value: { slice: message.slice, note: message.note as Note } };
      if (message?.kind === "failed") throw fromWire(message.error);
      if (message?.kind === "end") {
        this.endNote = message.note as Note;
        return { done: true, value: undefined };
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  giveBack(block: ArrayBuffer): void {
    this.#port.postMessage(block, [block]);
  }

  /** Answers the sender, which has to ask for it. */
  answer(answer: boolean): void {
    this.#port.postMessage(answer);
  }

  /** Ends the waiting for what will never come. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#awaken();
  }

  close(): void {
    this.#port.close();
  }

  #awaken(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
