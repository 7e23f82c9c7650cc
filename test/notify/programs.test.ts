import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { clean, messageOf } from "../../src/notify/message.ts";
import { ownFolder } from "../folder.ts";
import { happening, tellerOf } from "./listening.ts";

const title = `zferry on ${hostname()}: backup failed: tank/home`;

/** A stand-in that writes down its words and what it is told, and then does as the script says. */
function standIn(script = "exit 0"): { program: string; words: () => string[]; input: () => string } {
  const folder = ownFolder();
  const program = join(folder, "program");
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" >'${folder}/words'\ncat >>'${folder}/input'\n${script}\n`);
  chmodSync(program, 0o700);
  const read = (name: string): string => readFileSync(join(folder, name), "utf8");
  return { program, words: () => read("words").trim().split("\n"), input: () => read("input") };
}

/** A mail as a program would see it: headers unfolded, body decoded. */
function parsed(mail: string): { headers: Map<string, string>; body: string } {
  const at = mail.indexOf("\n\n");
  const lines = mail.slice(0, at).replaceAll("\n ", " ").split("\n");
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
  const raw = mail.slice(at + 2);
  return { headers, body: headers.get("Content-Transfer-Encoding") === "base64" ? Buffer.from(raw, "base64").toString() : raw };
}

/** Encoded words put together again (RFC 2047). */
function subject(headers: ReadonlyMap<string, string>): string {
  const parts = (headers.get("Subject") ?? "").match(/=\?UTF-8\?B\?[^?]*\?=/g) ?? [];
  if (parts.length === 0) return headers.get("Subject") ?? "";
  expect(parts.every((part) => part.length <= 75)).toBe(true);
  return parts.map((part) => Buffer.from(part.slice(10, -2), "base64").toString()).join("");
}

const headerNames = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Importance", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"];

describe("a mail", () => {
  it("goes to sendmail with -t and -i, with the headers a mail has", async () => {
    const sendmail = standIn();
    const teller = tellerOf([{ type: "mail", to: ["root", "admin@example.org"], from: "zferry@example.org", sendmail: [sendmail.program, "-oem"] }]);
    await teller.tell(happening());
    await teller.end();
    expect([sendmail.words(), teller.warnings]).toEqual([["-oem", "-t", "-i"], []]);
    const { headers, body } = parsed(sendmail.input());
    expect([...headers.keys()]).toEqual(headerNames);
    expect([headers.get("From"), headers.get("To"), headers.get("Subject")]).toEqual(["zferry@example.org", "root, admin@example.org", title]);
    expect(headers.get("Date")).toBe("Sat, 21 Nov 2026 02:00:00 +0000");
    expect(headers.get("Message-ID")).toMatch(/^<[0-9a-f-]{36}@[A-Za-z0-9.-]+>$/);
    expect(body).toBe('backup of "tank/home" failed: no space\n\nfailure of job home, 2026-11-21T02:00:00.000Z\n');
  });

  it.for([
    ["a line that looks like a header", "x\nBcc: thief@example.org\n\nbody"],
    ["other ends of lines", "x\r\nBcc: thief@example.org\rBcc: thief@example.org\u2028Bcc: t\u0085Bcc: t\u000bBcc: t"],
    ["a single dot", "x\n.\nMAIL FROM:<thief@example.org>"],
    ["an encoded word", "=?UTF-8?B?QmNjOiB0aGllZg==?="],
    ["quotes, backslashes and another alphabet", 'a "b" \\ \' 密码 ünï 🎉 \u202etxt'],
    ["half a character", "a \ud800 b"],
    ["nothing", ""],
  ] as const)("has no header more for %s in job and text", async ([, hostile]) => {
    const sendmail = standIn();
    const teller = tellerOf([{ type: "mail", to: "root", sendmail: [sendmail.program] }]);
    await teller.tell(happening({ job: hostile, dataset: null, text: hostile }));
    await teller.end();
    const mail = sendmail.input();
    const { headers, body } = parsed(mail);
    expect([...headers.keys()]).toEqual(headerNames.slice(1));
    expect(mail).toMatch(/^[\n\x20-\x7e]*$/);
    expect(subject(headers)).toMatch(/^zferry on .*: backup failed: [^\p{Cc}\u2028]*$/u);
    if (!/[\ud800\n\r]/.test(hostile) && !hostile.includes("\u202e")) expect(subject(headers).endsWith(hostile)).toBe(true);
    expect(body).not.toMatch(/[^\P{Cc}\n]|\u202e/u);
  });

  it("has no line longer than a mail may have, however many it goes to", async () => {
    const sendmail = standIn();
    const to = Array.from({ length: 60 }, (_, index) => `somebody.with.a.name.of.their.own.${index}@mail.example.org`);
    const teller = tellerOf([{ type: "mail", to, sendmail: [sendmail.program] }]);
    await teller.tell(happening());
    await teller.end();
    expect(Math.max(...sendmail.input().split("\n").map((line) => line.length))).toBeLessThanOrEqual(998);
    expect(parsed(sendmail.input()).headers.get("To")).toBe(to.join(", "));
  });

  it("says what sendmail complained of, and tries again only where that may help", async () => {
    for (const [status, count] of [[75, 3], [67, 1], [1, 3]] as const) {
      const sendmail = standIn(`echo 'no route to relay' >&2; echo again >&2; exit ${status}`);
      const teller = tellerOf([{ type: "mail", to: "root", sendmail: [sendmail.program] }]);
      await teller.tell(happening());
      await teller.end();
      expect(teller.warnings).toEqual([`notifier "mail" was not told of "failure" of job "home": "${sendmail.program}" ended with ${status}: no route to relay again`]);
      expect(sendmail.input().split("To: root").length - 1).toBe(count);
    }
  });

  it("says that there is no sendmail", async () => {
    const teller = tellerOf([{ type: "mail", to: "root", sendmail: ["/nowhere/sendmail"] }]);
    await teller.tell(happening());
    await teller.end();
    expect(teller.warnings).toEqual(['notifier "mail" was not told of "failure" of job "home": "/nowhere/sendmail" cannot be run: ENOENT']);
  });
});

