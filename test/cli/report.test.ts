import { describe, expect, it } from "vitest";
import { type LogLevel, Report, toJson } from "../../src/cli/report.ts";
import { ZferryError } from "../../src/errors.ts";
import { type OwnTerminal, ownTerminal } from "./terminal.ts";

interface Voice {
  readonly report: Report;
  readonly written: OwnTerminal["written"];
}

function voice({ level = "info", isJson = false, isInteractive = false }: { level?: LogLevel; isJson?: boolean; isInteractive?: boolean } = {}): Voice {
  const terminal = ownTerminal({ isInteractive, environment: { NO_COLOR: "1" } });
  return { report: new Report(terminal, { isJson, level }), written: terminal.written };
}

const failure = new ZferryError("store-full", "the disk is full", { hint: "make room", cause: new Error("ENOSPC") });
/** The clock of the terminal. */
const time = "2026-11-21T02:00:00.000Z";
const clearLine = "\r\u001b[2K";

describe("conversation", () => {
  it.for([
    ["error", "", ""],
    ["warn", "", "zferry: warning: careful\n"],
    ["info", "zferry: so far so good\n", "zferry: warning: careful\n"],
    ["debug", "zferry: so far so good\n", "zferry: warning: careful\n"],
  ] as const)("at level %s is on stderr, and only as much as was asked for", ([level, info, warning]) => {
    const { report, written } = voice({ level });
    report.info("so far so good");
    expect(written).toEqual({ stdout: "", stderr: info });
    report.warn("careful");
    expect(written).toEqual({ stdout: "", stderr: info + warning });
  });

  it("as JSON is one object a line", () => {
    const { report, written } = voice({ isJson: true });
    report.info('so "far"\nso good');
    report.warn("careful");
    expect(written.stdout).toBe("");
    const lines = written.stderr.trimEnd().split("\n").map((line) => JSON.parse(line) as unknown);
    expect(lines).toEqual([
      { type: "message", time, level: "info", text: 'so "far"\nso good' },
      { type: "message", time, level: "warn", text: "careful" },
    ]);
  });
});

describe("results", () => {
  it("are text on stdout for people", () => {
    const { report, written } = voice();
    report.text(["one", "two"]);
    report.json({ type: "list" });
    expect(written).toEqual({ stdout: "one\ntwo\n", stderr: "" });
  });

  it("are one JSON document on stdout for programs, identities as strings", () => {
    const { report, written } = voice({ isJson: true });
    report.text(["one", "two"]);
    report.json({ type: "list", guid: 18446744073709551615n, at: new Date(0), none: null });
    expect(written).toEqual({
      stdout: '{"type":"list","guid":"18446744073709551615","at":"1970-01-01T00:00:00.000Z","none":null}\n',
      stderr: "",
    });
  });

  it("and messages show what a terminal would obey, or take for a line of its own, as escapes", () => {
    const { report, written } = voice({ level: "debug" });
    report.text(["a\nb\u001b[2J"]);
    report.warn("c\rd\u202e");
    report.failure(new ZferryError("usage", "e\u009b", { hint: "f\u0000" }));
    expect(written.stdout).toBe("a\\u000ab\\u001b[2J\n");
    expect(written.stderr).toContain("zferry: warning: c\\u000dd\\u202e\nzferry: error: e\\u009b\nzferry: hint: f\\u0000\n");
  });

  it.for(["a\u3164", "a\u115f", "a\u034f", "a\ufe0f", "a\u{e0100}", "a\u200d", "a\u{e0061}", "a\u00ad"])("show %j with what nobody sees: it is not taken for another", (name) => {
    const { report, written } = voice();
    report.text([name]);
    expect(written.stdout).toMatch(/^a\\u/);
  });

  it("of nothing are nothing", () => {
    const { report, written } = voice();
    report.text([]);
    expect(written.stdout).toBe("");
  });
});

