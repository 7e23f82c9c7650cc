/**
 * What is stopped for the moment of the snapshot and started again after it: the `hooks` of a job (docs/quiesce.md).
 *
 * A hook is two commands, each a list of words that no shell reads. They are run in the root folder, so the program is
 * named by its full path, or by a name to be looked for in PATH.
 */
import { z } from "zod";
import { duration, setting } from "./values.ts";

/** One hook of a job; at least one of `before` and `after` is there. */
export interface HookSettings {
  /** Unique in its list: how messages call it. */
  readonly name: string;
  readonly before: readonly [string, ...string[]] | null;
  /** Undoes `before`; may be run when there is nothing to undo, and more than once. */
  readonly after: readonly [string, ...string[]] | null;
  /** How long either command may take before its processes are ended. */
  readonly timeoutMs: number;
}

export const defaultHookTimeoutMs = 60_000;

/** The record of a quiesce is one small file, and every hook lengthens the downtime. */
const maxHooks = 32;

const command = z
  .array(z.string().regex(/^[^\0]*$/, "may not hold a zero byte"))
  .min(1, "must be a list of words, as in [systemctl, stop, postgresql]")
  .refine(([program = ""]) => program !== "", "must begin with a program")
  .refine(([program = ""]) => program.startsWith("/") || !program.includes("/"), {
    message: "must begin with a full path or a name to be found in PATH: hooks are run in the root folder",
  })
  .transform((words) => words as [string, ...string[]]);

const hookSchema = z
  .strictObject({
    name: setting(z.string().regex(/^[^\p{Cc}]{1,64}$/u, "must be 1 to 64 characters on one line"), "what messages call it, unique in the list"),
    before_snapshot: setting(command, "run before the snapshot, from the first hook to the last; no shell reads it").optional(),
    after_snapshot: setting(command, "run after the snapshot, from the last hook to the first, however it went; may be run when there is nothing to undo").optional(),
    timeout: setting(duration.default(defaultHookTimeoutMs), "how long either command may take before it is ended", "60s"),
  })
  .refine(({ before_snapshot, after_snapshot }) => before_snapshot !== undefined || after_snapshot !== undefined, {
    message: "must have before_snapshot, after_snapshot or both",
  })
  .transform(({ name, before_snapshot, after_snapshot, timeout }): HookSettings => {
    return { name, before: before_snapshot ?? null, after: after_snapshot ?? null, timeoutMs: timeout };
  });

/** The list as it stands in the file; a hook's place in it is its place in the stack. */
export const hooksSchema = z
  .array(hookSchema)
  .max(maxHooks, `must be ${maxHooks} hooks or fewer`)
  .superRefine((hooks, context) => {
    const names = hooks.map(({ name }) => name);
    const twice = names.findIndex((name, at) => names.indexOf(name) < at);
    if (twice < 0) return;
    context.addIssue({ code: "custom", path: [twice, "name"], message: `"${names[twice] ?? ""}" is the name of another hook of this list` });
  });
