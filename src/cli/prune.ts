/** `zferry prune --strays`: shows what attempts came to nothing, why the others stay, and removes them with `--yes`. */
import { type Command, InvalidArgumentError } from "commander";
import { alone } from "../alone.ts";
import { formatSize } from "../bytes.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { journaledAttempts } from "../journal.ts";
import { removeStray, type SeenAttempt, type StayingAttempt, type Survey, surveyStrays, type SweepRequest } from "../strays.ts";
import { durationFlag, withStore } from "./options.ts";
import { counted } from "./report.ts";
import type { RunCommand } from "./run-command.ts";
import { leaseMsFor, type Session, useStore } from "./session.ts";

const defaultGrace = "7d";
const maxGrace = "3650d";

const explanation = `
A stray is an attempt at a backup that no manifest names. It goes when its newest object was written, and its newest
unfinished upload begun, longer ago than --older-than (0s to ${maxGrace}), and neither an unfinished run of this host nor a lease
in the store speaks for it. It is removed under the lock and the lease of its dataset, so never while a run is at work.
Backups are never touched: removing those that a retention policy no longer keeps, \`prune [JOB]\`, is not in this version.`;

interface PruneFlags {
  readonly strays?: boolean;
  readonly olderThan?: number;
  readonly yes?: boolean;
}

/** What became of an attempt; `would-go` without `--yes`. */
interface Judged extends SeenAttempt {
  readonly outcome: "would-go" | "removed" | "stays" | "failed";
  readonly reason: string | null;
}

export function pruneCommand(command: Command, run: RunCommand): void {
  command
    .option("--strays", "objects of attempts that no manifest names")
    .option("--older-than <time>", `leave attempts that wrote anything within this time (default ${defaultGrace})`, graceFlag)
    .option("--yes", "remove what would go")
    .addHelpText("after", explanation);
  withStore(command).action(run(prune));
}

/** `--older-than`: longer than a store lasts is a slip of the hand. */
function graceFlag(text: string): number {
  const ms = durationFlag(text);
  if (ms > durationFlag(maxGrace)) throw new InvalidArgumentError(`it must be from 0s to ${maxGrace}.`);
  return ms;
}

async function prune(session: Session, _words: readonly string[], flags: PruneFlags): Promise<void> {
  if (flags.strays !== true) {
    throw new ZferryError("usage", "prune needs to know what to remove", {
      hint: "give --strays; removing backups by a retention policy is not in this version",
    });
  }
  const isActing = flags.yes === true;
  // Never "write", which would make the folder of a disk that is not mounted.
  await useStore(session, { access: "read", named: null }, async ({ store, settings }) => {
    const { stateDir } = session.settings;
    const { warn } = session.report;
    const leaseMs = isActing ? leaseMsFor(session, settings) : null;
    const request: SweepRequest = {
      store,
      graceMs: flags.olderThan ?? durationFlag(defaultGrace),
      now: session.terminal.now,
      journaled: () => journaledAttempts(stateDir),
      alone: (dataset, work) => alone({ store, stateDir, leaseMs, progress: { warn }, signal: session.terminal.signal }, dataset, work),
      warn,
      signal: session.terminal.signal,
    };
    const survey = await surveyStrays(request);
    const judged = isActing ? await removeAll(survey, request, session) : survey.strays.map(wouldGo);
    tell(session, { judged: [...judged, ...survey.staying.map(stays)], survey, isActing });
    const failedCount = judged.filter(({ outcome }) => outcome === "failed").length;
    if (failedCount > 0) {
      throw new ZferryError("findings", `${failedCount} of ${judged.length} strays could not be removed`, {
        hint: "they harm nothing; check the permission to delete, and bucket locks",
      });
    }
  });
}

function wouldGo(stray: SeenAttempt): Judged {
  return { ...stray, outcome: "would-go", reason: null };
}

function stays(attempt: StayingAttempt): Judged {
  return { ...attempt, outcome: "stays" };
}

/** A refusal to delete is one stray's; any other failure is the store's and ends the sweep. */
async function removeAll({ strays }: Survey, request: SweepRequest, { report }: Session): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const stray of strays) {
    const name = `attempt ${stray.attempt} of ${stray.backup}`;
    try {
      const removal = await removeStray(stray, request);
      judged.push({ ...stray, outcome: removal.kind, reason: removal.kind === "stays" ? removal.reason : null });
      if (removal.kind === "removed") report.info(`removed ${name}: ${sizeOf(removal)}`);
    } catch (error) {
      if (!isZferryError(error, "store-denied")) throw error;
      report.warn(`cannot remove ${name}: ${error.message}`);
      judged.push({ ...stray, outcome: "failed", reason: error.message });
    }
  }
  return judged;
}

interface Told {
  readonly judged: readonly Judged[];
  readonly survey: Survey;
  readonly isActing: boolean;
}

function tell({ report }: Session, { judged, survey, isActing }: Told): void {
  const { committedCount, foreignCount } = survey;
  report.json({ type: "prune", dryRun: !isActing, attempts: judged.map(toDocument), committedCount, foreignCount });
  const going = judged.filter(({ outcome }) => outcome === "would-go");
  report.text([
    ...judged.map(toLine),
    `${counted(judged.length, "attempt")} without a manifest, ${counted(committedCount, "backup")}`,
    ...(foreignCount > 0 ? [`${counted(foreignCount, "object")} under streams/ not made by zferry: not touched`] : []),
    ...(going.length > 0 ? ["nothing was removed; --yes removes what would go"] : []),
  ]);
}

function toDocument({ backup, attempt, objectCount, sizeBytes, unfinishedCount, newestAt, outcome, reason }: Judged): Record<string, unknown> {
  return { backup, attempt, objectCount, bytes: sizeBytes, unfinishedCount, newestAt, outcome, reason };
}

const verbs: Readonly<Record<Judged["outcome"], string>> = {
  "would-go": "would go",
  removed: "removed",
  stays: "stays",
  failed: "not removed",
};

function toLine({ outcome, reason, ...seen }: Judged): string {
  const why = reason === null ? "" : `: ${reason}`;
  return `${verbs[outcome]}: attempt ${seen.attempt} of ${seen.backup}, ${sizeOf(seen)}, ${formatSize(seen.sizeBytes)}${why}`;
}

function sizeOf({ objectCount, unfinishedCount }: { readonly objectCount: number; readonly unfinishedCount: number }): string {
  const objects = counted(objectCount, "object");
  return unfinishedCount === 0 ? objects : `${objects}, ${counted(unfinishedCount, "unfinished upload")}`;
}
