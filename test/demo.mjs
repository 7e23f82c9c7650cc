/**
 * What `npm run demo` shows: a recorded OpenZFS stream goes into a folder, encrypted and in chunks, and comes back; with a
 * second copy it does so though a chunk of the first was damaged. Needs Node alone: no zfs, no gpg, no account, no root.
 * Exits 1 unless what comes back is what went in. `--keep` keeps it all; `--program FILE` shows another zferry than the one in dist/.
 */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const here = mkdtempSync(join(tmpdir(), "zferry-demo-"));
const ours = join(root, "dist", "main.js");
const { values: flags } = parseArgs({ options: { keep: { type: "boolean", default: false }, program: { type: "string", default: ours } } });
const { keep: isKept, program: main } = flags;
const places = ["--store", "./bucket", "--state-dir", "./state", "--passphrase-file", "./passphrase"];
const sizes = ["--chunk-size", "128KiB", "--part-size", "32KiB"];

process.on("exit", () => {
  if (!isKept) rmSync(here, { recursive: true, force: true });
});

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const title = (text) => console.log(process.stdout.isTTY ? `\n\u001b[1m${text}\u001b[0m` : `\n${text}`);
const command = (text) => console.log(`$ ${text}`);

/** Runs zferry as a user would, shows the command line and what it says, and gives its stdout. */
function zferry(words, { stdin, from, to } = {}) {
  const quoted = words.map((word) => (/[^\w@./:-]/.test(word) ? `'${word}'` : word)).join(" ");
  command(`zferry ${quoted}${from === undefined ? "" : ` < ${from}`}${to === undefined ? "" : ` > ${to}`}`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...words], { cwd: here, input: stdin ?? "", maxBuffer: 2 ** 28 });
  process.stdout.write(stderr);
  if (status !== 0) {
    console.log(`that ended with exit status ${status}`);
    process.exit(1);
  }
  if (to === undefined) process.stdout.write(stdout);
  else writeFileSync(join(here, to), stdout);
  return stdout;
}

function demonstrate(backup, name) {
  const stream = readFileSync(join(root, "fixtures", "streams", name));
  title(`zfs send gave us ${name}, ${stream.length} bytes. Store it:`);
  zferry(["put", backup, ...places, ...sizes], { stdin: stream, from: name });
  return stream;
}

function prove(backup, stream, name, stores = ["--store", "./bucket"]) {
  title(`Get ${backup} back, every byte verified:`);
  const back = zferry(["get", backup, ...stores, "--passphrase-file", "./passphrase"], { to: `restored-${name}` });
  const [went, came] = [sha256(stream), sha256(back)];
  console.log(`in   sha256 ${went}  ${stream.length} bytes\nout  sha256 ${came}  ${back.length} bytes\n${went === came ? "equal" : "NOT EQUAL"}`);
  return went === came;
}

title("A passphrase, in a file that only its owner may read:");
command("(umask 077; openssl rand -hex 32 > ./passphrase)");
writeFileSync(join(here, "passphrase"), `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });

const full = demonstrate("tank/src@s1", "full.zfs");
title("What is in the store now:");
zferry(["list", ...places.slice(0, 4)]);
const increment = demonstrate("tank/src@s2", "inc-i.zfs");
zferry(["list", ...places.slice(0, 4)]);

title("The store is a folder of plain files (an S3 bucket looks the same):");
for (const entry of readdirSync(join(here, "bucket"), { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const path = join(entry.parentPath, entry.name);
  console.log(`${String(statSync(path).size).padStart(8)}  ${relative(join(here, "bucket"), path)}`);
}

/** Changes one byte in the middle of the second chunk of the full. */
function damage() {
  const below = readdirSync(join(here, "bucket"), { recursive: true }).map(String);
  const chunk = join("bucket", below.find((path) => path.endsWith("src@s1.zfs.gpg.000001")) ?? "");
  const bytes = readFileSync(join(here, chunk));
  bytes[bytes.length / 2] ^= 1;
  writeFileSync(join(here, chunk), bytes);
  command(`# one byte changed in ./${chunk}`);
}

const proofs = [prove("tank/src@s1", full, "full.zfs"), prove("tank/src@s2", increment, "inc-i.zfs")];
title("A second copy, and then a chunk of the first goes bad:");
zferry(["copy", "--from", "./bucket", "--to", "./second", ...places.slice(2)]);
damage();
proofs.push(prove("tank/src@s1", full, "full-again.zfs", ["--store", "./bucket", "--store", "./second"]));
title(proofs.every(Boolean) ? "Both streams came back byte for byte, one of them out of two copies." : "SOMETHING IS WRONG: a stream came back changed.");
if (isKept) console.log(`everything is in ${here}`);
process.exitCode = proofs.every(Boolean) ? 0 : 1;
