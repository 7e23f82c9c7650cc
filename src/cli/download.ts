/** `zferry download DATASET@SNAPSHOT DIR`: a backup and what it needs, as they are, into a folder that is a store. */
import type { Command } from "commander";
import { formatRate, formatSize } from "../bytes.ts";
import { download } from "../download.ts";
import { parseSnapshotName } from "../zfs/names.ts";
import { defaultSettings } from "../config/schema.ts";
import { word } from "../shell.ts";
import { withStore } from "./options.ts";
import { clock } from "./clock.ts";
import { Progress } from "./progress.ts";
import { rounded } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { type Session, useStore, useStoreAt } from "./session.ts";

export function downloadCommand(command: Command, run: RunCommand): void {
  withStore(command, "ranges").action(run(downloadBackup));
}

async function downloadBackup(session: Session, [name = "", folder = ""]: readonly string[]): Promise<void> {
  const { report, terminal } = session;
  const backup = parseSnapshotName(name);
  const progress = new Progress(report, "downloaded", { source: "the store", sink: "the folder" });
  const { partBytes, retryMs, concurrency } = defaultSettings;
  const chain = await useStore(session, { access: "read", named: null }, ({ store: from, settings }) =>
    useStoreAt(session, { url: folder, partBytes, retryMs, concurrency, leaseMs: null, credentials: null }, "write", ({ store: to }) =>
      download({
        from,
        to,
        backup,
        concurrency: settings.concurrency,
        onFetched: progress.count,
        onTotal: progress.total,
        ...progress.watching,
        warn: report.warn,
        signal: terminal.signal,
      }),
    ),
  ).finally(() => {
    progress.end();
  });
  const { bytes, seconds } = progress;
  const backups = chain.map((entry) => entry.backup);
  report.json({ type: "download", folder, backups, bytes, seconds: rounded(seconds) });
  report.done([
    `downloaded ${backups.join(" and ")} into ${folder}: ${formatSize(bytes)}, ${clock(seconds)}, ${formatRate(bytes, seconds)}`,
    `restore from there with: zferry restore ${word(backup)} --from ${word(folder)} --to TARGET`,
  ]);
}
