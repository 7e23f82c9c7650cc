/**
 * Nights of two jobs, with everything around them that changes data, stops services and takes snapshots of its own; and
 * what must be true after each.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "vitest";
import type { runToExit } from "../../src/cli/program.ts";
import { built } from "../build.ts";
import { ownTerminal } from "../cli/terminal.ts";
import { filesUnder, Scene } from "../cli/zferry.ts";
import type { ClockedZfs } from "./clocked-zfs.ts";

const dayMs = 86_400_000;
const killAt = new URL("kill-at.mjs", import.meta.url).href;
/** Of a copy's work on the folder it writes to (`kill-at.mjs`): within a backup, between two, and around its commit. */
const moments = [
  ...["after link lease#1", "before rename chunk#1", "after rename chunk#1", "before rename chunk#2", "before rename note#1", "after rename note#1"],
  ...["before link manifest#1", "after link manifest#1", "before rename chunk#3", "before link manifest#2", "after link manifest#2"],
  ...["after rename note#3", "before link manifest#3", "after link manifest#3"],
];
const [home, services, web] = ["tsrc/home", "tsrc/services", "tsrc/services/web"] as const;
const datasets = [home, services, web];

/** The job's store, and its copy. */
export type Place = "main" | "away";

/** How much is kept in a store. */
interface Kept {
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

/** How much is kept in the store and (`last`) on the pool, and how old a full may get. */
export interface Policy extends Kept {
  /** In the copy. */
  readonly away: Kept;
  readonly last: number;
  readonly fullEveryDays: number;
}

interface Listed {
  readonly backup: string;
  readonly kind: "full" | "incremental";
  readonly createdAt: string;
  readonly baseBackup: string | null;
}

interface Manifest {
  readonly backup: string;
  readonly attempt: string;
  readonly chunks: readonly unknown[];
}

export class SimulatedNights {
  /** Copies that were killed. */
  killedCount = 0;
  /** Backups that were restored and compared. */
  restoredCount = 0;
  readonly #scene = new Scene();
  readonly #zfs: ClockedZfs;
  readonly #policy: Policy;
  readonly #begin: Date;
  #now: Date;
  /** Of each backup ever made, what it must bring back, as `sha256sum` prints it. */
  readonly #sums = new Map<string, string>();
  readonly #made = new Map<string, Listed>();
  /** Snapshots of other tools, which nobody may touch. */
  readonly #foreign: string[] = [];

  constructor(zfs: ClockedZfs, policy: Policy, begin: Date) {
    this.#zfs = zfs;
    this.#policy = policy;
    this.#begin = begin;
    this.#now = begin;
  }

