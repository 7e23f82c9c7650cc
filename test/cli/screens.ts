/** Screens: what a command shows on a real terminal, as text, with what differs from run to run made the same. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import stringWidth from "string-width";

const run = promisify(execFile);
/** What a shell prints behind a command, with its exit status. */
const ended = /^\[exit (\d+)\]$/m;

export interface ScreenOptions {
  readonly tmux: string;
  readonly columns: number;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Typed when a question stands there. */
  readonly answer: string | null;
}

/**
 * Runs one line of shell in a terminal of its own and waits for its end.
 *
 * @returns the screen, without the empty lines below; the line that was run stands above
 */
export async function screenOf(line: string, { tmux, columns, folder, env, answer }: ScreenOptions): Promise<string> {
  const socket = `zferry-${randomBytes(6).toString("hex")}`;
  const ask = async (...words: string[]): Promise<string> => (await run(tmux, ["-L", socket, "-f", "/dev/null", ...words], { cwd: folder, env: { ...env, TERM: "xterm-256color", LC_ALL: "C.UTF-8" } })).stdout;
  const shown = `printf '%s\\n' '$ ${line.replaceAll("'", "'\\''")}'; ${line}; echo "[exit $?]"; exec sleep 600`;
  try {
    await ask("new-session", "-d", "-x", String(columns), "-y", "400", "sh", "-c", shown);
    let isAnswered = false;
    for (;;) {
      const text = await ask("capture-pane", "-p", "-J");
      if (ended.test(text)) return steady(text, columns);
      if (answer !== null && !isAnswered && text.includes("[y/N]")) {
        isAnswered = true;
        await ask("send-keys", answer, "Enter");
      }
      await sleep(100);
    }
  } finally {
    await ask("kill-server").catch(() => undefined);
  }
}

/** Moments, durations, rates and random names, each as long as it was wherever that moves what stands behind it. */
const varying: readonly (readonly [what: RegExp, same: string | ((found: string) => string)])[] = [
  [/\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d\d:\d\d/g, "2026-11-21 08:42 +01:00"],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "2026-11-21T07:42:00Z"],
  [/\b20\d\d-\d\d-\d\d\b/g, "2026-11-21"],
  [/-\d{8}T\d{6}Z/g, "-20261121T074200Z"],
  [/(?<=, |in )\d+:\d\d\b/g, "0:00"],
  [/[\d.]+ [KMG]?i?B\/s/g, "100 MiB/s"],
  [/zferry-cli-\w{6}/g, "zferry-cli-xxxxxx"],
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
