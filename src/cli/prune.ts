/** `zferry prune [JOB…]`: what a policy does not keep; `--strays`: what failed attempts left. Shows first, acts with `--yes`. */
import type { Command } from "commander";
import { confirm, isAsking } from "./confirm.ts";
import { publish } from "./gathering.ts";
import { durationFlag, type SharedFlags, withStore, withZfs } from "./options.ts";
import { countFlag, type KeepFlags, pruneJobs } from "./prune-jobs.ts";
import { defaultGrace, graceFlag, pruneStrays, type StrayFlags, straysExplanation } from "./prune-strays.ts";
import type { Going } from "./prune-report.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import type { Session } from "./session.ts";

const explanation = `
Without --yes it says of each backup and each snapshot of the jobs (all of them when none is named) why it stays, or that
no rule keeps it, and removes nothing. Jobs say what is kept with \`keep\` in the configuration (docs/retention.md).
--dataset with --keep-… judges the backups of one dataset in the store by these rules instead, or with --local its
snapshots on the pool. Exit status 3: something could not be removed, or a manifest cannot be read and keeps what it may
need.
${straysExplanation}`;

interface PruneFlags extends SharedFlags, StrayFlags, KeepFlags {}

export function pruneCommand(command: Command, run: RunCommand): void {
  command
    .option("--yes", "remove what would go; without it somebody on a terminal is asked, and anybody else is only told")
    .option("--dataset <name>", "this dataset, without a job")
    .option("--local", "the snapshots on the pool instead of the backups in the store; with --dataset")
    .option("--keep-last <n>", "the newest n", countFlag)
    .option("--keep-within <time>", "all not older than this, counted back from the newest, or from now if that is earlier", durationFlag)
    .option("--keep-daily <n>", "the newest of each of the last n days that have one", countFlag)
    .option("--keep-weekly <n>", "the same for ISO weeks", countFlag)
    .option("--keep-monthly <n>", "the same for months", countFlag)
    .option("--keep-yearly <n>", "the same for years", countFlag)
    .option("--keep-fulls <n>", "the newest n fulls", countFlag)
    .option("--strays", "objects of attempts that no manifest names, instead of backups")
    .option("--older-than <time>", `with --strays: leave attempts that wrote anything within this time (default ${defaultGrace})`, graceFlag)
    .addHelpText("after", explanation);
  withZfs(withStore(command, "requests")).action(run(prune));
}

async function prune(session: Session, names: readonly string[], flags: PruneFlags): Promise<void> {
  const act = (how: PruneFlags): Promise<Going> => (how.strays === true ? pruneStrays(session, how) : pruneJobs(session, names, how));
  if (flags.yes === true) return acted(session, flags, act);
  const going = await act(flags);
  const what = [counted(going.backups, "backup"), counted(going.snapshots, "snapshot"), counted(going.strays, "stray")].filter((one) => !one.startsWith("0 "));
  if (what.length === 0 || !isAsking(session, flags)) return;
  if (await confirm(session, `remove ${what.join(" and ")} for good?`)) await acted(session, { ...flags, yes: true }, act);
  else session.report.info("nothing was removed");
}

async function acted(session: Session, flags: PruneFlags, act: (flags: PruneFlags) => Promise<Going>): Promise<void> {
  try {
    await act(flags);
  } finally {
    if (flags.strays !== true) await publish(session);
  }
}
