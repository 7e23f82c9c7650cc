#!/usr/bin/env node
/**
 * The process: arguments in, exit status out, signals turned into an orderly end. Nothing else touches `process`.
 */
import { Report } from "./cli/report.ts";
import { runProgram, UsageAlreadyTold } from "./cli/program.ts";
import { ZferryError, exitStatus } from "./errors.ts";
import type { Terminal } from "./cli/terminal.ts";

const stop = new AbortController();
let signalCount = 0;

function onSignal(name: "SIGINT" | "SIGTERM"): void {
  signalCount += 1;
  if (signalCount > 1) process.exit(name === "SIGINT" ? 130 : 143); // asked twice: do not wait for the clean-up
  const code = name === "SIGINT" ? "interrupted" : "terminated";
  stop.abort(new ZferryError(code, `stopped by ${name}`, { hint: "nothing of this run was committed; run it again" }));
}

process.on("SIGINT", () => {
  onSignal("SIGINT");
});
process.on("SIGTERM", () => {
  onSignal("SIGTERM");
});
process.stdout.on("error", () => undefined); // whoever writes hears of it through its own callback

const terminal: Terminal = {
  environment: process.env,
  workingDirectory: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  isInteractive: process.stderr.isTTY,
  isRoot: process.getuid?.() === 0,
  now: () => new Date(),
  signal: stop.signal,
};

/** The flags that shape how a failure is told, read again here because they may be what is wrong. */
function reportOfArguments(words: readonly string[]): Report {
  const level = words.some((word, at) => word === "--log-level=debug" || (word === "--log-level" && words[at + 1] === "debug"));
  return new Report(terminal, { isJson: words.includes("--json"), level: level ? "debug" : "info" });
}

const words = process.argv.slice(2);
try {
  await runProgram(words, terminal);
} catch (error) {
  if (!(error instanceof UsageAlreadyTold)) reportOfArguments(words).failure(error);
  process.exitCode = exitStatus(error);
}
// A stdin nobody read to its end would keep the process alive.
process.stdin.destroy();
