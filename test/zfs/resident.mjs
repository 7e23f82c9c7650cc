/**
 * Answers for `test/zfs/bin/zfs`: listens on a port of its own, written into the file it is given, until stdin ends with
 * the process that started it; then it removes that file's folder.
 *
 * A question is a list of words, each followed by a zero byte: how many words zfs was given, the folder of its world, the
 * asking process, and those words. The answer is a line with the exit status, a line for stderr with newlines and
 * backslashes escaped (empty for none), and what goes to stdout.
 */
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { enter } from "../../fixtures/bin/zfs-state.mjs";
import { answer } from "../../fixtures/bin/zfs-verbs.mjs";

const [portFile] = process.argv.slice(2);
/** One world at a time. */
let turn = Promise.resolve();

const server = createServer((socket) => {
  const pieces = [];
  socket.on("error", () => undefined); // whoever asked was killed
  socket.on("data", (piece) => {
    pieces.push(piece);
    const words = Buffer.concat(pieces).toString().split("\0");
    if (words.length < 2 || words.length < Number(words[0]) + 4) return;
    const [count, folder, pid, ...rest] = words;
    turn = turn.then(() => reply(socket, { folder, pid: Number(pid), args: rest.slice(0, Number(count)) }));
  });
});

async function reply(socket, { folder, pid, args }) {
  let stdout = "";
  enter(folder);
  try {
    const { exit, said } = await answer(args, pid, (text) => (stdout += text));
    socket.end(`${exit}\n${(said ?? "").replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n${stdout}`);
  } catch (error) {
    socket.end(`70\n${String(error).replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`);
  }
}

server.listen(0, "127.0.0.1", () => {
  writeFileSync(`${portFile}.new`, `${server.address().port}\n`);
  renameSync(`${portFile}.new`, portFile);
});
process.stdin.on("end", () => {
  rmSync(dirname(portFile), { recursive: true, force: true });
  process.exit();
}).resume();
