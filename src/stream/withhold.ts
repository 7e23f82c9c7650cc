/**
 * Keeps back the end of a stream until the stream is known to be whole.
 *
 * `zfs recv` commits the snapshot as soon as it reads the END record, which comes before any final tag, MDC or digest
 * (OpenZFS `module/zfs/dmu_recv.c`). So the last bytes are released only once the source has ended, and a source ends
 * only when everything about it was found right.
 */
import type { LentSource } from "../bytes.ts";
import { Tail } from "../tail.ts";

/** More than the 312 bytes of an END record, and of two of them in a compound stream. */
export const withheldBytes = 64 * 1024;

/**
 * Passes all slices on, late: the last `bytes` are in hand until the source has ended. The source may be lent, and what
 * is yielded is.
 */
export async function* withhold(source: LentSource, { bytes }: { bytes: number }): AsyncGenerator<Uint8Array> {
  const held = new Tail(bytes);
  for await (const slice of source) yield* held.push(slice);
  if (held.bytes.length > 0) yield held.bytes;
}
