/**
 * Other OpenPGP programs, run as a user would run them. A missing one skips the test by name, or fails it when
 * `ZFERRY_TEST_ALL_SYSTEMS=1` says that all must be there.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "vitest";

/** A home for gpg of its own, in a short path since the agent's socket lies in it (107 bytes at most). */
export class Programs {
  readonly home = mkdtempSync(join(tmpdir(), "zf-"));

  /** Skips the running test, or fails it, unless `program` can be run. */
  require(program: string, context: TestContext): void {
    if (spawnSync(program, ["--version"], { env: this.#env() }).error === undefined) return;
    const reason = `the program "${program}" is not installed`;
    if (process.env.ZFERRY_TEST_ALL_SYSTEMS === "1") throw new Error(reason);
    context.skip(reason);
  }

  /** Runs to the end and gives stdout. Throws what stderr says when the program does not succeed. */
  run(program: string, args: readonly string[], input: Buffer): Buffer {
    const { status, stdout, stderr, error } = spawnSync(program, args, { input, env: this.#env(), maxBuffer: 2 ** 28 });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`${program} ended with ${status ?? "a signal"}: ${stderr.toString()}`);
    return stdout;
  }

  /** A file in the home, for what a program does not read from stdin. */
  file(name: string, content: string | Buffer): string {
    const path = join(this.home, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  /** Options that make gpg 2 run without a terminal, and the passphrase by file. */
  gpgOptions(passphrase: string): readonly string[] {
    return ["--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase-file", this.file("passphrase", passphrase)];
  }

  /** Ends gpg's agent and removes the home. */
  close(): void {
    spawnSync("gpgconf", ["--kill", "all"], { env: this.#env() });
    rmSync(this.home, { recursive: true, force: true });
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, GNUPGHOME: this.home, HOME: this.home, LC_ALL: "C" };
  }
}
