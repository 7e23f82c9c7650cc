/** How times, amounts and states are written in a report. Times are those of UTC, and say so. */
import { ageText, type State, type Standing } from "../status/standing.ts";
import { type Html, html } from "./html.ts";

/** `2026-11-21 07:42 UTC`. */
export function instant(time: Date): Html {
  const iso = time.toISOString();
  return html`<time datetime="${iso}">${minuteOf(time)} UTC</time>`;
}

/** `2026-11-21 07:42`: for columns whose heading has the zone. */
export function minuteOf(time: Date): string {
  return time.toISOString().replace("T", " ").replace(/:\d\d\.\d+Z$/, "");
}

/** With how long ago that was. */
export function since(time: Date, at: Date): Html {
  const ms = at.getTime() - time.getTime();
  return html`${instant(time)} <span class="aside">(${ms < 0 ? `in ${ageText(-ms)}` : `${ageText(ms)} ago`})</span>`;
}

/** `1 backup`, `1,000 backups`. */
export function amount(count: number, what: string): string {
  return `${count.toLocaleString("en-US")} ${what}${count === 1 ? "" : "s"}`;
}

/** `$0.00` would say that it is free. */
export function dollars(usd: number): string {
  if (usd > 0 && usd < 0.01) return "< $0.01";
  return `$${usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

const stateWords: Readonly<Record<State, string>> = {
  stopped: "services are still stopped",
  failed: "the last run failed",
  damaged: "backups are damaged or gone",
  "drill-failed": "the last drill failed",
  overdue: "overdue",
  "disabled-too-long": "disabled for too long",
  "copy-failed": "a copy failed",
  "copy-behind": "a copy is behind",
  slow: "the last run was slow",
  waiting: "waiting for its first run",
  gone: "no longer part of the job",
  disabled: "disabled",
  ok: "all is well",
};

export type Verdict = "good" | "bad" | "note";

/** Whether somebody is to do something, in a word; and what it is. */
export function verdictOf(standing: Standing | null): { readonly kind: Verdict; readonly word: string; readonly text: string } {
  if (standing === null) return { kind: "note", word: "Not judged", text: "no job here backs it up" };
  const { isProblem, state } = standing;
  const kind = isProblem ? "bad" : state === "ok" ? "good" : "note";
  return { kind, word: { good: "Good", bad: "Bad", note: "Note" }[kind], text: stateWords[state] };
}

/** For who sees no colours; who hears the page is told the word. */
export const signs: Readonly<Record<Verdict, string>> = { good: "✓", bad: "✕", note: "–" };

/** In a shape, a word and a colour, so that any one of them may be missing. */
export function badge(standing: Standing | null): Html {
  const { kind, word, text } = verdictOf(standing);
  return html`<span class="badge ${kind}"><span class="sign" aria-hidden="true">${signs[kind]}</span> <b>${word}:</b> ${text}</span>`;
}
