/**
 * Whether what a contender left behind is what it was given: decrypted by gpg, whoever encrypted it, and hashed. Without
 * gpg, zferry's own stores are read by `zferry get`.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { get, gpgDecrypt } from "./lines.mjs";

/** The data among the objects of a store: `….zfs.gpg.000000`, `….zfs.gpg`, `….zfs.000000`. Names sort as the data does. */
export function isData(name) {
  return /\.zfs(\.gpg)?(\.\d+)?$/.test(name);
}

/** The data files under a folder, in order. */
export function dataFiles(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && isData(entry.name)).map((entry) => join(entry.parentPath, entry.name)).sort();
}

/** @throws Error unless `files`, one after the other, hold the stream that `sha256` is of */
export async function prove(bench, { files, sha256, store = null }) {
  if (files.length === 0) throw new Error("it left no data behind");
  const isEncrypted = files[0].includes(".zfs.gpg");
  if (isEncrypted && !bench.has("gpg") && store === null) throw new Error(`it cannot be checked: ${bench.why("gpg")}`);
  const extra = { FILES: files.join("\n"), STATE: bench.scratch.empty("proof-state"), ...store };
  const read = 'printf "%s\\n" "$FILES" | while IFS= read -r file; do cat "$file" || exit 1; done';
  const line = !isEncrypted ? read : bench.has("gpg") ? `${read} | ${gpgDecrypt}` : get;
  await proveOutput(bench, { line, extra, sha256 });
}

/** @throws Error unless the line writes the stream that `sha256` is of */
export async function proveOutput(bench, { line, extra, sha256 }) {
  const { output } = await bench.line(`${line} | "$NODE" "$BENCH/sha256.mjs"`, { extra, keepOutput: true });
  if (output.trim() !== sha256) throw new Error("what it wrote does not decrypt to what it was given");
}
