/**
 * Keeps back the end of a stream until the stream is known to be whole.
 *
 * `zfs recv` commits the snapshot as soon as it reads the END record, which comes before any final tag, MDC or digest
 * (OpenZFS `module/zfs/dmu_recv.c`). So the last bytes are released only once the source has ended, and a source ends
 * only when everything about it was found right.
 */
import type { ByteSource } from "../bytes.ts";

/** More than the 312 bytes of an END record, and of two of them in a compound stream. */
export const withheldBytes = 64 * 1024;

/** Passes all slices on, late: between `bytes` and `bytes` + one slice are in hand until the source has ended. */
export async function* withhold(source: ByteSource, { bytes }: { bytes: number }): AsyncGenerator<Uint8Array> {
  const held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const slice of source) {
    held.push(slice);
    heldBytes += slice.length;
    while (heldBytes > bytes) {
      const first = held[0] ?? slice;
      const surplus = heldBytes - bytes;
      if (first.length > surplus) held[0] = first.subarray(surplus);
      else held.shift();
      const released = first.subarray(0, surplus);
      heldBytes -= released.length;
      yield released;
    }
  }
  yield* held;
}
