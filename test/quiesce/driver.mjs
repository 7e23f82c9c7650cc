/**
 * A program that is nothing but a quiesce, to be killed: `node driver.mjs REQUEST`, a file of JSON with `dist`, `hooks`,
 * `stateDir`, `limits` and `work`, a command that stands for the snapshot. It prints what came of it as JSON.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";

const { dist, work, ...asked } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { quiesced } = await import(`${dist}/quiesce/quiesce.js`);
const { ZferryError } = await import(`${dist}/errors.js`);

const stop = new AbortController();
let signals = 0;
for (const [name, code] of [["SIGINT", "interrupted"], ["SIGTERM", "terminated"]]) {
  process.on(name, () => {
    signals += 1;
    if (signals > 1) process.exit(130); // as main.ts does
    stop.abort(new ZferryError(code, `stopped by ${name}`));
  });
}

const warnings = [];
const request = {
  subject: { jobs: ["night"], datasets: ["tank/a", "tank/b"], snapshots: ["tank/a@now", "tank/b@now"] },
  environment: process.env,
  warn: (text) => warnings.push(text),
  now: () => new Date(),
  signal: stop.signal,
  ...asked,
};

/** The snapshot: a command that the signal ends. */
function snapshot(signal) {
  const [program, ...args] = work;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { signal, stdio: "ignore" });
    child.once("error", () => reject(signal.aborted ? signal.reason : new Error("no such work")));
    child.once("exit", (status) => (status === 0 ? resolve("snapshot") : reject(new Error(`the work failed: ${status}`))));
  });
}

const told = ({ code, message, hint }) => ({ code: code ?? "bug", message, hint: hint ?? null });
const outcome = await quiesced(request, snapshot).then(
  ({ worked, downtimeMs, failures }) => {
    const outcome = "error" in worked ? { error: told(worked.error) } : worked;
    return { ...outcome, downtimeMs, failures: failures.map(told) };
  },
  (error) => ({ error: told(error) }),
);
process.stdout.write(`${JSON.stringify({ ...outcome, warnings })}\n`);
