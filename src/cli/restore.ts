/** `zferry restore DATASET[@SNAPSHOT] --to TARGET`: back into a pool. */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, InvalidArgumentError } from "commander";
import { formatRate, formatSize } from "../bytes.ts";
import { ZferryError } from "../errors.ts";
import { findChunkFiles, sizeOfFiles } from "../foreign.ts";
import { restore, type RestoreStep, type Wanted } from "../restore.ts";
import { restoreForeign } from "../restore-foreign.ts";
import { word } from "../shell.ts";
import type { Zfs } from "../zfs/command.ts";
import { readDataset } from "../zfs/inventory.ts";
import { type DatasetName, datasetOf, parseDatasetName, parseSnapshotName, shortNameOf } from "../zfs/names.ts";
import type { ReceiveOptions } from "../zfs/receive.ts";
import { confirm, isAsking } from "./confirm.ts";
import { more, type SharedFlags, withOpening, withStores, withZfs } from "./options.ts";
import { clock } from "./clock.ts";
import { Progress } from "./progress.ts";
import { rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { readOptions, type Session, zfsFor } from "./session.ts";
import { patience } from "./settings.ts";
import { FallOvers, sourceSettings, useSources } from "./sources.ts";

interface RestoreFlags extends SharedFlags {
  readonly to: string;
  readonly from?: readonly string[];
  readonly at?: Date;
  readonly dryRun?: boolean;
  readonly mount?: boolean;
  readonly force?: boolean;
  readonly yes?: boolean;
  readonly resumable?: boolean;
  readonly set?: Record<string, string>;
  readonly exclude?: string[];
}

export function restoreCommand(command: Command, run: RunCommand): void {
  command
    .requiredOption("--to <target>", "dataset to receive into; its parent must exist, itself it must not")
    .option("--from <store>", "as --store; also a downloaded folder, or a folder written by ZFS2Cloud", more)
    .option("--at <time>", "the newest backup that is not younger, as 2026-11-21 or 2026-11-21T02:00:00Z", time)
    .option("--dry-run", "show which backups would be received, check their manifests, and receive nothing")
    .option("--mount", "mount what was received (zfs recv without -u)")
    .option("-F, --force", "roll the target back and overwrite it (zfs recv -F)")
    .option("--yes", "with --force on a terminal: do not ask before a dataset that is there is overwritten")
    .option("-s, --resumable", "keep a half-received state when interrupted (zfs recv -s)")
    .option("-o, --set <property=value>", "set a property on the target (zfs recv -o); may be repeated", property)
    .option("-x, --exclude <property>", "do not take this property from the stream (zfs recv -x); may be repeated", more);
  withZfs(withOpening(withStores(command, patience.text))).action(run(restoreBackup));
}

/** A day of UTC, or a moment as `list` shows it: a day and a minute are meant to their ends, because all that was made in them shows so. */
function time(text: string): Date {
  const [, day = "", minute, seconds] = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d(?:\.\d+)?)? ?(?:Z|UTC|[+-]\d\d:\d\d)?)?$/.exec(text) ?? [];
  const date = new Date(minute === undefined ? `${day}T23:59:59.999Z` : text);
  const midnight = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(date.getTime()) || Number.isNaN(midnight.getTime()) || !midnight.toISOString().startsWith(day)) {
    throw new InvalidArgumentError("write it as 2026-11-21 or 2026-11-21T02:00:00Z.");
  }
  return minute !== undefined && seconds === undefined ? new Date(date.getTime() + 59_999) : date;
}

