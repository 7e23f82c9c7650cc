/** `zferry files list [JOB]` and `zferry files restore JOB [PATH…]`: what engine `s3` of mode `files` has stored. */
import type { Command } from "commander";
import { resolve } from "node:path";
import { formatSize } from "../bytes.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { timeOf } from "../format/file-layout.ts";
import type { ListEnd } from "../format/file-list.ts";
import { readKeyring } from "../secrets.ts";
import { word } from "../shell.ts";
import type { Store } from "../store/store.ts";
import { entriesOf, type ListedEntry } from "../tree/list-file.ts";
import { restoreTree } from "../tree/restore-tree.ts";
import { fetchEnd, listsIn } from "../tree/runs.ts";
import { chooseRun, type FilesFlags, jobNamed, jobsOfFiles, useFilesStore, useList } from "./files-lists.ts";
import { withKeyring, withStore } from "./options.ts";
import { clock } from "./clock.ts";
import { momentText } from "./moments.ts";
import { Progress } from "./progress.ts";
import { counted, rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import type { Session } from "./session.ts";
import { patience } from "./settings.ts";
import { table } from "./table.ts";

interface RestoreFlags extends FilesFlags {
  readonly into?: string;
  readonly overwrite?: boolean;
}

const listing = `
Without --run one line for each run that can be restored; with it every path of that run, as \`files restore\` takes them: bytes that
are no plain ASCII are %XX. Exit status: 0; 3 a list is damaged, the others are shown;
10 there is no such run; 12 no key opens the list; 15 the store.`;

const restoring = `
PATH is one of the tree, as it is or as \`files list\` prints it, with all that is below it; without any everything is restored.
Each content is compared with its digest before the file gets its name. What is there already is refused unless --overwrite is
given; folders are entered, symbolic links never followed. Owners are given back when run as root. Exit status: 0 all is there;
10 no such run or path; 12 no key opens it; 13 something is damaged; 14 a name is taken; 15 the store; 18 it cannot
be written.`;

const someRun = "the run, or its number: 000012 (default the newest)";

export function filesCommand(command: Command, run: RunCommand): void {
  const list = command.command("list [job]").description("the runs of a job, or of all; with --run the paths of one").addHelpText("after", listing);
  list.option("--run <run>", someRun).option("--dataset <dataset>", "of a job with several");
  withKeyring(withStore(list, "requests", patience.text)).option("--allow-unauthenticated", "take a list that is not sealed with any key").action(run(listFiles));
  const restore = command.command("restore <job> [path...]").description("bring files back: all of a run, or some paths").addHelpText("after", restoring);
  restore
    .requiredOption("--into <folder>", "where to; made when it is not there")
    .option("--run <run>", someRun)
    .option("--dataset <dataset>", "of a job with several")
    .option("--overwrite", "replace files and links that are there");
  withKeyring(withStore(restore, "ranges", patience.text)).option("--allow-unauthenticated", "take a list that is not sealed with any key").action(run(restoreFiles));
}

async function listFiles(session: Session, [name]: readonly string[], flags: FilesFlags): Promise<void> {
  if (flags.run !== undefined) {
    if (name === undefined) throw new ZferryError("usage", "--run needs the job", { hint: "as in: zferry files list JOB --run 000012" });
    await listPaths(session, name, flags);
    return;
  }
  const jobs = name === undefined ? jobsOfFiles(session) : [jobNamed(session, name)];
  const rows: RunRow[] = [];
  for (const { name: job, store } of jobs) rows.push(...(await useFilesStore(session, store, (opened) => runsOf(opened, job, flags, session))));
  session.report.json({ type: "files-list", runs: rows.map(({ error, ...row }) => ({ ...row, error: error?.message ?? null })) });
  session.report.text(rows.length === 0 ? ["no files"] : table([["job", "dataset", "run", "began", "files", "size"], ...rows.map((row) => rowText(row, session.report.columns !== null))], { width: session.report.columns, folding: ["files", "began"] }));
  const newest = rows.findLast(({ error }) => error === null);
  if (newest !== undefined) session.report.next(`zferry files list ${word(newest.job)} --run ${newest.run.slice(0, 6)} shows its paths, zferry files restore ${word(newest.job)} --into FOLDER brings the newest back`);
  const damaged = rows.filter(({ error }) => error !== null);
  if (damaged.length === 0) return;
  throw new ZferryError("findings", `${damaged.length} of ${counted(rows.length, "list")} cannot be read: ${damaged[0]?.error?.message ?? ""}`, { hint: "the others are shown, and can be restored" });
}

interface RunRow {
  readonly job: string;
  readonly store: string;
  readonly dataset: string;
  readonly run: string;
  readonly startedAt: Date;
  readonly fileCount: number | null;
  readonly entryCount: number | null;
  readonly sizeBytes: number | null;
  readonly error: ZferryError | null;
}

async function runsOf(store: Store, job: string, flags: FilesFlags, { terminal }: Session): Promise<readonly RunRow[]> {
  const rows: RunRow[] = [];
  for (const { dataset, run, object } of await listsIn(store, job, terminal.signal)) {
    if (flags.dataset !== undefined && flags.dataset !== dataset) continue;
    const common = { job, store: store.url, dataset, run, startedAt: timeOf(run) };
    const end = await fetchEnd(store, object, terminal.signal).catch((error: unknown) => {
      if (isZferryError(error, "manifest-invalid")) return error;
      if (isZferryError(error, "object-missing")) return null;
      throw error;
    });
    if (end === null) continue; // a run has dropped it meanwhile
    rows.push({ ...common, ...(isZferryError(end) ? { fileCount: null, entryCount: null, sizeBytes: null, error: end } : { ...countsOf(end), error: null }) });
  }
  return rows;
}

function countsOf({ fileCount, entryCount, sizeBytes }: ListEnd): Pick<ListEnd, "fileCount" | "entryCount" | "sizeBytes"> {
  return { fileCount, entryCount, sizeBytes };
}

/** @param isLocal - for a terminal: times of this place */
function rowText({ job, dataset, run, startedAt, fileCount, sizeBytes, error }: RunRow, isLocal: boolean): string[] {
  const began = momentText(startedAt, "second", isLocal);
  return [job, dataset, run, began, ...(error === null ? [String(fileCount ?? 0), formatSize(sizeBytes ?? 0)] : ["damaged", ""])];
}

async function listPaths(session: Session, name: string, flags: FilesFlags): Promise<void> {
  const { report, terminal, settings } = session;
  const job = jobNamed(session, name);
  await useFilesStore(session, job.store, async (store) => {
    const chosen = await chooseRun(store, job.name, { flags, signal: terminal.signal });
    const keyring = await readKeyring(settings.encryption, terminal.environment);
    await useList(session, { store, chosen, keyring }, async (list) => {
      for await (const listed of entriesOf(list)) {
        report.json({ type: "files-entry", ...documentOf(listed) });
        report.text([lineOf(listed)]);
      }
    });
    report.json({ type: "files-paths", job: chosen.job, dataset: chosen.dataset, run: chosen.run });
  });
}

/** The root is `.`, as one would type it. */
function documentOf({ entry }: ListedEntry): Record<string, unknown> {
  const { path, type } = entry;
  const about = entry.type === "other" ? { mode: null, uid: null, gid: null, modifiedAt: null } : { mode: entry.mode, uid: entry.uid, gid: entry.gid, modifiedAt: timeText(entry.mtime) };
  const file = entry.type === "file" ? { sizeBytes: entry.sizeBytes, linkTo: entry.linkTo ?? null, sentBy: entry.object?.run ?? null, changed: entry.changed === true } : { sizeBytes: null, linkTo: null, sentBy: null, changed: false };
  return { path: path === "" ? "." : path, kind: entry.type === "other" ? entry.what : type, ...about, ...file };
}

function timeText(nanoseconds: string): string {
  return new Date(Number(BigInt(nanoseconds) / 1_000_000n)).toISOString();
}

function lineOf({ entry }: ListedEntry): string {
  const path = entry.path === "" ? "." : entry.path;
  return entry.type === "folder" ? `${path}/` : path;
}

async function restoreFiles(session: Session, [name = "", ...paths]: readonly string[], flags: RestoreFlags): Promise<void> {
  const { report, terminal, settings } = session;
  const job = jobNamed(session, name);
  const into = resolve(terminal.workingDirectory, flags.into ?? "");
  const progress = new Progress(report, "restored");
  await useFilesStore(session, job.store, async (store) => {
    const chosen = await chooseRun(store, job.name, { flags, signal: terminal.signal });
    const keyring = await readKeyring(settings.encryption, terminal.environment);
    const manner = { overwrite: flags.overwrite === true, givesOwners: terminal.isRoot };
    const restored = await useList(session, { store, chosen, keyring }, (list) =>
      restoreTree({ store, place: chosen, list, into, paths, keyring, manner, onWritten: progress.count, signal: terminal.signal }),
    ).finally(() => {
      progress.end();
    });
    const { job: of, dataset, run } = chosen;
    report.json({ type: "files-restore", job: of, dataset, run, into, ...restored, seconds: rounded(progress.seconds) });
    const { fileCount, linkCount, sizeBytes, leftOutCount } = restored;
    const out = leftOutCount === 0 ? "" : `; ${leftOutCount} pipes, sockets and devices are not restored`;
    report.done([`restored ${counted(fileCount + linkCount, "file")} of run ${run} into ${into}: ${formatSize(sizeBytes)}, ${clock(progress.seconds)}${out}`]);
  });
}
