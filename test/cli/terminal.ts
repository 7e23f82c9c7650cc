/** A terminal of a test's own, with what was written to it. */
import { PassThrough, Writable } from "node:stream";
import type { Terminal } from "../../src/cli/terminal.ts";

export interface OwnTerminal extends Terminal {
  /** What was written so far. */
  readonly written: { stdout: string; stderr: string };
}

export function ownTerminal(some: Partial<Terminal> = {}): OwnTerminal {
  const written = { stdout: "", stderr: "" };
  const into = (name: keyof typeof written): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        written[name] += chunk.toString();
        done();
      },
    });
  return {
    program: ["/usr/bin/node", "/opt/zferry/main.js"],
    environment: {},
    workingDirectory: "/nowhere",
    stdin: new PassThrough(),
    stdinPipe: null,
    stdout: into("stdout"),
    stderr: into("stderr"),
    isInteractive: false,
    stdoutColumns: null,
    stderrColumns: null,
    isRoot: false,
    userId: process.geteuid?.() ?? 0,
    coreCount: 1, // a thread is started from a built file, which sources are not
    usage: () => ({ cpuSeconds: 0, rssBytes: 0, peakRssBytes: 0 }),
    now: () => new Date("2026-11-21T02:00:00Z"),
    signal: new AbortController().signal,
    ...some,
    written,
  };
}
