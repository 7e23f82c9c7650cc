/**
 * Telling people what happened, without ever being in the way of what happens.
 *
 * A teller takes happenings and returns at once; what is to be sent goes out behind the run's back, and only
 * {@link Teller.end} waits, no longer than {@link longestWaitMs}. Nothing here rejects: what could not be told is a warning.
 *
 * What a run tells: `start` when a job begins and `success` when all of its datasets went well, both with `dataset` null;
 * `failure` of a dataset, or of the job when it came to none; `success` with a dataset, which is not sent, but is how a
 * `recovery` is known: that of whatever was told of this job and dataset before.
 */
import type { NotifySettings } from "../config/notify.ts";
import { Lane, tryCount } from "./lane.ts";
import { clean, type Happening } from "./message.ts";
import { Notebook, ownOf } from "./remembered.ts";
import { senderFor } from "./senders.ts";

export type { Happening } from "./message.ts";

export interface TellerOptions {
  readonly stateDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
  /** Once it is aborted, `end` waits two seconds at most. */
  readonly signal: AbortSignal;
  /** Before each further try ({@link pauseMs}). */
  readonly pauseMs?: number;
}

export interface Teller {
  /** Takes note, on the local disk, and returns; never rejects. */
  tell(happening: Happening): Promise<void>;
  /** Sees that what was told is sent, or given up and warned of. Never rejects; the teller is of no use afterwards. */
  end(): Promise<void>;
}

/** Before each further try; Pushover asks for five seconds. */
export const pauseMs = 5000;

/** What a recovery says of the trouble it ends. */
const maxTroubleBytes = 300;

/** The longest that `end` takes when the run was told to stop. */
const hurriedMs = 2000;

/** The longest that `end` can take, whatever there is to tell and whoever does not listen: notifiers are told side by side. */
export function longestWaitMs(settings: readonly NotifySettings[]): number {
  return Math.max(0, ...settings.map(({ timeoutMs }) => tryCount * timeoutMs + (tryCount - 1) * pauseMs));
}

/** A teller for the notifiers of the configuration; with none of them it does nothing. */
export function makeTeller(settings: readonly NotifySettings[], options: TellerOptions): Teller {
  const { environment, warn, now, signal } = options;
  const notebook = new Notebook(options);
  const lanes = settings.map((one) => new Lane({ settings: one, send: senderFor(one, environment), pauseMs: options.pauseMs ?? pauseMs, notebook, warn, now }));
  const pass = (happening: Happening): void => {
    for (const lane of lanes) lane.add(happening);
  };
  return {
    tell: async (happening) => {
      if (lanes.length === 0) return;
      const recovery = await noted(notebook, happening);
      if (recovery !== null) pass(recovery);
      // What went well with one dataset is news when the job has ended, or after trouble.
      if (happening.kind !== "success" || happening.dataset === null) pass(happening);
    },
    end: async () => {
      await Promise.all(lanes.map((lane) => lane.end({ longestMs: longestWaitMs([lane.settings]), hurriedMs, signal })));
    },
  };
}

/** Remembers trouble and its end. @returns what to tell when it is over */
async function noted(notebook: Notebook, happening: Happening): Promise<Happening | null> {
  const { kind, job, dataset, at, text } = happening;
  const subject = dataset ?? "";
  if (kind === "failure" || kind === "overdue") {
    await notebook.change(job, (notes) => {
      const before = ownOf(notes.troubles, subject);
      notes.troubles = { ...notes.troubles, [subject]: before ?? { since: at, text: clean(text, maxTroubleBytes) } };
    });
  }
  if (kind !== "success") return null;
  const over = await notebook.change(job, (notes) => {
    const ended = Object.entries(notes.troubles).filter(([whose]) => dataset === null || whose === subject);
    notes.troubles = Object.fromEntries(Object.entries(notes.troubles).filter(([whose]) => dataset !== null && whose !== subject));
    return ended.map(([, trouble]) => trouble).sort((a, b) => a.since.getTime() - b.since.getTime());
  });
  const [first] = over;
  if (first === undefined) return null;
  const what = dataset === null ? `job "${job ?? ""}" went well again` : `"${dataset}" is backed up again`;
  const since = first.since.toISOString();
  return { kind: "recovery", job, dataset, at, text: `${what}; since ${since}: ${first.text}`, details: { troubleSince: since } };
}
