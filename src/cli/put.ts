/** `zferry put DATASET@SNAPSHOT < stream`: stores what another host sends. */
import type { Command } from "commander";
import { formatRate, formatSize, type ByteSource } from "../bytes.ts";
import { put } from "../put.ts";
import { word } from "../shell.ts";
import { parseSnapshotName } from "../zfs/names.ts";
import { type SharedFlags, withPacking, withStore } from "./options.ts";
import { readPipe } from "./pipe-reader.ts";
import { clock } from "./clock.ts";
import { Progress } from "./progress.ts";
import { counted, rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { ferrySettings, leaseMsFor, type Session, useStore } from "./session.ts";
import { storeSettings } from "./settings.ts";

export function putCommand(command: Command, run: RunCommand): void {
  command.option("--resume", "go on with an unfinished put of this name; stdin must be the same stream from its beginning");
  withPacking(withStore(command, "parts")).action(run(putStream));
}

interface PutFlags extends SharedFlags {
  readonly resume?: boolean;
}

async function putStream(session: Session, [name = ""]: readonly string[], flags: PutFlags): Promise<void> {
  const { report, terminal } = session;
  const backup = parseSnapshotName(name);
  const { config } = session.settings;
  const settings = await ferrySettings(session, storeSettings(flags, config, null), config.defaults.chunkBytes);
  if (settings.packet === "none") report.warn('packet "none": the stream is stored as it is, readable by whoever can read the store');
  const progress = new Progress(report, "read", { source: "stdin", sink: "the store" });
  let storeUrl = "";
  const manifest = await useStore(session, { access: "write", named: null }, ({ store, settings: opened }) => {
    storeUrl = store.url;
    return put({
      store,
      backup,
      open: (signal) => (terminal.stdinPipe === null ? readAll(terminal.stdin, signal) : readPipe(terminal.stdinPipe, signal)),
      settings,
      stateDir: session.settings.stateDir,
      leaseMs: leaseMsFor(session, opened),
      isResumed: flags.resume === true,
      progress: { onRead: progress.count, onStored: () => undefined, warn: report.warn, tell: report.tell, ...progress.watching },
      signal: terminal.signal,
    });
  }).finally(() => {
    progress.end();
  });
  const { stream, messageBytes, chunks, kind, base } = manifest;
  const { seconds } = progress;
  report.json({
    type: "put",
    backup,
    kind,
    guid: manifest.snapshot.guid,
    baseGuid: base?.guid ?? null,
    streamBytes: stream.sizeBytes,
    storedBytes: messageBytes,
    chunkCount: chunks.length,
    seconds: rounded(seconds),
  });
  report.done([
    `stored ${kind} backup ${backup}: ${formatSize(messageBytes)} in ${counted(chunks.length, "chunk")}, ` +
      `${clock(seconds)}, ${formatRate(stream.sizeBytes, seconds)}, into ${storeUrl}`,
  ]);
  report.next(`zferry verify ${word(backup)} with the same --store and a key proves that it would restore`);
}

/** Stdin as a source. Its end proves nothing; that the stream is whole is found by looking at its records. */
async function* readAll(stdin: Session["terminal"]["stdin"], signal: AbortSignal): ByteSource & AsyncGenerator<Uint8Array> {
  const stop = (): void => {
    stdin.destroy(signal.reason instanceof Error ? signal.reason : undefined);
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    signal.throwIfAborted();
    yield* stdin as AsyncIterable<Uint8Array>;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
