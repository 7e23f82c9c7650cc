import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { clock, Progress } from "../../src/cli/progress.ts";
import { Report } from "../../src/cli/report.ts";
import { MiB } from "../../src/bytes.ts";
import { type OwnTerminal, ownTerminal } from "./terminal.ts";

const clearLine = "\r\u001b[2K";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function progress(isInteractive: boolean): { progress: Progress; written: OwnTerminal["written"] } {
  const terminal = ownTerminal({ isInteractive });
  return { progress: new Progress(new Report(terminal, { isJson: false, level: "info" }), "sent"), written: terminal.written };
}

/** Counts `bytes` after `ms`. */
function later(ms: number, { progress: of }: { progress: Progress }, bytes: number): void {
  vi.advanceTimersByTime(ms);
  of.count(bytes);
}

describe("progress on a terminal", () => {
  it("is one line, changed four times a second at most", () => {
    const run = progress(true);
    later(100, run, MiB);
    later(149, run, MiB);
    expect(run.written.stderr).toBe("");
    later(1, run, 0);
    expect(run.written.stderr).toBe(`${clearLine}sent 2.00 MiB at 8.00 MiB/s`);
    later(249, run, MiB);
    later(1, run, MiB);
    expect(run.written.stderr).toBe(`${clearLine}sent 2.00 MiB at 8.00 MiB/s${clearLine}sent 4.00 MiB at 8.00 MiB/s`);
    expect(run.progress.bytes).toBe(4 * MiB);
    expect(run.progress.seconds).toBe(0.5);
  });

  it("tells how much is left when that can be guessed", () => {
    const run = progress(true);
    run.progress.expect(100 * MiB);
    later(10_000, run, 10 * MiB);
    expect(run.written.stderr).toBe(`${clearLine}sent 10.0 MiB of about 100 MiB at 1.00 MiB/s, 1:30 left`);
  });

  it("stops guessing when more has come than was expected", () => {
    const run = progress(true);
    run.progress.expect(MiB);
    later(1000, run, 2 * MiB);
    expect(run.written.stderr).toBe(`${clearLine}sent 2.00 MiB at 2.00 MiB/s`);
  });

  it("does not guess without an estimate, and survives having counted nothing", () => {
    const run = progress(true);
    run.progress.expect(null);
    later(1000, run, 0);
    run.progress.expect(MiB);
    later(1000, run, 0);
    expect(run.written.stderr).toBe(`${clearLine}sent 0 B at 0 B/s`.repeat(2));
  });

  it("leaves a clean line at its end", () => {
    const run = progress(true);
    later(1000, run, MiB);
    run.progress.end();
    expect(run.written.stderr.endsWith(clearLine)).toBe(true);
  });
});

describe("progress in a log", () => {
  it("is a line a minute, and nothing for what ends sooner", () => {
    const run = progress(false);
    later(59_999, run, MiB);
    expect(run.written.stderr).toBe("");
    later(1, run, 59 * MiB);
    expect(run.written.stderr).toBe("zferry: sent 60.0 MiB at 1.00 MiB/s\n");
    later(1000, run, MiB);
    run.progress.end();
    expect(run.written.stderr).toBe("zferry: sent 60.0 MiB at 1.00 MiB/s\n");
  });
});

it.for([
  [0, "0:00"],
  [0.4, "0:00"],
  [59.6, "1:00"],
  [185, "3:05"],
  [3599.6, "1:00:00"],
  [3723, "1:02:03"],
  [360_000, "100:00:00"],
] as const)("%d seconds are %s on the clock", ([seconds, text]) => {
  expect(clock(seconds)).toBe(text);
});
