/** `zferry help TOPIC`: the documents of the package are the topics, by the name of their file or a plainer one. */
import { readdir, readFile } from "node:fs/promises";
import { ZferryError } from "../errors.ts";
import { shownMarkdown } from "./markdown.ts";
import type { Terminal } from "./terminal.ts";
import { rendered, wantsColour } from "./paint.ts";

/** Beside the built program as beside its sources. */
const folder = "../../docs/";
const docs = new URL(folder, import.meta.url);
/** Wider lines are hard to read. */
const widest = 100;

/** Names that people look for. */
const plainer: Readonly<Record<string, string>> = {
  "exit-codes": "errors",
  restore: "recovery",
  keys: "guides/keys",
  json: "json-output",
  security: "threat-model",
  cost: "scale",
  hooks: "quiesce",
  completion: "terminal",
};

/** Every topic, in the order of the alphabet; documents in capitals are for who works on the program. */
export async function topicNames(): Promise<readonly string[]> {
  const files = await readdir(docs);
  const names = files.filter((name) => /^[a-z].*\.md$/.test(name)).map((name) => name.slice(0, -".md".length));
  return [...new Set([...names, ...Object.keys(plainer)])].sort();
}

/** The document behind a topic, as it is. @throws ZferryError `usage` for none */
export async function topicText(topic: string): Promise<string> {
  const names = await topicNames();
  if (!names.includes(topic)) {
    throw new ZferryError("usage", `there is no command and no topic "${topic}"`, { hint: `topics are ${names.join(", ")}` });
  }
  return readFile(new URL(`${plainer[topic] ?? topic}.md`, docs), "utf8");
}

/** On a terminal made to be read there; elsewhere as it is. */
export async function showTopic(topic: string, { stdout, stdoutColumns, environment }: Terminal): Promise<void> {
  if (topic === "topics") {
    stdout.write(`${(await topicNames()).join("\n")}\n`);
    return;
  }
  const text = await topicText(topic);
  if (stdoutColumns === null) {
    stdout.write(text);
    return;
  }
  const isColoured = wantsColour(environment, true);
  const lines = shownMarkdown(text, Math.min(stdoutColumns, widest));
  stdout.write(lines.map((line) => `${rendered(line, isColoured)}\n`).join(""));
}
