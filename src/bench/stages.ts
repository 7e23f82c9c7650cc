/**
 * The stages of a backup, put together as far as a trial asks for, on the engine's own code:
 *
 *   source → inspect → seal and hash → cut → store
 *
 * Every trial seals under keys of its own that nobody is told: what it leaves in a store cannot be read by anyone.
 */
import type { Attempt } from "../attempt.ts";
import { Meter, type Measured, type ProcessUsage } from "./meter.ts";
import { firstBytes, type OpenSource, synthetic } from "./source.ts";
import type { ByteSource } from "../bytes.ts";
import { chunksInFlight, lent } from "../ferry.ts";
import type { PacketName } from "../format/layout.ts";
import { newMessageSecrets } from "../openpgp/session.ts";
import { packing } from "../packing.ts";
import type { Store } from "../store/store.ts";
import { type Chunk, cut } from "../stream/cut.ts";
import { ChunkMeter, type MarkQueue } from "../stream/digest.ts";
import { inspection } from "../stream/inspect.ts";
import { parallel } from "../stream/parallel.ts";
import { Run } from "../stream/run.ts";

/**
 * How far a trial goes. `source`, `inspect`, `seal` and `store` each contain the ones before them; `upload` is the store
 * alone, with synthetic bytes, so that nothing of the user's goes there unsealed.
 */
export type Stage = "source" | "inspect" | "seal" | "store" | "upload";

export interface Trial {
  readonly stage: Stage;
  /** Null where nothing is sealed. */
  readonly packet: PacketName | null;
  readonly threads: number | null;
  /** Parts in flight; null where nothing is stored. */
  readonly concurrency: number | null;
}

export interface Figures extends Trial, Measured {}

export interface Layout {
  readonly chunkBytes: number;
  readonly partBytes: number;
}

/** Where a trial's objects go. */
export interface Destination {
  readonly store: Store;
  readonly prefix: string;
}

export interface TrialRequest {
  readonly open: OpenSource;
  /** Not more of the stream than this. */
  readonly maxBytes: number;
  readonly layout: Layout;
  /** For `store` and `upload`, and only for them. */
  readonly destination: Destination | null;
  readonly usage: () => ProcessUsage;
  readonly signal: AbortSignal;
}

/** @throws what the source, the stages or the store threw; the signal's reason */
export async function runTrial(trial: Trial, request: TrialRequest): Promise<Figures> {
  const run = new Run(request.signal);
  const meter = new Meter(request.usage);
  let bytes = 0;
  const count = (slice: Uint8Array): void => {
    bytes += slice.length;
  };
  let measured: Measured;
  try {
    await pass(trial, request, run, count);
    run.signal.throwIfAborted();
  } catch (error) {
    run.fail(error);
    throw run.failure;
  } finally {
    measured = meter.stop(bytes);
  }
  const { stage, packet, threads, concurrency } = trial;
  return { stage, packet, threads, concurrency, ...measured };
}

/** `count` sees what comes out of the source, or of the inspection behind it. */
async function pass(trial: Trial, { open, maxBytes, layout, destination }: TrialRequest, run: Run, count: (slice: Uint8Array) => void): Promise<void> {
  const { stage, packet, threads } = trial;
  const { signal } = run;
  const source = stage === "upload" ? synthetic(maxBytes, signal) : open(signal);
  const checked = stage === "source" || stage === "upload" ? source : inspection({ signal }).through(source);
  const stream = counted(firstBytes(checked, maxBytes), count);
  if (stage === "source" || stage === "inspect") return drain(stream);
  if (stage === "upload") return upload(cut(stream, layout), null, layout, destination, run);
  const settings = { packet: packet ?? "none", recipients: { passphrases: [], certificates: [] }, threads: threads ?? 0, ...layout };
  const { message, marks } = packing(stream, freshAttempt(settings.packet), settings, run);
  if (stage === "store") return upload(cut(message, layout), marks, layout, destination, run);
  for await (const { body } of cut(message, layout)) await drain(body);
}

/** Keys that are forgotten: the message begins with no packet in which anyone could find them. */
function freshAttempt(packet: PacketName): Attempt {
  const secrets = newMessageSecrets();
  const lock = packet === "none" ? null : { sessionKey: secrets.sessionKey, packets: Buffer.alloc(0) };
  return { id: "00000000", startedAt: new Date(), secrets, lock, journal: null };
}

async function drain(source: AsyncIterable<unknown>): Promise<void> {
  const slices = source[Symbol.asyncIterator]();
  while ((await slices.next()).done !== true);
}

async function* counted(source: ByteSource, count: (slice: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  for await (const slice of source) {
    count(slice);
    yield slice;
  }
}

/** As `ferry.ts` does it, without journal and manifest. */
async function upload(
  chunks: AsyncIterable<Chunk>,
  marks: MarkQueue | null,
  { partBytes }: Layout,
  destination: Destination | null,
  run: Run,
): Promise<void> {
  if (destination === null) throw new Error("a trial that stores needs a store");
  const { store, prefix } = destination;
  const put = async ({ index, body }: Chunk): Promise<void> => {
    const key = `${prefix}${String(index).padStart(6, "0")}`;
    const meter = marks === null ? null : new ChunkMeter({ markBytes: partBytes, sha256At: (mark) => marks.take(index, mark) });
    try {
      await store.put(key, meter === null ? lent(body) : meter.through(lent(body)), { when: "replace", signal: run.signal });
    } catch (error) {
      run.fail(error);
      throw error;
    } finally {
      await body.return?.();
    }
  };
  await drain(parallel(chunks, { limit: chunksInFlight, run }, put));
}
