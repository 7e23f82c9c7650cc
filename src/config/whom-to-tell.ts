/**
 * Whom a configuration that is refused names all the same: somebody is to hear of the nights that its mistake costs.
 */
import { type NotifySettings, notifySchema, notifySettingsOf } from "./notify.ts";
import { readSource } from "./source.ts";

export interface Whom {
  readonly stateDir: string | null;
  readonly notify: readonly NotifySettings[];
  /** What of the jobs the names of their units are made of. */
  readonly jobs: readonly { readonly name: string; readonly group: string | null; readonly isEnabled: boolean }[];
}

/** Null for what is no YAML, and where `notify` itself is wrong or names nobody. */
export function whomToTell(text: string): Whom | null {
  const source = readSource(text);
  if ("why" in source) return null;
  const file = membersOf(source.value);
  const notify = notifySchema.safeParse(file.notify);
  if (!notify.success || notify.data.length === 0) return null;
  const jobs = Object.entries(membersOf(file.jobs)).map(([name, job]) => ({ name, group: textOrNull(membersOf(job).group), isEnabled: true }));
  return { stateDir: textOrNull(file.state_dir), notify: notifySettingsOf(notify.data), jobs };
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
