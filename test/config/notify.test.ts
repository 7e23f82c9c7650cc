import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import type { NotifySettings } from "../../src/config/notify.ts";

function notifiers(...lines: readonly string[]): readonly NotifySettings[] {
  return parseConfig(`notify:\n${lines.map((line) => `  - ${line}\n`).join("")}`, "x").notify;
}

function refusal(line: string): string {
  try {
    notifiers(line);
  } catch (error) {
    return (error as Error).message.replace(/^x:\d+:\d+: /, "");
  }
  return "it was taken";
}

describe("the notify section", () => {
  it("gives each notifier what it needs, and the rest by default", () => {
    const [webhook, ping, mail] = notifiers("{type: webhook, url: https://x/y, headers: {A: {env: B}}}", "{type: healthchecks, url: {credential: hc}}", "{type: mail, to: root, on: [drill], min_interval: 0s, timeout: 5s}");
    expect(webhook).toEqual({
      type: "webhook",
      name: "webhook",
      on: ["failure", "recovery", "overdue", "drill", "downtime", "disabled"],
      jobs: null,
      timeoutMs: 10_000,
      minIntervalMs: 3_600_000,
      url: { kind: "plain", value: "https://x/y" },
      headers: new Map([["A", { kind: "env", variable: "B" }]]),
      signWith: null,
    });
    expect(ping).toMatchObject({ on: ["start", "success", "failure"], minIntervalMs: 0, url: { kind: "credential", name: "hc" } });
    expect(mail).toMatchObject({ to: ["root"], from: null, sendmail: ["/usr/sbin/sendmail"], on: ["drill"], minIntervalMs: 0, timeoutMs: 5000 });
  });

  it("numbers those of one type that have no name", () => {
    const three = notifiers("{type: command, command: [a]}", "{type: command, command: [b], name: b}", "{type: command, command: [c]}");
    expect(three.map(({ name }) => name)).toEqual(["command", "b", "command-2"]);
  });

  it.for([
    ["a token in plain sight", "{type: pushover, token: abc, user: {env: U}}", /token: a secret does not stand here: write \{file: PATH\}/],
    ["a URL of another kind", "{type: webhook, url: ftp://x}", /url: must be an http:\/\/ or https:\/\/ URL without user and password, or where it is/],
    ["a URL with a password", "{type: webhook, url: https://a:b@x}", /url: must be an http/],
    ["an address with a header in it", '{type: mail, to: "root\\nBcc: x"}', /to: must be a bare address, as in admin@example.org or root/],
    ["two addresses in one", "{type: mail, to: [root, 'a,b']}", /to.*: must be a bare address/],
    ["a header value that is none", '{type: webhook, url: https://x, headers: {A: "x\\ny"}}', /headers.A: must be printable ASCII/],
    ["a timeout that would hold up a run", "{type: command, command: [a], timeout: 2m}", /timeout: must be 1m at most/],
    ["a ping for what it cannot say", "{type: healthchecks, url: https://x, on: [overdue]}", /on.0: /],
    ["a credential that is a folder", "{type: ntfy, topic: t, token: {credential: ..}}", /token.credential: must be the name of a systemd credential/],
    ["a variable that no shell can set", "{type: ntfy, topic: t, token: {env: A B}}", /token.env: must be the name of an environment variable/],
    ["a type nobody knows", "{type: pigeon}", /type: /],
    ["a name that is no name", "{type: command, command: [a], name: ../x}", /name: may hold letters/],
  ] as const)("refuses %s", ([, line, message]) => {
    expect(refusal(line)).toMatch(message);
    expect(refusal(line)).not.toMatch(/abc|a:b@/);
  });

  it("refuses two of one name", () => {
    expect(() => notifiers("{type: command, command: [a], name: x}", "{type: command, command: [b], name: x}")).toThrow(/"x" is the name of another notifier/);
  });

  it("takes a file for metrics that is collected, and no other", () => {
    expect(parseConfig("metrics: {textfile: /a/b.prom}", "x").metrics.textfile).toBe("/a/b.prom");
    expect(() => parseConfig("metrics: {textfile: /a/b.txt}", "x")).toThrow(/must end in .prom/);
  });
});
