/**
 * Preloaded into zferry and, through it, into its guard (`node --import 'kill-at.mjs?…'`): names each step of a quiesce,
 * and kills before the wanted one. The guard's environment is not ours to fill, so what is wanted stands in the URL.
 *
 *   log      file: gets a line for each step, `name#n`, and `guard PID`
 *   at       the step before which to kill; none when left out
 *   victim   `zferry`, `guard` or `both`
 */
import childProcess from "node:child_process";
import { appendFileSync } from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import process from "node:process";

const asked = new URL(import.meta.url).searchParams;
const [log, wanted, victim] = [asked.get("log"), asked.get("at"), asked.get("victim")];
const isGuard = process.argv[1]?.endsWith("guard.js") === true;
const counts = new Map();
/** The other of the two; null in a zferry without guard. */
let other = isGuard ? process.ppid : null;

function step(name) {
  const count = (counts.get(name) ?? 0) + 1;
  counts.set(name, count);
  const event = `${isGuard ? "guard" : "zferry"} ${name}#${count}`;
  if (log !== null) appendFileSync(log, `${event}\n`);
  if (event === wanted) die();
}

function die() {
  const self = isGuard ? "guard" : "zferry";
  if (victim !== self && other !== null) process.kill(other, "SIGKILL");
  if (victim !== self && victim !== "both") return;
  process.kill(process.pid, "SIGKILL");
  for (;;); // the signal is on its way: nothing more may happen
}

/** Puts a step before `owner[method]`; `nameOf` tells its name from the arguments, null is none. */
function watch(owner, method, nameOf) {
  const original = owner[method];
  owner[method] = function watched(...args) {
    const name = nameOf(args);
    if (name !== null) step(name);
    return original.apply(this, args);
  };
}

const isRecord = (path) => /\/quiesce\/[^/]+\.json$/.test(String(path));

if (isGuard) {
  watch(files, "rename", ([, to]) => (isRecord(to) ? "writes the record" : null));
  watch(files, "rm", ([path]) => (isRecord(path) ? "removes the record" : null));
  watch(files, "link", ([, to]) => (String(to).endsWith("/quiesce.lock") ? "takes the lock" : null));
  watch(process, "send", ([{ kind }]) => `says ${kind}`);
  const { spawn } = childProcess;
  childProcess.spawn = (...args) => {
    step("starts a hook");
    const child = spawn(...args);
    const { end } = child.stdio[3];
    child.stdio[3].end = function opened(...words) {
      step("opens the gate");
      end.apply(this, words);
      step("has opened the gate");
    };
    watch(child, "emit", ([event]) => (event === "exit" ? "sees a hook end" : null));
    return child;
  };
} else {
  const { fork, spawn } = childProcess;
  childProcess.fork = (...args) => {
    step("starts the guard");
    const child = fork(...args);
    other = child.pid ?? null;
    appendFileSync(log ?? "/dev/null", `guard ${other}\n`);
    watch(child, "send", ([{ kind }]) => `sends ${kind}`);
    watch(child, "emit", ([event, message]) => (event === "message" ? `hears ${message.kind}` : null));
    return child;
  };
  childProcess.spawn = (...args) => {
    step("takes the snapshot");
    const child = spawn(...args);
    watch(child, "emit", ([event]) => (event === "exit" ? "has the snapshot" : null));
    return child;
  };
}
syncBuiltinESMExports();