  async prepare(): Promise<void> {
    for (const name of datasets) await this.#zfs.sh(`zfs create ${name}`);
    await this.#zfs.sh(`head -c 200000 /dev/urandom > ${this.#zfs.mountOf(home)}/base`);
    const { last, fullEveryDays, away } = this.#policy;
    const keep = ({ daily, weekly, monthly }: Kept): string => `{daily: ${daily}, weekly: ${weekly}, monthly: ${monthly}}`;
    const hook = (word: string): string => JSON.stringify([this.#zfs.shell, "-c", `echo ${word} > ${this.#zfs.mountOf(services)}/state`]);
    const text = (afterwards: string): string =>
      `state_dir: state
stores: {main: {url: ${JSON.stringify(this.#folderOf("main"))}, part_size: 16KiB}, away: {url: ${JSON.stringify(this.#folderOf("away"))}, part_size: 16KiB}}
encryption: {recipients: [${this.#scene.certificate("bob")}], private_keys: [${this.#scene.privateKey("bob")}]}
defaults:
  store: main
  chunk_size: 64KiB
  zfs: [${JSON.stringify(this.#zfs.zfs)}]
  full_every: ${fullEveryDays}d
  keep: {store: ${keep(this.#policy)}, local: {last: ${last}}}
${afterwards}jobs:
  home: {dataset: ${home}, full_when_incremental_exceeds: 60%}
  services:
    dataset: ${services}
    recursive: true
    hooks: [{name: web, before_snapshot: ${hook("quiet")}, after_snapshot: ${hook("running")}}]
`;
    this.#scene.write("zferry.yaml", text(`  prune: after_backup\n  copies: [{store: away, keep: ${keep(away)}}]\n`));
    this.#scene.write("backups.yaml", text(""));
  }

  #folderOf(place: Place): string {
    return place === "main" ? this.#scene.store : join(this.#scene.folder, "away");
  }

  /**
   * Lives a day and runs the jobs the night after. Of three nights one goes as it should; in one the copies are killed, and
   * made later by hand; in one they are killed and that is all, so that the next night has to make up for it.
   *
   * @returns what was made, in the order of the datasets, and whether the night came to its end
   */
  async night(index: number): Promise<{ readonly made: readonly Made[]; readonly isWhole: boolean }> {
    this.#now = new Date(this.#begin.getTime() + index * dayMs);
    await this.#zfs.setTime(this.#now);
    await this.#live(index);
    const sums = await this.#sumsOf(datasets.map((name) => [name, name]));
    const way = (["whole", "by-hand", "killed"] as const)[index % 3] ?? "whole";
    const words = way === "whole" ? ["backup", "--json"] : ["--config", "backups.yaml", "backup", "--json"];
    const documents = (await this.#zferry(...words)).trim().split("\n").map((line) => JSON.parse(line) as BackupDocument);
    const backups = documents.filter(({ type }) => type === "backup");
    expect(backups.map(({ dataset }) => dataset)).toEqual(datasets);
    expect(documents.filter(({ type }) => type === "copy").map(({ outcome }) => outcome)).toEqual(way === "whole" ? datasets.map(() => "copied") : []);
    const made = backups.map(({ dataset, backup, plan }) => ({ dataset: dataset ?? "", backup: backup ?? "", kind: plan?.kind ?? "", reason: plan?.reason ?? "" }));
    for (const { dataset, backup } of made) this.#sums.set(backup, sums.get(dataset) ?? "");
    expect(await this.#zfs.sh(`cat ${this.#zfs.mountOf(services)}/state`)).toBe("running");
    if (way !== "whole") await this.#copyUntilKilled(index);
    if (way === "by-hand") for (const verb of [["copy"], ["prune", "--yes"]]) await this.#zferry(...verb);
    return { made, isWhole: way !== "killed" };
  }

  /** Starts the copies, and kills them at some moment of their work on the target. */
  async #copyUntilKilled(index: number): Promise<void> {
    const moment = moments[(index * 5) % moments.length] ?? "";
    const env = { PATH: process.env.PATH ?? "", NODE_OPTIONS: `--import ${killAt}`, KILL_AT: moment, KILL_STATE: this.#scene.stateDir, KILL_STORE: this.#folderOf("away") };
    const { exit, killedBy, stderr } = await this.#scene.spawn(["copy"], { env });
    expect([exit, killedBy], stderr).toEqual(killedBy === null ? [0, null] : [null, "SIGKILL"]);
    if (killedBy !== null) this.killedCount += 1;
  }

  /** Changes files, now and then much of them; other tools take snapshots, some under names like ours. */
  async #live(index: number): Promise<void> {
    const [inHome = "", inServices = "", inWeb = ""] = datasets.map((name) => this.#zfs.mountOf(name));
    const bytes = index % 17 === 6 ? 150_000 : 2000;
    const foreign = index % 5 === 1 ? [`${home}@autosnap-${index}`, `${web}@zferry-by-hand-${index}`] : [];
    this.#foreign.push(...foreign);
    const changes = [
      `head -c ${bytes} /dev/urandom > ${inHome}/changing`,
      `echo ${index} > ${inHome}/night-${index % 4}`,
      `rm -f ${inHome}/night-${(index + 2) % 4}`,
      `echo running > ${inServices}/state`,
      `echo ${index} | tee -a ${inServices}/log >> ${inWeb}/log`,
    ];
    await this.#zfs.sh([...changes, ...foreign.map((name) => `zfs snapshot ${name}`)].join(" && "));
  }

  /** `sha256sum` of the files of datasets, by key; but of what the hooks write, which is looked at by itself. */
  async #sumsOf(pairs: readonly (readonly [key: string, dataset: string])[]): Promise<ReadonlyMap<string, string>> {
    const list = "find . -maxdepth 1 -type f ! -name state | sort | xargs -r sha256sum";
    const lines = pairs.map(([key, name]) => `echo '== ${key}' && cd ${this.#zfs.mountOf(name)} && ${list}`);
    const parts = (await this.#zfs.sh(lines.join(" && "))).split(/^== /m).slice(1);
    return new Map(parts.map((part) => part.split("\n")).map(([key = "", ...sums]) => [key, sums.join("\n").trim()]));
  }

  /** What a store has now is what its policy keeps of all that was ever made, and what that needs. */
  async expectKept(place: Place): Promise<readonly string[]> {
    const { backups } = JSON.parse(await this.#zferry("list", "--json", "--store", place)) as { backups: Listed[] };
    for (const one of backups) this.#made.set(one.backup, one);
    const kept = datasets.flatMap((dataset) => this.#keptOf([...this.#made.values()].filter(({ backup }) => backup.startsWith(`${dataset}@`)), place === "main" ? this.#policy : this.#policy.away));
    const names = backups.map(({ backup }) => backup).sort();
    expect(names).toEqual([...new Set(kept)].sort());
    return names;
  }

  #keptOf(made: readonly Listed[], { daily, weekly, monthly }: Kept): readonly string[] {
    const rules = [[daily, dayOf], [weekly, weekOf], [monthly, monthOf]] as const;
    const kept = rules.flatMap(([count, periodOf]) => {
      const newest = new Map([...made].sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1)).map((one) => [periodOf(new Date(one.createdAt)), one]));
      // While a rule could keep more than there are it keeps the oldest as well (docs/retention.md).
      const oldest = newest.size < count ? [...made].sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1)).slice(0, 1) : [];
      return [...[...newest].sort(([a], [b]) => (a < b ? 1 : -1)).slice(0, count).map(([, one]) => one), ...oldest];
    });
    return kept.flatMap(({ backup, baseBackup }) => (baseBackup === null ? [backup] : [backup, baseBackup]));
  }

