/** Runs a stream through an inspection and tells what came out, what was learned and how it ended. */
import { inspection } from "../../src/stream/inspect.ts";
import type { InspectionOptions, StreamFacts } from "../../src/stream/inspect.ts";

export interface Outcome {
  readonly released: Uint8Array;
  /** The message of the error, "" when it ended well. */
  readonly message: string;
  readonly error: unknown;
  readonly facts: StreamFacts | null;
}

export async function* slices(bytes: Uint8Array, sliceBytes = Infinity): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    yield await Promise.resolve(bytes.subarray(at, at + sliceBytes));
  }
}

export async function inspect(
  source: Uint8Array | AsyncIterable<Uint8Array>,
  { sliceBytes = Infinity, ...options }: Partial<InspectionOptions> & { readonly sliceBytes?: number } = {},
): Promise<Outcome> {
  const stage = inspection({ signal: new AbortController().signal, ...options });
  const released: Uint8Array[] = [];
  try {
    const input = source instanceof Uint8Array ? slices(source, sliceBytes) : source;
    for await (const slice of stage.through(input)) released.push(slice);
    return { released: Buffer.concat(released), message: "", error: null, facts: stage.facts() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { released: Buffer.concat(released), message, error, facts: null };
  }
}
