/**
 * One run of a program that is told something on its stdin: sendmail, or a command of the user's.
 *
 * It has a process group of its own, which is killed when its time is up: whatever it has started goes with it, and a
 * descendant that holds its output open keeps nobody waiting.
 */
import { spawn } from "node:child_process";
import { kill as signalTo } from "node:process";
import { oneLine } from "./message.ts";
import { failed, type Outcome, sent } from "./outcome.ts";

interface Telling {
  readonly input: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whether what it complains of on stderr is shown. A command's own may hold anything. */
  readonly isStderrShown: boolean;
  readonly signal: AbortSignal;
}

const maxStderrBytes = 200;

/** No further try mends these: what sendmail says of usage and addresses (sysexits.h, but EX_TEMPFAIL), and what cannot be run. */
function isFinal(status: number | null): boolean {
  return status !== null && ((status >= 64 && status <= 78 && status !== 75) || status === 126 || status === 127);
}

/** Never rejects. */
export function run([program, ...words]: readonly [string, ...string[]], telling: Telling): Promise<Outcome> {
  const { input, environment, isStderrShown, signal } = telling;
  return new Promise((resolve) => {
    const child = spawn(program, words, { env: { ...environment }, detached: true, stdio: ["pipe", "ignore", isStderrShown ? "pipe" : "ignore"] });
    let complaint = "";
    const kill = (): void => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) killGroup(child.pid);
    };
    const end = (outcome: Outcome): void => {
      signal.removeEventListener("abort", kill);
      child.stdin?.destroy();
      child.stderr?.destroy();
      resolve(outcome);
    };
    signal.addEventListener("abort", kill, { once: true });
    child.once("error", (error: NodeJS.ErrnoException) => {
      end(failed(`"${program}" cannot be run: ${error.code ?? "unknown"}`, { isFinal: true }));
    });
    child.once("exit", (status, killedBy) => {
      // What it said just before is still on its way: one turn of the loop brings what the pipe holds.
      setImmediate(() => {
        if (status === 0) end(sent);
        else end(failed(wordsFor(program, status ?? killedBy, complaint), { isFinal: isFinal(status) }));
      });
    });
    child.stderr?.on("data", (piece: Buffer) => {
      if (complaint.length < maxStderrBytes) complaint += piece.toString().slice(0, maxStderrBytes);
    });
    child.stdin?.on("error", () => undefined); // it need not read what it is told
    child.stdin?.end(input);
    if (signal.aborted) kill();
  });
}

function killGroup(pid: number): void {
  try {
    signalTo(-pid, "SIGKILL");
  } catch {
    // it has gone by itself
  }
}

function wordsFor(program: string, ending: number | string | null, complaint: string): string {
  const how = typeof ending === "number" ? `ended with ${ending}` : `was ended by ${ending ?? "a signal"}`;
  return `"${program}" ${how}${complaint === "" ? "" : `: ${oneLine(complaint.trim(), maxStderrBytes)}`}`;
}
