/**
 * Runs a shell line and says what it took: wall time, CPU time of every process it started and waited for (as the kernel
 * adds it up, `getrusage(RUSAGE_CHILDREN)`, by bash's `times`), and the sum of their peaks of memory.
 *
 * The peaks are `VmHWM` of /proc, looked at every 50 ms: what a process gains in the last instant before its end is not
 * seen. GNU time would see it, but counts what a process shared with its parent before its exec.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { atEnd } from "./scratch.mjs";

const lookEveryMs = 50;

/**
 * `source` feeds `line` through a pipe and is not counted. Both are bash; what varies is in `env`, never in the text.
 * Standard output is thrown away, or, with `keepOutput`, returned.
 *
 * @throws Error with what the line said, when any of its programs fails
 */
export async function runLine(line, { source = null, env, signal, keepOutput = false }) {
  signal.throwIfAborted();
  const measured = `( echo $BASHPID >&3; { ${line}\n} 3>&-; status=$?; times >&3; exit $status )`;
  const script = `set -o pipefail\n${source === null ? measured : `{ ${source}\n} 3>&- | ${measured}`}`;
  const startedAt = performance.now();
  // A session of its own: Ctrl-C on the terminal reaches us alone, and we end all of them.
  const child = spawn("bash", ["-c", script], { env, detached: true, stdio: ["ignore", "pipe", "pipe", "pipe"] });
  const end = atEnd(() => killGroup(child.pid));
  const watch = watchPeaks(child.stdio[3]);
  signal.addEventListener("abort", end, { once: true });
  try {
    const exited = new Promise((resolve, reject) => child.once("error", reject).once("exit", (...how) => resolve(how)));
    if (!keepOutput) child.stdout.resume();
    const said = buffer(child.stderr);
    const output = keepOutput ? buffer(child.stdout) : null;
    const [exit, killedBy] = await exited;
    const seconds = (performance.now() - startedAt) / 1000;
    signal.throwIfAborted();
    if (exit !== 0) throw new Error(`${killedBy ?? `exit ${exit}`}: ${causeIn((await said).toString())}`);
    const { times, peakRssBytes } = await watch.done;
    return { seconds, cpuSeconds: childSeconds(times), peakRssBytes, output: (await output)?.toString() ?? null };
  } finally {
    signal.removeEventListener("abort", end);
    watch.stop();
    end();
  }
}

/** What was said first, without those who only lost their reader. */
function causeIn(text) {
  const lines = text.trim().split("\n");
  const causes = lines.filter((line) => !line.includes("roken pipe"));
  return (causes.length > 0 ? causes : lines).slice(0, 4).join(" / ");
}

function killGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** The first line of `report` is the process to watch; what follows is what `times` printed. */
function watchPeaks(report) {
  const peaks = new Map();
  let said = "";
  let timer = null;
  report.setEncoding("utf8");
  report.on("data", (text) => {
    said += text;
    if (timer !== null || !said.includes("\n")) return;
    const root = Number.parseInt(said, 10);
    timer = setInterval(() => look(root, peaks), lookEveryMs);
    look(root, peaks);
  });
  const stop = () => clearInterval(timer);
  const done = new Promise((resolve) => {
    report.once("close", () => {
      stop();
      const peakRssBytes = peaks.size === 0 ? null : [...peaks.values()].reduce((sum, bytes) => sum + bytes, 0);
      resolve({ times: said.split("\n").slice(1), peakRssBytes });
    });
  });
  return { done, stop };
}

/** Notes the peak so far of every process below `root`. */
function look(root, peaks) {
  try {
    for (const pid of readFileSync(`/proc/${root}/task/${root}/children`, "utf8").split(" ").filter(Boolean)) {
      const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
      if (kib !== undefined) peaks.set(pid, Math.max(peaks.get(pid) ?? 0, Number(kib) * 1024));
      look(pid, peaks);
    }
  } catch {
    // It has ended, or there is no /proc.
  }
}

/** The second line of `times` is of the children, `0m1.250s 0m0.310s`: user and system. */
function childSeconds(lines) {
  const parts = [...(lines[1] ?? "").matchAll(/(\d+)m([\d.]+)s/g)];
  return parts.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