  /** Every object in a store is named by a manifest, and there is every one that is. */
  expectObjectsNamed(place: Place): void {
    const folder = this.#folderOf(place);
    const manifests = filesUnder(join(folder, "manifests"));
    const named = manifests.flatMap((name) => {
      const { backup, attempt, chunks } = JSON.parse(readFileSync(join(folder, "manifests", name), "utf8")) as Manifest;
      const [dataset = "", snapshot = ""] = backup.split("@");
      const own = `streams/${backup}/${attempt}`;
      const stem = `${own}/${dataset.split("/").at(-1) ?? ""}@${snapshot}.zfs.gpg.`;
      return [`manifests/${name}`, `${own}/RESTORE.md`, ...chunks.map((_, index) => `${stem}${String(index).padStart(6, "0")}`)];
    });
    // A temporary file of a killed process, of a lease or manifest, goes by itself after a day (`store/directory-unfinished.ts`).
    expect(filesUnder(folder).filter((name) => !name.startsWith(".zferry-tmp/"))).toEqual(named.sort());
  }

  /** On the pool are the newest of ours, the anchors, and all that others took. */
  async expectLocalSnapshots(): Promise<void> {
    const listed = (await this.#zfs.sh("zfs list -H -t snapshot -o name -r tsrc")).split("\n").filter((name) => name !== "");
    const wanted = datasets.flatMap((dataset) => {
      const made = [...this.#made.values()].filter(({ backup }) => backup.startsWith(`${dataset}@`)).sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
      const anchor = made.findLast(({ kind }) => kind === "full");
      return [...made.slice(-this.#policy.last), ...(anchor === undefined ? [] : [anchor])].map(({ backup }) => backup);
    });
    expect(listed.sort()).toEqual([...new Set([...wanted, ...this.#foreign])].sort());
  }

  /** Restores each of them from one store alone into a dataset of its own, and compares every file. */
  async expectRestores(backups: readonly string[], place: Place): Promise<void> {
    const targets = backups.map((backup, index) => [backup, `tdst/r${index}`] as const);
    for (const [backup, target] of targets) await this.#zferry("restore", backup, "--store", place, "--to", target, "--mount");
    const sums = await this.#sumsOf(targets);
    for (const backup of backups) expect([backup, sums.get(backup)]).toEqual([backup, this.#sums.get(backup)]);
    const states = targets.filter(([backup]) => backup.startsWith(`${services}@`)).map(([, target]) => `${this.#zfs.mountOf(target)}/state`);
    if (states.length > 0) expect(await this.#zfs.sh(`cat ${states.join(" ")} | sort -u`)).toBe("quiet");
    // zfs-fuse lets go of what was read a moment later.
    await this.#zfs.sh(`for target in ${targets.map(([, target]) => target).join(" ")}; do until zfs destroy -r $target 2>/dev/null; do sleep 0.2; done; done`);
    this.restoredCount += backups.length;
  }

  async #zferry(...words: string[]): Promise<string> {
    const program = join(dirname(await built()), "cli", "program.js"); // built: the hooks' guard is started from beside it
    const { runToExit: run } = (await import(pathToFileURL(program).href)) as { runToExit: typeof runToExit };
    const environment = { PATH: process.env.PATH };
    const terminal = ownTerminal({ environment, workingDirectory: this.#scene.folder, now: () => this.#now });
    expect(await run(words, terminal), terminal.written.stderr).toBe(0);
    return terminal.written.stdout;
  }
}

export interface Made {
  readonly backup: string;
  readonly kind: string;
  readonly reason: string;
}

interface BackupDocument {
  readonly type: string;
  readonly outcome?: string;
  readonly dataset?: string;
  readonly backup?: string;
  readonly plan?: { readonly kind: string; readonly reason: string };
}

function dayOf(time: Date): string {
  return time.toISOString().slice(0, 10);
}

function monthOf(time: Date): string {
  return time.toISOString().slice(0, 7);
}

/** By its Thursday, as ISO 8601 has it. */
function weekOf(time: Date): string {
  return dayOf(new Date(time.getTime() + (4 - (time.getUTCDay() || 7)) * dayMs));
}