describe("a failure", () => {
  it.for(["error", "warn", "info"] as const)("at level %s is told with its hint, and without what lies underneath", (level) => {
    const { report, written } = voice({ level });
    report.failure(failure);
    expect(written).toEqual({ stdout: "", stderr: "zferry: error: the disk is full\nzferry: hint: make room\n" });
  });

  it("without a hint is one line", () => {
    const { report, written } = voice();
    report.failure(new ZferryError("usage", "no store is named"));
    expect(written.stderr).toBe("zferry: error: no store is named\n");
  });

  it("nobody foresaw is called a bug", () => {
    for (const [error, message] of [[new TypeError("x is undefined"), "x is undefined"], ["thrown text", "thrown text"]] as const) {
      const { report, written } = voice();
      report.failure(error);
      expect(written.stderr).toBe(`zferry: error: ${message}\nzferry: hint: this is a bug in zferry: please report it with --log-level debug\n`);
    }
  });

  it("as JSON has code and exit status", () => {
    const { report, written } = voice({ isJson: true, level: "error" });
    report.failure(failure);
    report.failure(new TypeError("x is undefined"));
    const [first, second] = written.stderr.trimEnd().split("\n").map((line) => JSON.parse(line) as unknown);
    expect(first).toEqual({ type: "error", time, level: "error", code: "store-full", message: "the disk is full", hint: "make room", exit: 15 });
    expect(second).toMatchObject({ type: "error", code: "bug", message: "x is undefined", exit: 1 });
    expect(written.stdout).toBe("");
  });

  it("at level debug shows every cause", () => {
    const { report, written } = voice({ level: "debug" });
    report.failure(failure);
    expect(written.stderr).toContain("zferry: error: the disk is full\n");
    expect(written.stderr).toMatch(/zferry: debug: .*the disk is full/);
    expect(written.stderr).toMatch(/zferry: debug: Error: ENOSPC\n +at /);
  });

  it("at level debug ends, though an error may be its own cause", () => {
    const { report, written } = voice({ level: "debug" });
    const circular = new Error("circular");
    circular.cause = circular;
    report.failure(circular);
    expect(written.stderr.length).toBeLessThan(50_000);
  });
});

describe("a live line", () => {
  it.for([
    [{ isInteractive: true }, true],
    [{ isInteractive: false }, false],
    [{ isInteractive: true, isJson: true }, false],
    [{ isInteractive: true, level: "warn" }, false],
    [{ isInteractive: true, level: "debug" }, true],
  ] as const)("makes sense with %j: %s", ([how, expected]) => {
    expect(voice(how).report.isLive).toBe(expected);
  });

  it("is replaced by the next one, and cleared away before anything else is said", () => {
    const { report, written } = voice({ isInteractive: true });
    report.live("10 %");
    report.live("20 %");
    report.warn("careful");
    expect(written.stderr).toBe(`${clearLine}10 %${clearLine}20 %${clearLine}zferry: warning: careful\n`);
  });

  it("is cleared away before a failure too", () => {
    const { report, written } = voice({ isInteractive: true });
    report.live("10 %");
    report.failure(new ZferryError("usage", "no"));
    expect(written.stderr).toBe(`${clearLine}10 %${clearLine}zferry: error: no\n`);
  });
});

it("JSON has nothing that a terminal would obey, or that nobody sees, and is read back as it was", () => {
  const text = "a\u001b[2J\u009b2J\u007f\u202e\u2028\u200b\u{e0041}é日\ud800";
  const json = toJson({ text, "na\u009bme": 1 });
  expect(json).toBe(String.raw`{"text":"a\u001b[2J\u009b2J\u007f\u202e\u2028\u200b\udb40\udc41é日\ud800","na\u009bme":1}`);
  expect(JSON.parse(json)).toEqual({ text, "na\u009bme": 1 });
});

it("JSON never rounds an identity, however deep", () => {
  expect(toJson({ a: [{ guid: 9007199254740993n }] })).toBe('{"a":[{"guid":"9007199254740993"}]}');
});
