/** `zferry prune --strays`: shows what attempts came to nothing, why the others stay, and removes them with `--yes`. */
import { InvalidArgumentError } from "commander";
import { alone } from "../alone.ts";
import { isZferryError, ZferryError } from "../errors.ts";
import { dropOldPut, findOldPuts, type PutSweep, spokenFor } from "../old-puts.ts";
import { removeStray, type SeenAttempt, type StayingAttempt, type Survey, surveyStrays, type SweepRequest } from "../strays.ts";
import { isAsking } from "./confirm.ts";
import { durationFlag } from "./options.ts";
import type { Going } from "./prune-report.ts";
import { type Judged, type JudgedJournal, sizeOf, tell } from "./prune-strays-report.ts";
import { leaseMsFor, type Session, useStore } from "./session.ts";

export const defaultGrace = "7d";
const maxGrace = "3650d";

/** For the help. */
export const straysExplanation = `
A stray (--strays) is an attempt at a backup that no manifest names. It goes when its newest object was written, and its
newest unfinished upload begun, longer ago than --older-than (0s to ${maxGrace}), and neither an unfinished run of this host nor
a lease in the store speaks for it. It is removed under the lock and the lease of its dataset, so never while a run is at
work. An unfinished put into which nothing was written for as long speaks for nothing: its journal, which holds a key,
goes too. With --strays backups are never touched.`;

export interface StrayFlags {
  readonly strays?: boolean;
  readonly olderThan?: number;
  readonly yes?: boolean;
}

/** `--older-than`: longer than a store lasts is a slip of the hand. */
export function graceFlag(text: string): number {
  const ms = durationFlag(text);
  if (ms > durationFlag(maxGrace)) throw new InvalidArgumentError(`it must be from 0s to ${maxGrace}.`);
  return ms;
}

export async function pruneStrays(session: Session, flags: StrayFlags): Promise<Going> {
  const isActing = flags.yes === true;
  // Never "write", which would make the folder of a disk that is not mounted.
  return useStore(session, { access: "read", named: null }, async ({ store, settings }) => {
    const { stateDir } = session.settings;
    const { warn } = session.report;
    const leaseMs = isActing ? leaseMsFor(session, settings) : null;
    const { now, signal } = session.terminal;
    const sweep: PutSweep = {
      store,
      stateDir,
      graceMs: flags.olderThan ?? durationFlag(defaultGrace),
      now,
      alone: (dataset, work) => alone({ store, stateDir, leaseMs, progress: { warn }, signal }, dataset, work),
    };
    const request: SweepRequest = { ...sweep, journaled: () => spokenFor(sweep), warn, signal };
    const survey = await surveyStrays(request);
    const judged = isActing ? await removeAll(survey, request, session) : survey.strays.map(wouldGo);
    const attempts = [...judged, ...survey.staying.map(stays)];
    const journals = await judgeJournals(attempts, sweep, isActing);
    tell(session.report, { storeUrl: store.url, attempts, journals, survey, isActing, isAsking: isAsking(session, flags) });
    const failedCount = judged.filter(({ outcome }) => outcome === "failed").length;
    if (failedCount > 0) {
      throw new ZferryError("findings", `${failedCount} of ${judged.length} strays could not be removed`, {
        hint: "they harm nothing; check the permission to delete, and bucket locks",
      });
    }
    return { backups: 0, snapshots: 0, strays: [...attempts, ...journals].filter(({ outcome }) => outcome === "would-go").length };
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

/** After the attempts, whose objects a journal speaks for: where those stay, it stays with them. */
async function judgeJournals(attempts: readonly Judged[], sweep: PutSweep, isActing: boolean): Promise<JudgedJournal[]> {
  const judged: JudgedJournal[] = [];
  for (const old of await findOldPuts(sweep)) {
    const { outcome, reason } = attempts.find(({ attempt }) => attempt === old.attempt) ?? { outcome: "removed", reason: null };
    if (outcome === "stays" || outcome === "failed") judged.push({ ...old, outcome: "stays", reason });
    else if (!isActing) judged.push({ ...old, outcome: "would-go", reason: null });
    else {
      const removal = await dropOldPut(old, sweep);
      judged.push({ ...old, outcome: removal.kind, reason: removal.kind === "stays" ? removal.reason : null });
    }
  }
  return judged;
}
