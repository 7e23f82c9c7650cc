import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { clock } from "../../src/cli/clock.ts";
import { fitted } from "../../src/cli/live.ts";
import { type Ends, Progress } from "../../src/cli/progress.ts";
import { Traffic } from "../../src/cli/traffic.ts";
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

function progress(isInteractive: boolean, ends: Ends | null = null): { progress: Progress; report: Report; written: OwnTerminal["written"] } {
  const terminal = ownTerminal({ isInteractive, stderrColumns: isInteractive ? 70 : null });
  const report = new Report(terminal, { isJson: false, level: "info" });
  return { progress: new Progress(report, "sent", ends), report, written: terminal.written };
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
    expect(run.written.stderr).toBe(`${clearLine}sent 10.0 MiB of about 100 MiB (10 %) at 1.00 MiB/s, 1:30 left`);
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

describe("progress on a terminal also", () => {
  it("looks at the last seconds: a line that broke down is seen, though nothing passes", () => {
    vi.useFakeTimers({ toFake: ["performance", "setInterval", "clearInterval"] });
    const run = progress(true);
    run.progress.total(100 * MiB);
    later(1000, run, 50 * MiB);
    expect(run.written.stderr).toBe(`${clearLine}sent 50.0 MiB of 100 MiB (50 %) at 50.0 MiB/s, 0:01 left`);
    vi.advanceTimersByTime(40_000);
    expect(run.written.stderr.slice(run.written.stderr.lastIndexOf(clearLine))).toBe(`${clearLine}sent 50.0 MiB of 100 MiB (50 %) at 0 B/s`);
    run.progress.end();
    const ended = run.written.stderr;
    vi.advanceTimersByTime(10_000);
    expect(run.written.stderr).toBe(ended);
  });

  it.for([
    ["source", "zfs send"],
    ["sink", "the store"],
    ["between", "this machine"],
  ] as const)("names what limits: %s is %s", async ([brake, name]) => {
    const run = progress(true, { source: "zfs send", sink: "the store" });
    const { pressure } = run.progress;
    const never = new Promise<void>(() => undefined);
    if (brake !== "sink") void pressure?.asking(never);
    if (brake === "source") void pressure?.reading(never);
    later(2000, run, MiB);
    expect(run.written.stderr).toBe(`${clearLine}sent 1.00 MiB at 512 KiB/s, limit: ${name}`);
    await Promise.resolve();
  });

  it("tells parts in flight, and what is tried again, in a second line where one is too narrow", () => {
    const run = progress(true);
    const traffic = new Traffic();
    run.report.traffic = traffic;
    for (const change of [1, 1, 1, -1] as const) traffic.onPart(change, 4);
    traffic.onRetry({ what: "send part 3", attempt: 1, delayMs: 5000, error: null });
    later(1000, run, MiB);
    run.progress.end();
    expect(run.written.stderr).toBe(`${clearLine}sent 1.00 MiB at 1.00 MiB/s, 2 of 4 parts in flight\n  try 2 in 0:04: send part 3${clearLine}\u001b[1A${clearLine}`);
    later(5000, run, 0);
    expect(run.written.stderr.endsWith(`${clearLine}sent 1.00 MiB at 171 KiB/s, 2 of 4 parts in flight`)).toBe(true);
  });

  it("watches no pipe where nobody looks", () => {
    expect(progress(false, { source: "a", sink: "b" }).progress.watching).toEqual({});
  });
});

it.for([
  [["abc"], 80, "abc"],
  [["abcdefghij", "k"], 20, "abcdefghij, k"],
  [["abcdefghij", "klmnopqrst"], 20, "abcdefghij\n  klmnopqrst"],
  [["abcdefghij", "klmnopqrst", "uvwxyz", "1"], 20, "abcdefghij\n  klmnopqrst"],
  [["a".repeat(30)], 20, `${"a".repeat(16)}…`], // so that the ^C of a terminal fits behind it
  [["日".repeat(30)], 20, `${"日".repeat(8)}…`],
  [["abcdef"], 5, "a…"],
  [["abcdef", "g"], 1, "…\n…"],
  [["a\u001b[2Jb"], 20, "a\\u001b[2Jb"],
] as const)("%j in %d columns is %j", ([pieces, columns, expected]) => {
  expect(fitted(pieces, columns)).toBe(expected);
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
