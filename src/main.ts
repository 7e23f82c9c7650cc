#!/usr/bin/env node
/**
 * The process: arguments in, exit status out, signals turned into an orderly end. Nothing else touches `process`.
 */
import { setMaxListeners } from "node:events";
import { fstatSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { WriteStream } from "node:tty";
import { runToExit } from "./cli/program.ts";
import { ZferryError } from "./errors.ts";
import type { Terminal } from "./cli/terminal.ts";

// The SDK's version is pinned; its advice to whoever upgrades it has no place among the messages of a backup.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

const stop = new AbortController();
setMaxListeners(0, stop.signal); // whatever waits for the outside listens, and how much that is is bounded elsewhere
let signalCount = 0;

function onSignal(name: "SIGINT" | "SIGTERM"): void {
  signalCount += 1;
  if (signalCount > 1) process.exit(name === "SIGINT" ? 130 : 143); // asked twice: do not wait for the clean-up
  const code = name === "SIGINT" ? "interrupted" : "terminated";
  stop.abort(new ZferryError(code, `stopped by ${name}`, { hint: "nothing was changed; run it again" }));
}

process.on("SIGINT", () => {
  onSignal("SIGINT");
});
process.on("SIGTERM", () => {
  onSignal("SIGTERM");
});
process.stdout.on("error", () => undefined); // whoever writes hears of it through its own callback, or at the end
process.stderr.on("error", () => undefined); // no backup ends because nobody reads its log

/** Whether the descriptor is one; false for one that is closed. */
function isPipe(fd: number): boolean {
  try {
    const stats = fstatSync(fd);
    return stats.isFIFO() || stats.isSocket();
  } catch {
    return false;
  }
}

/** A terminal that does not know its width (0, a serial line) is as wide as they were. */
function columnsOf(stream: WriteStream): number | null {
  return stream.isTTY ? stream.columns || 80 : null;
}

const terminal: Terminal = {
  program: [process.execPath, process.argv[1] ?? ""],
  environment: process.env,
  workingDirectory: process.cwd(),
  get stdin() {
    return process.stdin; // made when asked for: it would take the pipe for itself
  },
  stdinPipe: isPipe(0) ? 0 : null,
  stdout: process.stdout,
  stderr: process.stderr,
  isInteractive: process.stderr.isTTY,
  get stdoutColumns() {
    return columnsOf(process.stdout);
  },
  get stderrColumns() {
    return columnsOf(process.stderr);
  },
  isRoot: process.getuid?.() === 0,
  userId: process.geteuid?.() ?? 0,
  coreCount: availableParallelism(),
  usage: () => {
    const { user, system } = process.cpuUsage();
    const peakRssBytes = process.resourceUsage().maxRSS * 1024;
    return { cpuSeconds: (user + system) / 1e6, rssBytes: process.memoryUsage.rss(), peakRssBytes };
  },
  now: () => new Date(),
  signal: stop.signal,
};

process.exitCode = await runToExit(process.argv.slice(2), terminal);
// A stdin nobody read to its end would keep the process alive.
if (terminal.stdinPipe === null) process.stdin.destroy();
