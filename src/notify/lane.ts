/**
 * The way to one notifier: what it is to be told waits in a line, is sent one after the other, tried a few times, and not
 * told again too soon.
 *
 * The limit is per job and kind, drills that passed and that failed apart. What it holds back of a run that has told the
 * first of its kind is told as one message when the run ends: a pool that is gone with twenty datasets makes two messages,
 * not twenty. What is overdue or disabled stays so, and is told of each dataset once a day at most.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { NotifySettings } from "../config/notify.ts";
import { type Happening, isTrouble, messageOf } from "./message.ts";
import { failed, type Outcome, within } from "./outcome.ts";
import { type Notebook, ownOf } from "./remembered.ts";
import type { Send } from "./senders.ts";

/** Tries to send one message. */
export const tryCount = 3;

/** In line; what is more is counted. */
const maxWaiting = 1000;
const dayMs = 24 * 60 * 60 * 1000;

type Batch = readonly [Happening, ...Happening[]];

export interface LaneOptions {
  readonly settings: NotifySettings;
  readonly send: Send;
  readonly pauseMs: number;
  readonly notebook: Notebook;
  readonly warn: (text: string) => void;
  readonly now: () => Date;
}

/** How long the end of a lane may take; `hurriedMs` from the moment the signal is aborted. */
export interface Deadline {
  readonly longestMs: number;
  readonly hurriedMs: number;
  readonly signal: AbortSignal;
}

export class Lane {
  readonly settings: NotifySettings;
  readonly #options: LaneOptions;
  #waiting: Happening[] = [];
  #heldBack: Happening[] = [];
  /** Jobs and kinds of which this run has told the first. */
  readonly #begun = new Set<string>();
  readonly #stop = new AbortController();
  #lostCount = 0;
  /** Sends what waits; never rejects. Null when nothing does. */
  #work: Promise<void> | null = null;

  constructor(options: LaneOptions) {
    this.settings = options.settings;
    this.#options = options;
  }

  /** Puts it in line if the notifier wants it. */
  add(happening: Happening): void {
    const { on, jobs } = this.settings;
    if (!on.includes(happening.kind) || (jobs !== null && !jobs.includes(happening.job ?? ""))) return;
    if (this.#waiting.length + this.#heldBack.length >= maxWaiting) this.#lostCount += 1;
    else this.#waiting.push(happening);
    this.#start();
  }

  /** Sends what waits and what was held back, as far as there is time. Never rejects. */
  async end({ longestMs, hurriedMs, signal }: Deadline): Promise<void> {
    const stop = (): void => {
      this.#stop.abort();
    };
    const timers = [setTimeout(stop, longestMs)];
    const hurry = (): void => void timers.push(setTimeout(stop, hurriedMs));
    if (signal.aborted) hurry();
    else signal.addEventListener("abort", hurry, { once: true });
    try {
      await this.#work;
      this.#waiting.push(...this.#heldBack);
      this.#heldBack = [];
      this.#start({ isLast: true });
      await this.#work;
    } finally {
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener("abort", hurry);
    }
    if (this.#lostCount > 0) this.#warn(`${this.#lostCount} more happenings were not told to notifier "${this.settings.name}"`);
  }

  #start({ isLast } = { isLast: false }): void {
    this.#work ??= this.#sendAll(isLast).finally(() => {
      this.#work = null;
    });
  }

  async #sendAll(isLast: boolean): Promise<void> {
    await Promise.resolve(); // what is told in one go goes as one message
    for (let batch = this.#take(); batch !== null; batch = this.#take()) {
      try {
        const due = isLast ? batch : await this.#due(batch);
        if (due !== null) await this.#tell(due);
      } catch (error) {
        this.#warn(`notifier "${this.settings.name}" failed, which is a bug: ${error instanceof Error ? error.message : "unknown"}`);
      }
    }
  }

  /** The first in line, and what else there is of its job and kind. Beginnings and ends keep their order. */
  #take(): Batch | null {
    const [first] = this.#waiting;
    if (first === undefined) return null;
    const isAlone = first.kind === "start" || first.kind === "success";
    const isLike = (one: Happening): boolean => one === first || (!isAlone && one.job === first.job && one.kind === first.kind);
    const others = this.#waiting.filter((one) => one !== first && isLike(one));
    this.#waiting = this.#waiting.filter((one) => !isLike(one));
    return [first, ...others];
  }

  /** What of it is to be told now; null for nothing. */
  async #due(batch: Batch): Promise<Batch | null> {
    const { name, minIntervalMs } = this.settings;
    const told = await this.#options.notebook.change(batch[0].job, (notes) => ownOf(notes.told, name) ?? {});
    const isDue = (happening: Happening): boolean => {
      const agoMs = this.#options.now().getTime() - (ownOf(told, topicOf(happening))?.getTime() ?? -Infinity);
      return agoMs < 0 || agoMs >= (staysSo(happening) ? Math.max(minIntervalMs, dayMs) : minIntervalMs);
    };
    const [first, ...others] = batch.filter(isDue);
    if (first !== undefined) return [first, ...others];
    if (this.#begun.has(beginningOf(batch[0])) && !staysSo(batch[0])) this.#heldBack.push(...batch);
    return null;
  }

  async #tell(batch: Batch): Promise<void> {
    const { name } = this.settings;
    const [{ job, kind }] = batch;
    const outcome = await this.#tryToSend(batch);
    const at = this.#options.now();
    await this.#options.notebook.change(job, (notes) => {
      const others = Object.entries(notes.undelivered).filter(([whose]) => whose !== name);
      if (outcome.kind === "failed") others.push([name, { at, why: outcome.why }]);
      notes.undelivered = Object.fromEntries(others);
      if (outcome.kind === "failed") return;
      const now = batch.map((happening) => [topicOf(happening), at] as const);
      notes.told = { ...notes.told, [name]: { ...ownOf(notes.told, name), ...Object.fromEntries(now) } };
    });
    if (outcome.kind === "sent") this.#begun.add(beginningOf(batch[0]));
    else this.#warn(`notifier "${name}" was not told of "${kind}"${job === null ? "" : ` of job "${job}"`}: ${outcome.why}`);
  }

  async #tryToSend(batch: Batch): Promise<Outcome> {
    const message = messageOf(batch);
    const { send, pauseMs } = this.#options;
    const { timeoutMs } = this.settings;
    for (let count = 1; ; count += 1) {
      const outcome = await within({ timeoutMs, signal: this.#stop.signal }, (signal) => send(message, signal));
      if (outcome.kind === "sent" || outcome.isFinal || count === tryCount) return outcome;
      const isOver = await sleep(pauseMs, false, { signal: this.#stop.signal }).catch(() => true);
      if (isOver) return failed(outcome.why, { isFinal: true });
    }
  }

  #warn(text: string): void {
    this.#options.warn(text);
  }
}

function staysSo({ kind }: Happening): boolean {
  return kind === "overdue" || kind === "disabled";
}

/** What the limit counts as the same. That a drill has passed is not what it says when it fails. */
function topicOf(happening: Happening): string {
  if (staysSo(happening)) return `${happening.kind} ${happening.dataset ?? ""}`;
  return happening.kind === "drill" && isTrouble(happening) ? "drill, bad" : happening.kind;
}

function beginningOf({ job, kind }: Happening): string {
  return `${kind} ${job ?? ""}`;
}
