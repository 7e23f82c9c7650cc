/** `zferry get DATASET@SNAPSHOT > stream`: the verified stream on stdout. */
import type { Writable } from "node:stream";
import type { Command } from "commander";
import type { ByteSource } from "../bytes.ts";
import { formatRate, formatSize } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { getLent } from "../get.ts";
import { datasetOf, parseSnapshotName } from "../zfs/names.ts";
import { type SharedFlags, withOpening, withStores } from "./options.ts";
import { clock } from "./clock.ts";
import { Progress } from "./progress.ts";
import type { RunCommand } from "./run-command.ts";
import { readOptions, type Session } from "./session.ts";
import { patience } from "./settings.ts";
import { FallOvers, sourceSettings, useSources } from "./sources.ts";

export function getCommand(command: Command, run: RunCommand): void {
  withOpening(withStores(command, patience.text)).action(run(getStream));
}

async function getStream(session: Session, [name = ""]: readonly string[], flags: SharedFlags): Promise<void> {
  const { report, terminal, settings } = session;
  const backup = parseSnapshotName(name);
  const progress = new Progress(report, "read", { source: "the store", sink: "stdout" });
  const wanted = sourceSettings(flags, settings.config, flags.stores ?? [], datasetOf(backup));
  const options = { ...(await readOptions(session, wanted[0], progress.count)), ...progress.watching };
  const fallOvers = new FallOvers(report);
  await useSources(session, { wanted, fallOvers }, (sources) => writeAll(getLent(sources, backup, options), terminal.stdout, terminal.signal)).finally(() => {
    progress.end();
  });
  const { bytes, seconds } = progress;
  report.info(`read ${backup}: ${formatSize(bytes)}, ${clock(seconds)}, ${formatRate(bytes, seconds)}; everything verified`);
  for (const line of fallOvers.summary) report.info(line);
}

/**
 * Writes with backpressure. When the source throws, stdout is left open for `main.ts` to exit with the error's status:
 * a reader behind a pipe sees an end without the END record, which `zfs recv` refuses.
 */
async function writeAll(source: ByteSource, stdout: Writable, signal: AbortSignal): Promise<void> {
  const closed = new AbortController();
  const onClose = (error?: Error): void => {
    closed.abort(
      new ZferryError("usage", `stdout was closed before the stream ended${error === undefined ? "" : `: ${error.message}`}`, {
        hint: "look at what the program behind the pipe said",
      }),
    );
  };
  stdout.once("error", onClose);
  const either = AbortSignal.any([signal, closed.signal]);
  try {
    for await (const slice of source) {
      either.throwIfAborted();
      await written(stdout, slice, { signal: either, onError: onClose });
    }
    either.throwIfAborted();
  } finally {
    stdout.removeListener("error", onClose);
  }
}

interface Writing {
  readonly signal: AbortSignal;
  /** Must abort the signal. */
  readonly onError: (error: Error) => void;
}

/** Waits until the slice has left: it is only lent, and stdout may keep what it was given. */
function written(stdout: Writable, slice: Uint8Array, { signal, onError }: Writing): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    };
    signal.addEventListener("abort", stop, { once: true });
    stdout.write(slice, (error) => {
      if (error != null) {
        onError(error);
        return;
      }
      signal.removeEventListener("abort", stop);
      resolve();
    });
  });
}
