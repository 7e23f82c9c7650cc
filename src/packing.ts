/**
 * From the stream to the message that is stored: sealed, and with the SHA-256 of every mark known. The ciphers and hashes
 * run in worker threads, so that this one only reads, schedules and talks to the store; with no threads they run here.
 * The bytes are the same either way.
 */
import type { Attempt } from "./attempt.ts";
import { asBuffer, type ByteSource, chained, type LentSource } from "./bytes.ts";
import type { FerrySettings } from "./cargo.ts";
import { type Message, sealingSteps } from "./openpgp/encrypt.ts";
import { type Mark, MarkQueue, MarkWalk } from "./stream/digest.ts";
import type { Run } from "./stream/run.ts";
import { throughLine } from "./thread/line.ts";
import type { Station } from "./thread/station.ts";

/** A cipher and a hash is all there is to run side by side. */
export const maxThreads = 2;

/** As many as there is work for, or none on a machine with one core, where they would only be in each other's way. */
export function defaultThreads(coreCount: number): number {
  return coreCount > 1 ? maxThreads : 0;
}

/** `marks` has each mark before the bytes that complete it have come out of `message`. */
export interface Packing {
  readonly message: LentSource;
  readonly marks: MarkQueue;
}

/** Packs the stream under the attempt's keys. Holds up to 3 MiB a thread, and 3 MiB more, of blocks that go round. */
export function packing(stream: ByteSource, attempt: Attempt, settings: FerrySettings, run: Run): Packing {
  const { packet, chunkBytes, partBytes, threads = 0 } = settings;
  const { secrets, lock } = attempt;
  const message = packet === "none" || lock === null ? null : { packet, secrets, sessionKeyPackets: lock.packets };
  const layout = { chunkBytes, markBytes: partBytes };
  const marks = new MarkQueue();
  if (threads === 0) return { message: packedHere(stream, message, new MarkWalk(layout), marks), marks };
  const stations: Station[] = [...sealing(message), { kind: "mark", layout }];
  return { message: packedInThreads(stream, { stations, threads }, marks, run), marks };
}

function sealing(message: Message | null): Station[] {
  return message === null ? [] : sealingSteps(message).map((_, step) => ({ kind: "seal", message, step }));
}

async function* packedHere(
  stream: ByteSource,
  message: Message | null,
  walk: MarkWalk,
  marks: MarkQueue,
): AsyncGenerator<Uint8Array> {
  const sealed = chained(message === null ? [] : sealingSteps(message));
  function* marked(pieces: Iterable<Buffer>): Generator<Buffer> {
    for (const piece of pieces) {
      marks.push(walk.push(piece));
      yield piece;
    }
  }
  for await (const slice of stream) yield* marked(sealed.push(asBuffer(slice)));
  yield* marked(sealed.end());
  marks.push(walk.end());
}

async function* packedInThreads(
  stream: ByteSource,
  plan: { readonly stations: readonly Station[]; readonly threads: number },
  marks: MarkQueue,
  run: Run,
): AsyncGenerator<Uint8Array> {
  const blocks = throughLine<null, readonly Mark[]>(
    plan,
    run,
    async (input) => {
      for await (const slice of stream) await input.write(asBuffer(slice), null);
      return null;
    },
    (last) => {
      marks.push(last);
    },
  );
  for await (const { slice, note } of blocks) {
    marks.push(note);
    yield slice;
  }
}
