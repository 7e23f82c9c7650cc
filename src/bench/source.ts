/**
 * Where the bytes come from that `zferry bench` measures with.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import { type ByteSource, KiB, MiB, parseSize } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { syntheticStream } from "../replay/synthetic.ts";
import type { Zfs } from "../zfs/command.ts";
import { readDataset } from "../zfs/inventory.ts";
import { datasetOf, parseSnapshotName, type SnapshotName } from "../zfs/names.ts";
import { send, sendFlagsFor } from "../zfs/send.ts";

export type BenchSource =
  | { readonly kind: "synthetic"; readonly sizeBytes: number }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "zfs"; readonly snapshot: SnapshotName };

/** Opens it from the beginning, each time it is called. */
export type OpenSource = (signal: AbortSignal) => ByteSource;

const forms = "write synthetic:SIZE, file:PATH or zfs:DATASET@SNAPSHOT";
/** Less than this says nothing. */
const minSyntheticBytes = MiB;

/** @throws ZferryError `usage` */
export function parseSource(text: string): BenchSource {
  const at = text.indexOf(":");
  const [kind, rest] = [text.slice(0, at), text.slice(at + 1)];
  if (at > 0 && rest !== "") {
    if (kind === "synthetic") return { kind, sizeBytes: atLeast(parseSize(rest), text) };
    if (kind === "file") return { kind, path: rest };
    if (kind === "zfs") return { kind, snapshot: parseSnapshotName(rest) };
  }
  throw new ZferryError("usage", `"${text}" is no source`, { hint: forms });
}

function atLeast(sizeBytes: number, text: string): number {
  if (sizeBytes >= minSyntheticBytes) return sizeBytes;
  throw new ZferryError("usage", `"${text}" is too little to measure`, { hint: "take 1MiB or more, best 1GiB" });
}

/**
 * Looks whether it is there, and says how it is opened.
 *
 * @throws ZferryError `usage` for a file that cannot be read, `zfs-not-found`, the other `zfs-…` codes
 */
export async function readySource(source: BenchSource, zfs: () => Zfs, signal: AbortSignal): Promise<OpenSource> {
  switch (source.kind) {
    case "synthetic":
      return (runSignal) => synthetic(source.sizeBytes, runSignal);
    case "file":
      await refuseUnreadable(source.path);
      return (runSignal) => readFrom(source.path, runSignal);
    case "zfs":
      return fromZfs(source.snapshot, zfs(), signal);
  }
}

/** The main thread turns to its other work after as many bytes, or Ctrl-C would not be heard. */
const turnBytes = 8 * MiB;

/** A synthetic stream, as fast as it is taken. */
export async function* synthetic(sizeBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for (const slice of syntheticStream({ sizeBytes })) {
    yield slice;
    bytes += slice.length;
    if (bytes < turnBytes) continue;
    bytes = 0;
    await turn();
    signal.throwIfAborted();
  }
}

async function refuseUnreadable(path: string): Promise<void> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new ZferryError("usage", `cannot measure with "${path}": ${why}`, { hint: "name a file that holds a zfs send stream", cause });
  };
  const stats = await stat(path).catch((error: unknown) => refuse((error as NodeJS.ErrnoException).code ?? "unknown", error));
  if (!stats.isFile()) refuse("it is no file");
}

const readBytes = 256 * KiB;

async function* readFrom(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: readBytes, signal });
  try {
    yield* file as AsyncIterable<Buffer>;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

async function fromZfs(snapshot: SnapshotName, zfs: Zfs, signal: AbortSignal): Promise<OpenSource> {
  const dataset = await readDataset(zfs, datasetOf(snapshot), { signal });
  if (dataset?.snapshots.some(({ name }) => name === snapshot) !== true) {
    throw new ZferryError("zfs-not-found", `there is no snapshot "${snapshot}"`, { hint: "`zfs list -t snapshot` shows what there is" });
  }
  const flags = await sendFlagsFor(zfs, dataset, { signal });
  return (runSignal) => send(zfs, { snapshot, base: null, flags }, { signal: runSignal });
}

/** The first `maxBytes` of a source; the rest is not read. */
export async function* firstBytes(source: ByteSource, maxBytes: number): AsyncGenerator<Uint8Array> {
  let leftBytes = maxBytes;
  for await (const slice of source) {
    yield slice.subarray(0, leftBytes);
    leftBytes -= slice.length;
    if (leftBytes <= 0) return;
  }
}
