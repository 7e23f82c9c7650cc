/**
 * The fenced blocks of a Markdown page, and the machine on which they are run.
 *
 * What a block names is replaced by what there is here, by three rules and no others: an S3 store by a folder (which has no keys), paths below
 * `/etc`, `/mnt`, `/root`, `/usr/local` and `/var` by the same paths below the scene's folder, and `ssh HOST` by nothing. `zfs` is the pretended
 * pool, gpg is real and finds in its configuration what a person would type in.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { built } from "../build.ts";
import { Pool } from "../cli/pool.ts";
import { filesUnder, fixtures, recorded, Scene } from "../cli/zferry.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

export interface Block {
  /** Path of the page from the project's root. */
  readonly page: string;
  readonly line: number;
  /** What stands behind the fence. */
  readonly language: string;
  readonly text: string;
}

export function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^( *)```([a-z]*)\n(.*?)^ *```$/gms)].map(({ index, 1: indent = "", 2: language = "", 3: body = "" }) => ({
    page,
    line: text.slice(0, index).split("\n").length,
    language,
    text: body.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  }));
}

/** One line of a script: given to zferry in this process, or, with what is around it, to bash. */
export type Step = { readonly kind: "zferry"; readonly words: readonly string[] } | { readonly kind: "bash"; readonly script: string };

/** A piece of a word that bash would hand on as it stands: something quoted, or one character. */
const plainWord = /'[^']*'|"[^"$`\\]*"|[^\s'"|&;<>()$`\\*?#~]/;
const plainLine = new RegExp(`^zferry((?: +(?:${plainWord.source})+)*)\\s*(?:#.*)?$`);

export function stepsOf(script: string): Step[] {
  const steps: Step[] = [];
  for (const line of script.replaceAll(/\\\n\s*/g, "").split("\n")) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    const words = plainLine.exec(line)?.[1];
    const last = steps.at(-1);
    if (words !== undefined) steps.push({ kind: "zferry", words: wordsIn(words) });
    else if (last?.kind === "bash") steps[steps.length - 1] = { kind: "bash", script: `${last.script}\n${line}` };
    else steps.push({ kind: "bash", script: line });
  }
  return steps;
}

function wordsIn(text: string): string[] {
  const words = text.match(new RegExp(`(?:${plainWord.source})+`, "g")) ?? [];
  return words.map((word) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single: string | undefined, double: string | undefined) => single ?? double ?? ""));
}

/** A machine with a pool `tank`, a store and keys where the pages have them. */
export class Machine {
  readonly scene = new Scene();
  readonly pool: Pool;
  readonly config = this.path("/etc/zferry/zferry.yaml");
  /** Where bash begins. */
  folder = this.scene.folder;

  readonly #now: () => Date;

  constructor(datasets: readonly string[], now = (): Date => new Date()) {
    this.#now = now;
    const three = ["one.zfs", "two.zfs", "three.zfs"];
    this.pool = new Pool({ streams: three, datasets: Object.fromEntries(datasets.map((name) => [name, { snapshots: {} }])) });
    for (const folder of ["/etc/zferry", "/mnt/shelf", "/root", "/var/lib", "/var/www"]) mkdirSync(this.path(folder), { recursive: true });
    this.scene.write("root/etc/zferry/passphrase", readFileSync(this.scene.passphraseFile));
    this.write("/etc/zferry/zferry.yaml", "stores: {main: {url: /mnt/backup/zferry}}\ndefaults: {store: main}\nencryption: {passphrase_file: /etc/zferry/passphrase}\njobs: {home: {dataset: tank/home}}\n");
  }

  /** Where a path of the pages is. */
  path(place: string): string {
    return join(this.scene.folder, "root", place);
  }

  /** Writes a file that the pages name, with what stands for its own names; mode 0600. */
  write(place: string, text: string | Buffer): void {
    this.scene.write(join("root", place), typeof text === "string" ? this.here(text) : text);
  }