function property(text: string, before: Record<string, string> | undefined): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("write it as property=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

function wantedOf(name: string, at: Date | undefined): Wanted {
  if (name.includes("@") && !name.endsWith("@latest")) {
    if (at !== undefined) {
      throw new ZferryError("usage", "a snapshot and --at cannot be given together", {
        hint: "leave the snapshot out to restore the newest one at that time",
      });
    }
    return { kind: "snapshot", name: parseSnapshotName(name) };
  }
  const dataset = parseDatasetName(name.replace(/@latest$/, ""));
  return at === undefined ? { kind: "latest", dataset } : { kind: "at", dataset, time: at };
}

async function restoreBackup(session: Session, [name = ""]: readonly string[], flags: RestoreFlags): Promise<void> {
  const wanted = wantedOf(name, flags.at);
  const target = parseDatasetName(flags.to);
  const receive: ReceiveOptions = {
    unmounted: flags.mount !== true,
    force: flags.force === true,
    resumable: flags.resumable === true,
    set: flags.set ?? {},
    exclude: flags.exclude ?? [],
  };
  const { report, settings } = session;
  const zfs = zfsFor(session, settings.config.defaults);
  if (receive.force && flags.dryRun !== true && isAsking(session, flags)) await askToOverwrite(session, zfs, target);
  const progress = new Progress(report, "fetched", { source: "the store", sink: "zfs receive" });
  const dataset = wanted.kind === "snapshot" ? datasetOf(wanted.name) : wanted.dataset;
  const stores = sourceSettings(flags, settings.config, flags.from ?? flags.stores ?? [], dataset);
  const options = { ...(await readOptions(session, stores[0], progress.count)), ...progress.watching };

  const folder = stores.length === 1 ? folderOf(stores[0].url) : null;
  const files = folder !== null && wanted.kind === "snapshot" ? await findChunkFiles(folder, wanted.name) : null;
  if (files !== null && wanted.kind === "snapshot") {
    progress.total(await sizeOfFiles(files));
    report.warn(`"${folder ?? ""}" holds chunks without a manifest: they are checked only as far as OpenPGP does`);
    if (flags.dryRun === true) {
      report.json({ type: "restore", dryRun: true, steps: [], fallOvers: [], files });
      report.text(files.map((file) => `would receive ${file}`));
      return;
    }
    const begin = await restoreForeign({ ...options, files, zfs, target, receive }).finally(() => {
      progress.end();
    });
    tell(session, { snapshot: `${target}@${shortNameOf(parseSnapshotName(begin.toName))}`, steps: [], fallOvers: new FallOvers(report), progress });
    return;
  }
  const fallOvers = new FallOvers(report);
  const steps = await useSources(session, { wanted: stores, fallOvers }, (sources) =>
    restore({
      ...options,
      store: sources,
      zfs,
      wanted,
      target,
      receive,
      stateDir: settings.stateDir,
      isDryRun: flags.dryRun === true,
      onStep: ({ entry, isThere, store }) => {
        const from = stores.length === 1 ? "" : ` from "${store}"`;
        if (isThere) {
          report.info(`"${target}" holds ${entry.backup} already`);
          return;
        }
        const text = `receiving ${entry.backup}${from} into "${target}"`;
        report.event({ event: "receive-began", backup: entry.backup, target, store, bytes: entry.messageBytes }, { text });
      },
      onReceived: ({ entry }) => {
        report.tell({ event: "receive-ended", backup: entry.backup, target });
      },
      onTotal: progress.total,
    }),
  ).finally(() => {
    progress.end();
  });
  if (flags.dryRun === true) tellPlan(session, steps, fallOvers);
  else tell(session, { snapshot: `${target}@${shortNameOf(steps.at(-1)?.entry.backup ?? parseSnapshotName(name))}`, steps, fallOvers, progress });
}

/** @throws ZferryError `interrupted` for a no */
async function askToOverwrite(session: Session, zfs: Zfs, target: DatasetName): Promise<void> {
  const there = await readDataset(zfs, target, session.terminal);
  if (there === null) return;
  if (await confirm(session, `"${target}" is there: roll it back to its newest snapshot, overwrite it, and lose for good what was written since?`)) return;
  throw new ZferryError("interrupted", `nothing was restored: "${target}" is to stay as it is`, { hint: "restore into a dataset that does not exist yet" });
}

/** The local folder a store's URL means, or null when it is none. */
function folderOf(url: string): string | null {
  if (/^(?!file:)[a-z0-9+.-]+:/i.test(url)) return null;
  const folder = url.startsWith("file:") ? fileURLToPath(url) : url;
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true ? folder : null;
}

function tellPlan({ report }: Session, steps: readonly RestoreStep[], fallOvers: FallOvers): void {
  report.json({ type: "restore", dryRun: true, steps: steps.map(toDocument), fallOvers: fallOvers.all });
  report.text([
    ...steps.map(({ entry, isThere }) => `${isThere ? "is there already" : "would receive"}: ${entry.kind} ${entry.backup}, ${formatSize(entry.messageBytes)}`),
    ...fallOvers.summary,
  ]);
  report.next("the same without --dry-run does it");
}

interface Restored {
  readonly snapshot: string;
  readonly steps: readonly RestoreStep[];
  readonly fallOvers: FallOvers;
  readonly progress: Progress;
}

function tell({ report }: Session, { snapshot, steps, fallOvers, progress }: Restored): void {
  const { bytes, seconds } = progress;
  report.json({
    type: "restore",
    dryRun: false,
    snapshot,
    steps: steps.map(toDocument),
    fallOvers: fallOvers.all,
    fetchedBytes: bytes,
    seconds: rounded(seconds),
  });
  report.done([
    `restored ${snapshot}: ${formatSize(bytes)} fetched, ${clock(seconds)}, ${formatRate(bytes, seconds)}; its guid is the backup's`,
    ...fallOvers.summary,
  ]);
  report.info(`it is not mounted unless --mount was given: zfs mount ${word(datasetOf(parseSnapshotName(snapshot)))}`);
}

function toDocument({ entry, isThere, store }: RestoreStep): Record<string, unknown> {
  return { backup: entry.backup, isThere, store };
}
