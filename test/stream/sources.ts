/** Sources that remember what was done to them, and ways to empty a source. */
import type { ByteSource } from "../../src/bytes.ts";

/** `length` bytes, none like its neighbours, so that a byte in a wrong place shows. */
export function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 167 + (index >> 8) * 13) & 0xff);
}

/** Views of `bytes`, `sliceBytes` long each. */
export function sliced(bytes: Uint8Array, sliceBytes: number): Uint8Array[] {
  const slices: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += sliceBytes) slices.push(bytes.subarray(at, at + sliceBytes));
  return slices;
}

export interface WatchedOptions {
  /** Thrown behind the last slice. */
  readonly failure?: Error;
  /** Waited for behind the last slice: for ever, until this is aborted. */
  readonly stuckUntil?: AbortSignal;
}

/** A source that knows how far it was read and how it was left. */
export interface WatchedSource {
  readonly source: AsyncGenerator<Uint8Array>;
  pulledCount: number;
  end: "open" | "ended" | "returned" | "failed";
}

export function watched(slices: Iterable<Uint8Array>, { failure, stuckUntil }: WatchedOptions = {}): WatchedSource {
  const watch: WatchedSource = { source: run(), pulledCount: 0, end: "open" };
  async function* run(): AsyncGenerator<Uint8Array> {
    let end: WatchedSource["end"] = "returned";
    try {
      for (const slice of slices) {
        watch.pulledCount += 1;
        yield await Promise.resolve(slice);
      }
      end = "failed";
      if (stuckUntil !== undefined) await aborted(stuckUntil);
      if (failure !== undefined) throw failure;
      end = "ended";
    } finally {
      watch.end = end;
    }
  }
  return watch;
}

/** Rejects with the signal's reason when it is aborted. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail, { once: true });
  });
}

/** Everything a source yields, and the error it ended with: null for none. */
export async function drain(source: ByteSource): Promise<{ bytes: Buffer; slices: Uint8Array[]; error: unknown }> {
  const slices: Uint8Array[] = [];
  const copies: Uint8Array[] = []; // a slice may be lent only
  try {
    for await (const slice of source) {
      slices.push(slice);
      copies.push(Buffer.from(slice));
    }
    return { bytes: Buffer.concat(copies), slices, error: null };
  } catch (error) {
    return { bytes: Buffer.concat(copies), slices, error };
  }
}

/** The source as the engine's threads give it: each slice is overwritten when the next one is asked for. */
export async function* lent(source: ByteSource): AsyncGenerator<Uint8Array> {
  for await (const slice of source) {
    const own = Buffer.from(slice);
    yield own;
    own.fill(0xaa);
  }
}

/** What `work` throws. Fails the test when it throws nothing. */
export async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error("something that is no error was thrown", { cause: error });
  }
  throw new Error("nothing was thrown");
}

/** Lets everything that is ready run, timers of 0 ms included. */
export async function settled(turns = 10): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
}
