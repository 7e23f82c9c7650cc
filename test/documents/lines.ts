/** What stands on stderr with `--json`: one object per line. */
import { z } from "zod";
import { logLevels } from "../../src/cli/report.ts";
import { code, document, text } from "./values.ts";

export const message = document("message", "something that is said while a command runs", { level: z.enum(logLevels), text });

export const error = document("error", "why a command failed; the last of them is its last word", {
  code,
  message: text,
  hint: text.nullable(),
  exit: z.int(),
});
