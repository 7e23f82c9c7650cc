/** Stores a send stream, whoever made it. */
import { type ByteSource, parseSnapshotName, put, type Recipients, type Store } from "zferry";

/** @param source - opens the stream; must throw unless it is whole */
export async function storeStream(store: Store, name: string, source: () => ByteSource, recipients: Recipients, signal: AbortSignal): Promise<number> {
  const manifest = await put({
    store,
    backup: parseSnapshotName(name),
    open: source,
    settings: { packet: "ocb", recipients, chunkBytes: 1024 ** 3, partBytes: 16 * 1024 ** 2, threads: 0 },
    stateDir: null, // nothing is remembered here, so a put that is cut off begins anew
    progress: {
      onRead: () => undefined,
      onStored: () => undefined,
      warn: console.warn,
      tell: ({ event }) => {
        console.log(event);
      },
    },
    signal,
  });
  return manifest.messageBytes;
}
