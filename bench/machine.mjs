/** What a result was measured on and with. No host name, no path: results are committed. */
import { cpus, release, totalmem } from "node:os";
import { createRequire } from "node:module";
import { spawnSync } from "node:child_process";

export function machine() {
  const system = `${process.platform} ${release().split("-")[0]}`;
  return { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, memoryBytes: totalmem(), system };
}

/** The programs that others move streams with, how to ask for their version, and where it stands in the answer. */
const programs = {
  gpg: [["gpg", "--version"], /^gpg \(GnuPG\) (\S+)/],
  gpg1: [["gpg1", "--version"], /^gpg \(GnuPG\) (\S+)/],
  rclone: [["rclone", "version"], /^rclone v?(\S+)/],
  aws: [["aws", "--version"], /^aws-cli\/(\S+)/],
  split: [["split", "--version"], /^split \(GNU coreutils\) (\S+)/],
};

/**
 * Every peer: its version, or why it is missing.
 *
 * @returns `{ versions: { gpg: "2.2.40", … }, missing: [{ peer, why }] }`
 */
export function findPeers(env) {
  const versions = { openssl: process.versions.openssl };
  const missing = [];
  for (const [peer, [[command, ...words], pattern]] of Object.entries(programs)) {
    const { error, status, stdout } = spawnSync(command, words, { env, encoding: "utf8" });
    const version = pattern.exec(stdout ?? "")?.[1];
    const why = error?.code === "ENOENT" ? "is not installed" : `does not say its version to "${words.join(" ")}"`;
    if (version !== undefined && status === 0) versions[peer] = version;
    else missing.push({ peer, why: `"${command}" ${why}` });
  }
  for (const library of ["openpgp", "@aws-sdk/lib-storage", "stream-chunker"]) {
    try {
      versions[library] = versionOf(library);
    } catch {
      missing.push({ peer: library, why: `the package "${library}" is not installed` });
    }
  }
  return { versions, missing };
}

/** A package may not export its package.json, so its folder is searched for from its entry. */
function versionOf(library) {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(library) ?? []) {
    try {
      return require(`${folder}/${library}/package.json`).version;
    } catch {
      // The next one.
    }
  }
  throw new Error(`${library} is not installed`);
}