  /** The text of a page as it is meant here. */
  here(text: string): string {
    return text
      .replaceAll(/^ *credentials: .*\n/gm, "")
      .replaceAll(/s3:\/\/([\w.-]+)((?:\/[\w.-]+)*)(\?[^\s'"}]*)?/g, (_, bucket: string, prefix: string) => this.path(`/stores/${bucket}${prefix}`))
      .replaceAll(/(?<![\w./-])\/(etc|mnt|root|usr\/local|var)(?=\/)/g, (_, top: string) => this.path(`/${top}`));
  }

  /** Stores a recorded stream, locked for the passphrase, where a page says that it is. */
  async put(store: string, backup: string, stream: "full" | "inc-i", ...flags: string[]): Promise<void> {
    await this.scene.put(backup, recorded(stream), ...this.scene.secret, "--store", this.here(store), ...flags);
  }

  /** Runs a script step by step. @throws Error that tells which one ended how, and what it said */
  async run(script: string): Promise<void> {
    for (const step of stepsOf(this.here(script))) {
      if (step.kind === "zferry") await this.#zferry(step.words);
      else await this.#bash(step.script);
    }
  }

  async #zferry(words: readonly string[]): Promise<void> {
    const { exit, stderr } = await this.scene.run(words, { env: { ...this.pool.env, ...this.#shims(), ZFERRY_CONFIG: this.config }, now: this.#now() });
    if (words[0] === "init") writeFileSync(this.config, this.here(readFileSync(this.config, "utf8")));
    if (exit !== 0) throw new Error(`zferry ${words.join(" ")} ended with ${exit ?? "a signal"}: ${stderr}`);
  }

  async #bash(script: string): Promise<void> {
    this.scene.write("bin/zferry", `#!/bin/sh\ncase $1 in put | get | backup) set -- "$@" --state-dir '${this.scene.stateDir}' ;; esac\nexec '${process.execPath}' '${await built()}' "$@"\n`, 0o755);
    const env = { ...this.pool.env, ...this.#shims(), HOME: this.scene.folder, ZFERRY_CONFIG: this.config, GNUPGHOME: this.#gpgHome(), LC_ALL: "C" };
    const { status, stderr } = spawnSync("bash", ["--norc", "-c", `set -e -o pipefail\n${script}`], { cwd: this.folder, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    if (status !== 0) throw new Error(`${script}\nended with ${status ?? "a signal"}: ${stderr}`);
  }

  /** Puts a program of this name before the real one. @param script - of sh */
  pretend(name: string, script: string): void {
    this.scene.write(join("bin", name), `#!/bin/sh\n${script}\n`, 0o755);
  }

  /** `ssh`, as if every host were this one. */
  #shims(): Record<string, string> {
    this.pretend("ssh", 'while [ "$1" = -o ]; do shift 2; done\nshift\neval "set -- $*"\nprogram=$(basename "$1"); shift\nexec "$program" "$@"');
    return { PATH: [join(this.scene.folder, "bin"), join(fixtures, "bin"), process.env.PATH ?? ""].join(delimiter) };
  }

  #gpg: string | null = null;

  #gpgHome(): string {
    if (this.#gpg !== null) return this.#gpg;
    const home = mkdtempSync(join(tmpdir(), "zf-")); // short: the path of the agent's socket is limited to 107 bytes
    onTestFinished(() => {
      spawnSync("gpgconf", ["--kill", "all"], { env: { ...process.env, GNUPGHOME: home } });
      rmSync(home, { recursive: true, force: true });
    });
    writeFileSync(join(home, "gpg.conf"), `batch\nno-tty\npinentry-mode loopback\npassphrase-file ${this.scene.passphraseFile}\n`);
    this.#gpg = home;
    return home;
  }

  /** The folder of a backup's chunks in a store of the pages. */
  chunksOf(store: string, backup: string): string {
    const folder = join(this.here(store), "streams", backup);
    const note = filesUnder(folder).find((name) => name.endsWith("RESTORE.md"));
    if (note === undefined) throw new Error(`there is no ${backup} in ${store}`);
    return join(folder, dirname(note));
  }
}
