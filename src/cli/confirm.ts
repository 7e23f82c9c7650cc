/**
 * The question before something is destroyed. It is asked of somebody who sits there and of nobody else: a timer, a pipe or
 * `--json` is never kept waiting, and does what its flags say.
 */
import { createInterface } from "node:readline";
import { reasonOf } from "../store/abort.ts";
import { visible } from "../visible.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** Whether somebody sits there who can be asked: stdin and stderr are terminals. */
export function canAsk({ stdin, stdinPipe, isInteractive }: Pick<Terminal, "stdin" | "stdinPipe" | "isInteractive">): boolean {
  return isInteractive && stdinPipe === null && "isTTY" in stdin && stdin.isTTY === true;
}

/** Whether the question makes sense in this run. */
export function isAsking({ terminal, report }: Session, { yes }: { readonly yes?: boolean }): boolean {
  return yes !== true && !report.isJson && report.isConversation && canAsk(terminal);
}

/**
 * Everything but `y` and `yes`, and no answer at all, is no.
 *
 * @param question - without a question mark's tail; `[y/N]` is added
 * @throws the signal's reason
 */
export async function confirm({ terminal }: Pick<Session, "terminal">, question: string): Promise<boolean> {
  const { stdin, stderr, signal } = terminal;
  signal.throwIfAborted();
  stderr.write(`zferry: ${visible(question)} [y/N] `);
  const lines = createInterface({ input: stdin, terminal: false }); // the kernel edits the line, and Ctrl-C stays a signal
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("close", () => {
        stderr.write("\n");
        resolve("");
      });
      signal.addEventListener("abort", () => { reject(reasonOf(signal)); }, { once: true });
    });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    lines.removeAllListeners("close");
    lines.close();
  }
}
