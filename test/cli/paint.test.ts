import { describe, expect, it } from "vitest";
import { painted, rendered, wantsColour } from "../../src/cli/paint.ts";
import { Report, reportOptions } from "../../src/cli/report.ts";
import { momentText } from "../../src/cli/moments.ts";
import { ZferryError } from "../../src/errors.ts";
import { ownTerminal } from "./terminal.ts";

describe("colour", () => {
  it.for([
    [{}, true, true],
    [{}, false, false],
    [{ TERM: "dumb" }, true, false],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
    [{ FORCE_COLOR: "false" }, true, false],
    [{ FORCE_COLOR: "1", NO_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "1", TERM: "dumb" }, false, true],
  ] as const)("with %j on a terminal (%s) is wanted: %s", ([environment, isTerminal, expected]) => {
    expect(wantsColour(environment, isTerminal)).toBe(expected);
  });

  it("never lets through what is in the text", () => {
    expect(rendered(["a", painted("b\u001b[5m", "bad")], true)).toBe("a\u001b[31mb\\u001b[5m\u001b[39m");
    expect(rendered(painted("x", "good"), false)).toBe("x");
  });

  it("is on a terminal alone: the other stream, a file, has none", () => {
    const terminal = ownTerminal({ stdoutColumns: 80, isInteractive: false });
    const report = new Report(terminal, { isJson: false, level: "info" });
    report.text([painted("ok", "good")]);
    report.failure(new ZferryError("usage", "no", { hint: "so" }));
    expect(terminal.written).toEqual({ stdout: "\u001b[32mok\u001b[39m\n", stderr: "zferry: error: no\nzferry: hint: so\n" });
  });

  it("is in no JSON, not even when it is forced", () => {
    const terminal = ownTerminal({ environment: { FORCE_COLOR: "1" } });
    const report = new Report(terminal, { isJson: true, level: "info" });
    report.warn("careful");
    report.failure(new ZferryError("usage", "no"));
    expect(terminal.written.stderr).not.toContain("\u001b");
  });
});

describe("--quiet", () => {
  it("leaves warnings, errors and what was asked for", () => {
    const terminal = ownTerminal({ isInteractive: true, stderrColumns: 80, environment: { NO_COLOR: "1" } });
    const report = new Report(terminal, reportOptions({ quiet: true, logLevel: "info" }));
    report.info("so far so good");
    report.remark("all in all");
    report.next("go on");
    report.warn("careful");
    report.done(["stored"]);
    report.text(["listed"]);
    expect(report.isLive).toBe(false);
    expect(terminal.written).toEqual({ stdout: "listed\n", stderr: "zferry: warning: careful\n" });
  });

  it.for([["error", "error"], ["warn", "warn"], ["info", "warn"], ["debug", "warn"]] as const)("makes level %s %s", ([logLevel, level]) => {
    expect(reportOptions({ quiet: true, logLevel }).level).toBe(level);
  });
});

describe("what can be done next", () => {
  it.for([[true, "zferry: next: go on\n"], [false, ""]] as const)("is told to somebody who sits there (%s)", ([isInteractive, expected]) => {
    const terminal = ownTerminal({ isInteractive, environment: { NO_COLOR: "1" } });
    new Report(terminal, { isJson: false, level: "info" }).next("go on");
    expect(terminal.written.stderr.replace("\r\u001b[2K", "")).toBe(expected);
  });

  it("is told on a terminal that cannot take a line back, and nothing moves there", () => {
    const terminal = ownTerminal({ isInteractive: true, stderrColumns: 80, environment: { TERM: "dumb" } });
    const report = new Report(terminal, { isJson: false, level: "info" });
    report.remark("all in all");
    report.next("go on");
    report.failure(new ZferryError("usage", "no"));
    expect([report.isLive, terminal.written.stderr]).toEqual([false, "zferry: all in all\nzferry: next: go on\nzferry: error: no\n"]);
  });
});

it.for([
  ["second", false, "2026-11-21T07:42:05Z"],
  ["minute", false, "2026-11-21T07:42Z"],
  ["day", false, "2026-11-21"],
  ["second", true, /^2026-11-2\d \d\d:\d\d (UTC|[+-]\d\d:\d\d)$/],
  ["minute", true, /^2026-11-2\d \d\d:\d\d (UTC|[+-]\d\d:\d\d)$/],
  ["day", true, /^2026-11-2\d$/],
] as const)("a moment to the %s, of this place: %s, is %s", ([precision, isLocal, expected]) => {
  expect(momentText(new Date("2026-11-21T07:42:05Z"), precision, isLocal)).toMatch(expected);
});

it("a moment of this place has its zone", () => {
  const before = process.env.TZ;
  try {
    for (const [zone, expected] of [["Asia/Kolkata", "2026-11-21 13:12 +05:30"], ["America/New_York", "2026-11-21 02:42 -05:00"], ["UTC", "2026-11-21 07:42 UTC"]] as const) {
      process.env.TZ = zone;
      expect(momentText(new Date("2026-11-21T07:42:05Z"), "minute", true)).toBe(expected);
    }
  } finally {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  }
});
