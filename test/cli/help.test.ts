/** `zferry help TOPIC`, and man pages: the documents and the help in other shapes. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commandTable, nameOf } from "../../src/cli/commands.ts";
import { fittedHelp } from "../../src/cli/help-text.ts";
import { manPages } from "../../src/cli/man.ts";
import { shownMarkdown } from "../../src/cli/markdown.ts";
import { rendered } from "../../src/cli/paint.ts";
import { runToExit } from "../../src/cli/program.ts";
import { topicNames, topicText } from "../../src/cli/topics.ts";
import stringWidth from "string-width";
import { need } from "../systems.ts";
import { ownTerminal } from "./terminal.ts";
import { Scene } from "./zferry.ts";

const docs = new URL("../../docs/", import.meta.url);

describe("a topic", () => {
  it("in a pipe is the document as it is", async () => {
    const { stdout } = await new Scene().run(["help", "retention"]);
    expect(stdout.toString()).toBe(readFileSync(new URL("retention.md", docs), "utf8"));
  });

  it.for([["exit-codes", "errors"], ["restore", "recovery"], ["keys", "guides/keys"], ["environment", "environment"]] as const)("%s is %s.md", async ([topic, file]) => {
    expect(await topicText(topic)).toBe(readFileSync(new URL(`${file}.md`, docs), "utf8"));
  });

  it("is every document but those in capitals, and they are listed", async () => {
    const documents = readdirSync(docs).filter((name) => /^[a-z].*\.md$/.test(name)).map((name) => name.slice(0, -3));
    expect(await topicNames()).toEqual(expect.arrayContaining([...documents, "exit-codes", "keys"]));
    for (const topic of await topicNames()) expect(await topicText(topic)).toMatch(/^# /);
    expect((await new Scene().run(["help", "topics"])).stdout.toString()).toBe(`${(await topicNames()).join("\n")}\n`);
  });

  it("that is none is refused with what there is, and no file elsewhere is read", async () => {
    for (const name of ["nonsense", "../README", "adr/0001-language"]) {
      const { exit, stderr } = await new Scene().run(["help", name]);
      expect(exit).toBe(2);
      expect(stderr).toMatch(/there is no command and no topic ".*"\nzferry: hint: topics are .*retention/);
    }
  });

  it.for([60, 80, 100])("on a terminal of %d columns fits, with every word of every document", async (width) => {
    for (const topic of await topicNames()) {
      const lines = shownMarkdown(await topicText(topic), width).map((line) => rendered(line, false));
      const tooWide = lines.filter((line) => stringWidth(line) > width && !line.startsWith("    ") && !/\S{30}/.test(line));
      expect([topic, tooWide]).toEqual([topic, []]);
    }
  });

  it("that is a command's name too is the command", async () => {
    const { stdout } = await new Scene().run(["help", "restore"]);
    expect(stdout.toString()).toContain("Usage: zferry restore ");
  });

  it("on a terminal has its headings in bold, and no marks of markdown", async () => {
    const terminal = ownTerminal({ stdoutColumns: 80 });
    expect(await runToExit(["help", "exit-codes"], terminal)).toBe(0);
    expect(terminal.written.stdout).toContain("\u001b[1mExit status and error codes\u001b[22m\n");
    expect(terminal.written.stdout).not.toMatch(/^\||^#|\]\(/m);
  });
});

describe("man pages", () => {
  it("are one for the program and one for each command, with every option", async () => {
    const pages = new Map((await manPages()).map(({ file, text }) => [file, text]));
    const shown = commandTable.filter(({ isHidden }) => isHidden !== true).map(nameOf);
    expect([...pages.keys()]).toEqual(["zferry.1", ...shown.map((name) => `zferry-${name}.1`)]);
    for (const name of shown) {
      const { stdout } = await new Scene().run([name, "--help"]);
      for (const [, flag = ""] of stdout.toString().matchAll(/^ {2}.*?(--[a-z-]+)/gm)) {
        if (flag === "--help") continue;
        expect(pages.get(`zferry-${name}.1`)).toContain(flag.replaceAll("-", "\\-"));
      }
    }
  });

  it("are rendered by man, without a warning", async (context) => {
    const man = need(context, "man");
    const scene = new Scene();
    for (const { file, text } of await manPages()) {
      const { stderr, stdout } = spawnSync(man, ["--warnings", "-E", "UTF-8", "-l", scene.write(file, text)], { encoding: "utf8", env: { PATH: process.env.PATH, MANWIDTH: "80", LC_ALL: "C.UTF-8" } });
      expect([file, stderr]).toEqual([file, ""]);
      expect(stdout).toContain("SEE ALSO");
    }
  });

  it("are sound to mandoc", async (context) => {
    const mandoc = need(context, "mandoc");
    const scene = new Scene();
    const files = (await manPages()).map(({ file, text }) => scene.write(join("man", file), text));
    const { stdout } = spawnSync(mandoc, ["-T", "lint", "-W", "warning", ...files], { encoding: "utf8" });
    // A date would make the package another one every day.
    expect(stdout.split("\n").filter((line) => line !== "" && !line.includes("missing date"))).toEqual([]);
  });
});

describe("help on a narrow terminal", () => {
  it.for([
    [null, "a b c d e f", "a b c d e f"],
    [5, "a b c d e f", "a b c\nd e f"],
    [5, "a b\nc d", "a b\nc d"],
    [6, "a b c d\ne f", "a b c\nd e f"],
    [12, "x\n  term  one two three\ny", "x\n  term  one\n        two\n        three\ny"],
    [4, "abcdefgh i", "abcdefgh i"],
    [80, "", ""],
  ] as const)("of %s columns: %j is %j", ([width, text, expected]) => {
    expect(fittedHelp(text, width)).toBe(expected);
  });

  it("breaks no word of any command's help, and loses none", async () => {
    for (const { usage } of commandTable) {
      const words = [usage.split(" ", 1)[0] ?? "", "--help"];
      const [narrow, piped] = [ownTerminal({ stdoutColumns: 60 }), ownTerminal()];
      expect([await runToExit(words, narrow), await runToExit(words, piped)]).toEqual([0, 0]);
      const flat = (text: string): string => text.replaceAll(/\s+/g, " ");
      expect(flat(narrow.written.stdout)).toBe(flat(piped.written.stdout));
    }
  });
});
