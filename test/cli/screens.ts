/** Screens: what a command shows on a real terminal, as text, with what differs from run to run made the same. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import stringWidth from "string-width";

const run = promisify(execFile);
/** What a shell prints behind a command, with its exit status. */
const ended = /^\[exit (\d+)\]$/m;

/** What is typed, once the screen has `at`. */
export interface Typed {
  readonly at: RegExp;
  /** As tmux names keys. */
  readonly keys: readonly string[];
}

export interface ScreenOptions {
  readonly tmux: string;
  readonly columns: number;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** In this order, each once. */
  readonly typed: readonly Typed[];
}

export interface Screens {
  /** As each of `typed` found it. */
  readonly before: readonly string[];
  readonly end: string;
}

/**
 * Runs one line of shell in a terminal of its own and waits for its end.
 *
 * @returns screens without the empty lines below; the line that was run stands above
 */
export async function screensOf(line: string, { tmux, columns, folder, env, typed }: ScreenOptions): Promise<Screens> {
  const socket = `zferry-${randomBytes(6).toString("hex")}`;
  const ask = async (...words: string[]): Promise<string> => (await run(tmux, ["-L", socket, "-f", "/dev/null", ...words], { cwd: folder, env: { ...env, TERM: "xterm-256color", LC_ALL: "C.UTF-8" } })).stdout;
  const shown = `printf '%s\\n' '$ ${line.replaceAll("'", "'\\''")}'; trap : INT; ${line}; echo "[exit $?]"; exec sleep 600`;
  try {
    await ask("new-session", "-d", "-x", String(columns), "-y", "400", "sh", "-c", shown);
    const before: string[] = [];
    for (;;) {
      const text = await ask("capture-pane", "-p", "-J");
      if (ended.test(text)) return { before, end: steady(text, columns) };
      const next = typed[before.length];
      if (next?.at.test(text) === true) {
        before.push(steady(text, columns));
        await ask("send-keys", ...next.keys);
      }
      await sleep(100);
    }
  } finally {
    await ask("kill-server").catch(() => undefined);
  }
}

type Varying = readonly (readonly [what: RegExp, same: string | ((found: string) => string)])[];

/** Figures of `bench`, and what it makes of them. */
const benchmarks: Varying = [
  [/(?<=^(?:source|\+ .*| {2}compared: .*) {2,})\d+ +[\d.]+ +\d+ % */gm, "100    1.00       50 %         "],
  [/(?<=^(?:source|\+ .*| {2}compared: .*) {2,})\d+ +[\d.]+ *$/gm, "100    1.00"],
  [/memory +(?=measured with)/g, "memory   "],
  [/(?<= {2})[\d.]+ MiB +(?=2\.01 MiB)/g, "120 MiB  "],
  [/(?<=main thread )\d+ %; memory [\d.]+ MiB(?=;)/g, "50 %; memory 120 MiB"],
  [/(?<=^limit: ).*$/gm, "seal, 100 MiB/s in all; without it 200; the main thread is busy"],
  [/[\d.]+ MiB (?=with everything|in all)/g, "120 MiB "],
  [/^advice: .*(?:\nadvice: .*)*$/gm, "advice: what the figures say"],
];

/** Moments, durations, rates and random names, each as long as it was wherever that moves what stands behind it. */
const varying: Varying = [
  [/\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d\d:\d\d/g, "2026-11-21 08:42 +01:00"],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "2026-11-21T07:42:00Z"],
  [/\b20\d\d-\d\d-\d\d\b/g, "2026-11-21"],
  [/-\d{8}T\d{6}Z/g, "-20261121T074200Z"],
  [/(?<=, |in )\d+:\d\d\b/g, "0:00"],
  [/[\d.]+ [KMG]?i?B\/s/g, "100 MiB/s"],
  [/zferry-cli-\w{6}/g, "zferry-cli-xxxxxx"],
  [/(?<=-20261121T074200Z-)[0-9a-f]{6}/g, "000000"],
  [/(?<=\d datasets?, )[\d.]+ [KM]iB$/gm, "100 KiB"],
  [/(?<=127\.0\.0\.1:)\d{5}/g, "12345"],
  [/(?<=up to )\d+[smhd] old/g, "22h old"],
  [/(?<=tank\/busy@one\/)[0-9a-f]{8}/g, "00000000"],
  [/^((?:zfs-permission|permission home) +)\w+ .*(?:\n {28}.*)*/gm, "$1ok       root may do everything"],
  ...benchmarks,
  [/(?<=attempt |zferry-drill-|doctor\/|drills\/)[0-9a-f]{8,}/g, (found) => "0".repeat(found.length)],
];

function steady(text: string, columns: number): string {
  const same = evened(varying.reduce((all, [what, by]) => (typeof by === "string" ? all.replaceAll(what, by) : all.replaceAll(what, by)), text));
  const lines = same.split("\n").map((line) => line.trimEnd());
  while (lines.at(-1) === "") lines.pop();
  return lines.flatMap((line) => broken(line, columns)).map((line) => `${line}\n`).join("");
}

/** An age of two digits makes the column of `status` wider by one. */
function evened(text: string): string {
  const excess = (/ \((\d+)[smh]\)/.exec(text)?.[1]?.length ?? 1) - 1;
  return text.replace(/ \(\d+[smh]\)/, " (9s)").replace(new RegExp(`(?<=last success *) {${excess}}(?= {2}\\S)`), "");
}

/** As the terminal breaks a line, which is put together again to find what differs. */
function broken(line: string, columns: number): string[] {
  const rows: string[] = [];
  let row = "";
  for (const { segment } of new Intl.Segmenter().segment(line)) {
    if (stringWidth(row + segment) > columns) {
      rows.push(row);
      row = "";
    }
    row += segment;
  }
  return [...rows, row];
}
