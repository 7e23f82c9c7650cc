/** `zferry verify [DATASET[@SNAPSHOT]]`: is everything still there, and would it restore? */
import { randomBytes } from "node:crypto";
import { type Command, Option } from "commander";
import { formatSize, parseSize } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { defaultLevel, type VerifiedBackup, verify, type VerifyScope } from "../verify/verify.ts";
import { type VerifyLevel, verifyLevels } from "../verified.ts";
import type { Finding } from "../verify/findings.ts";
import type { Scratch } from "../verify/receive.ts";
import type { Sample } from "../verify/sample.ts";
import { parseDatasetName, parseSnapshotName } from "../zfs/names.ts";
import { type Drill, tellDrill } from "./drill.ts";
import { publish } from "./gathering.ts";
import { type SharedFlags, withOpening, withStore, withZfs } from "./options.ts";
import { type Line, painted } from "./paint.ts";
import { clock } from "./clock.ts";
import { Progress } from "./progress.ts";
import { counted, rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { readOptions, type Session, useStore, zfsFor } from "./session.ts";

interface VerifyFlags extends SharedFlags {
  readonly level?: VerifyLevel;
  readonly budget?: string;
  readonly into?: string;
  readonly sample?: string;
  readonly sampleSeed?: string;
}

const levelHelp = `
Levels, each of which does what the ones before it do:
  exists   every chunk is there with its size, every base is there; reads no chunk, needs no key
  digest   every chunk is read and compared with its digest; with a key the manifest's seal is checked too
  stream   everything is decrypted and parsed to its last record, checksums and guids compared; needs a key
  receive  everything is received into the dataset of --into, its guid compared, and destroyed again`;

export function verifyCommand(command: Command, run: RunCommand): void {
  command
    .addOption(new Option("--level <level>", "how closely to look (default stream, without a key digest)").choices(verifyLevels))
    .option("--budget <size>", "read no more than this, the longest unverified first, at least one backup")
    .option("--into <dataset>", "for level receive: a dataset that does not exist, received into and destroyed for each backup")
    .option("--sample <count>", "for level receive: compare that many files with the source's snapshot, where it still is on the pool")
    .option("--sample-seed <seed>", "which files; an earlier run has printed it (default random)")
    .addHelpText("after", levelHelp);
  withZfs(withOpening(withStore(command, "ranges"))).action(run(verifyBackups));
}

function scopeOf(name: string | undefined): VerifyScope {
  if (name === undefined) return { kind: "all" };
  if (name.includes("@")) return { kind: "snapshot", name: parseSnapshotName(name) };
  return { kind: "dataset", dataset: parseDatasetName(name) };
}

function refuseOddFlags({ level, into, sample, sampleSeed }: VerifyFlags): void {
  if (sample !== undefined && !/^[1-9]\d{0,5}$/.test(sample)) {
    throw new ZferryError("usage", `"${sample}" is not a number of files`, { hint: "write a number from 1 to 999999, as in --sample 20" });
  }
  if ((sample !== undefined && level !== "receive") || (sampleSeed !== undefined && sample === undefined)) {
    throw new ZferryError("usage", "--sample is for --level receive, and --sample-seed for --sample", {
      hint: "as in: zferry verify tank/home --level receive --into tank/scratch --sample 20",
    });
  }
  if ((level === "receive") === (into !== undefined)) return;
  throw new ZferryError("usage", "--level receive and --into need each other", {
    hint: "give both, as in: zferry verify tank/home --level receive --into tank/scratch",
  });
}

async function verifyBackups(session: Session, [name]: readonly string[], flags: VerifyFlags): Promise<void> {
  const { report, settings, terminal } = session;
  const scope = scopeOf(name);
  refuseOddFlags(flags);
  const budgetBytes = flags.budget === undefined ? null : parseSize(flags.budget);
  const progress = new Progress(report, "read");
  const told = new Told(session, progress);
  told.level = flags.level ?? "exists";
  const scratch = scratchFor(session, flags, told.sample);
  await useStore(session, { access: "read", named: null }, async ({ store, settings: storeSettings }) => {
    const options = await readOptions(session, storeSettings, progress.count);
    told.level = flags.level ?? defaultLevel(options);
    const { findings } = await verify({
      ...options,
      store,
      scope,
      level: flags.level ?? null,
      budgetBytes,
      scratch,
      stateDir: settings.stateDir,
      now: terminal.now,
      onBackup: told.backup,
      onTotal: progress.total,
    });
    told.end(findings);
  })
    .catch((error: unknown) => {
      told.failure = error;
      throw error;
    })
    .finally(async () => {
      progress.end();
      told.document();
      await tellDrill(session, told.drill);
      await publish(session);
    });
  told.verdict();
}

function scratchFor(session: Session, { into, sample, sampleSeed }: VerifyFlags, onSample: Scratch["onSample"]): Scratch | null {
  if (into === undefined) return null;
  const files = sample === undefined ? null : { fileCount: Number(sample), seed: sampleSeed ?? randomBytes(4).toString("hex") };
  return { zfs: zfsFor(session, session.settings.config.defaults), into: parseDatasetName(into), sample: files, onSample };
}

/** What is said of a run: each backup as soon as it is known, and one document, also of a run that was cut off. */
class Told {
  readonly #session: Session;
  readonly #progress: Progress;
  readonly #backups: VerifiedBackup[] = [];
  readonly #samples: Sample[] = [];
  #findings: readonly Finding[] = [];
  #isComplete = false;
  level: VerifyLevel = "exists";
  /** Why the run was cut off; null when it was not. */
  failure: unknown = null;

  constructor(session: Session, progress: Progress) {
    this.#session = session;
    this.#progress = progress;
  }

  get drill(): Drill {
    return { level: this.level, backups: this.#backups, strayCount: this.#findings.length, failure: this.failure };
  }

  readonly backup = (result: VerifiedBackup): void => {
    this.#backups.push(result);
    this.#progress.end();
    const { findings, obstacle } = result;
    const isGood = findings.length === 0 && obstacle === null;
    const told = { event: "backup-verified", backup: result.backup, level: result.level, ok: isGood, findingCount: findings.length, bytes: result.bytes } as const;
    this.#session.report.event(told, { level: isGood ? "info" : "warn" });
    if (isGood) this.#session.report.done(linesOf(result));
    else this.#session.report.text(linesOf(result));
  };

  readonly sample = (sample: Sample): void => {
    const { backup, seed, fileCount, obstacle } = sample;
    this.#samples.push(sample);
    if (obstacle !== null) this.#session.report.warn(`no files of "${backup}" could be compared with the source: ${obstacle}`);
    else this.#session.report.info(`compared ${counted(fileCount, "file")} of "${backup}" with the source (--sample-seed ${seed})`);
  };

  end(findings: readonly Finding[]): void {
    this.#findings = findings;
    this.#isComplete = true;
    const read = this.#backups.filter(({ level }) => level !== "exists").length;
    const { bytes, seconds } = this.#progress;
    const reading = this.level === "exists" ? "" : `, ${read} of them read (${formatSize(bytes)}, ${clock(seconds)})`;
    const summary = this.#backups.length === 0 ? "no backups" : `verified ${counted(this.#backups.length, "backup")}${reading}: ${counted(this.#count, "finding")}`;
    this.#session.report.text(findings.map((one): Line => [painted("finding:", "bad"), ` ${textOf(one)}`]));
    this.#session.report.done([summary]);
  }

  /** Nothing, when the run ended before anything was known. */
  document(): void {
    if (!this.#isComplete && this.#backups.length === 0) return;
    this.#session.report.json({
      type: "verify",
      level: this.level,
      complete: this.#isComplete,
      backups: this.#backups.map(toDocument),
      findings: this.#findings,
      samples: this.#samples,
      bytes: this.#progress.bytes,
      seconds: rounded(this.#progress.seconds),
    });
  }

  /** @throws ZferryError `findings`, or else why something could not be verified as it was asked for */
  verdict(): void {
    if (this.#count > 0) {
      const bad = this.#backups.filter(({ findings }) => findings.length > 0).length;
      throw new ZferryError("findings", `verify has ${counted(this.#count, "finding")} in ${bad} of ${counted(this.#backups.length, "backup")}`, {
        hint: "they are listed on stdout, and `zferry list` shows what each backup was last verified at; make a new full while you can",
      });
    }
    const obstacle = this.#backups.find((one) => one.obstacle !== null)?.obstacle ?? null;
    if (obstacle !== null) throw obstacle;
  }

  get #count(): number {
    return this.#findings.length + this.#backups.reduce((sum, { findings }) => sum + findings.length, 0);
  }
}

function textOf({ kind, message }: Finding): string {
  return `${kind}: ${message}`;
}

function linesOf({ backup, level, findings, obstacle, bytes }: VerifiedBackup): Line[] {
  const how = bytes === 0 ? level : `${level}, ${formatSize(bytes)} read`;
  const lines = findings.map((one): Line => [painted("finding:", "bad"), ` ${backup}: ${textOf(one)}`]);
  if (obstacle !== null) lines.push([painted("not done:", "doubtful"), ` ${backup}: no more than level ${level}: ${obstacle.message}`]);
  return lines.length > 0 ? lines : [[painted("ok:", "good"), ` ${backup} (${how})`]];
}

function toDocument({ backup, level, findings, obstacle, isSealChecked, bytes }: VerifiedBackup): Record<string, unknown> {
  return {
    backup,
    level,
    ok: findings.length === 0 && obstacle === null,
    bytes,
    sealChecked: isSealChecked,
    findings,
    obstacle: obstacle === null ? null : { code: obstacle.code, message: obstacle.message },
  };
}
