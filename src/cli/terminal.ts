/**
 * The outside as the commands see it: `main.ts` makes one from the process, tests make their own.
 */
import type { Readable, Writable } from "node:stream";
import type { ProcessUsage } from "../bench/meter.ts";

export interface Terminal {
  /** How this program is started again: Node and the script, by full path. */
  readonly program: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly stdin: Readable;
  /** The descriptor of a stdin that is a pipe or a socket, which is read by itself (`pipe-reader.ts`); `stdin` is left alone then. */
  readonly stdinPipe: number | null;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Whether a person is looking at stderr as it is written. */
  readonly isInteractive: boolean;
  /** How wide stdout is, in columns, at this moment; null when it is no terminal. */
  readonly stdoutColumns: number | null;
  /** The same of stderr. */
  readonly stderrColumns: number | null;
  readonly isRoot: boolean;
  /** The effective user, whose files are believed. */
  readonly userId: number;
  /** Processors this process may use. */
  readonly coreCount: number;
  /** What this process has used so far. */
  readonly usage: () => ProcessUsage;
  readonly now: () => Date;
  /** Aborted by SIGINT and SIGTERM, with the error to end with as its reason. */
  readonly signal: AbortSignal;
}