describe("a command", () => {
  it("gets the document on stdin, a line of JSON", async () => {
    const { program, input, words } = standIn();
    const teller = tellerOf([{ type: "command", command: [program, "two words", "$HOME"] }]);
    await teller.tell(happening({ text: 'a "b"\nc' }));
    await teller.end();
    expect(words()).toEqual(["two words", "$HOME"]);
    expect(input()).toMatch(/^\{.*\}\n$/);
    expect(JSON.parse(input())).toMatchObject({ kind: "failure", job: "home", dataset: "tank/home", title, text: 'a "b"\nc' });
  });

  it("may end without reading, and what it says is not shown", async () => {
    const { program } = standIn("echo secret >&2; exit 3");
    const teller = tellerOf([{ type: "command", command: ["/bin/true"] }, { type: "command", command: [program] }]);
    await teller.tell(happening());
    await teller.end();
    expect(teller.warnings).toEqual([`notifier "command-2" was not told of "failure" of job "home": "${program}" ended with 3`]);
  });

  it("that hangs is killed with all it has started when its time is up", async () => {
    const folder = ownFolder();
    const sign = join(folder, "alive");
    const { program } = standIn(`trap '' TERM; (while :; do touch '${sign}'; sleep 0.05; done) & sleep 1000`);
    const teller = tellerOf([{ type: "command", command: [program], timeout: "1s" }]);
    const begun = performance.now();
    await teller.tell(happening());
    await teller.end();
    expect(performance.now() - begun).toBeLessThan(13_000);
    expect(teller.warnings).toEqual(['notifier "command" was not told of "failure" of job "home": no answer within 1 s']);
    await sleep(200);
    rmSync(sign, { force: true });
    await sleep(300);
    expect(existsSync(sign)).toBe(false);
  });

  it("whose descendants hold its output open is not waited for", async () => {
    const { program } = standIn("sleep 30 & exit 0");
    const teller = tellerOf([{ type: "mail", to: "root", sendmail: [program], timeout: "10s" }]);
    await teller.tell(happening());
    await teller.end();
    expect(teller.warnings).toEqual([]);
  });
});

describe("whatever the text", () => {
  it("ten megabytes become a kilobyte, and take no time", () => {
    for (const character of ["x", "\u0000", "\n", "密", "🎉", "\ud800"]) {
      const { title: line, text, document } = messageOf([happening({ job: character.repeat(5e6), dataset: null, text: character.repeat(10e6), details: { error: character.repeat(10e6) } })]);
      expect(Buffer.byteLength(line)).toBeLessThanOrEqual(200);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1000);
      expect(Buffer.byteLength(document)).toBeLessThan(5000);
      expect(line).not.toContain("\n");
    }
  });

  it.for([
    ["as it is", "tank/home", 9, "tank/home"],
    ["cut", "tank/home", 8, "tank/…"],
    ["cut between characters", "äöü", 5, "ä…"],
    ["cut before half a character", "a🎉🎉", 8, "a🎉…"],
    ["with escapes for what moves a cursor", "a\u001b[2Jb\r\nc", 99, "a\\u001b[2Jb\nc"],
    ["with an escape for half a character", "a\udc00b", 99, "a\\udc00b"],
  ] as const)("it is shown %s", ([, text, maxBytes, shown]) => {
    expect(clean(text, maxBytes)).toBe(shown);
  });
});
