/**
 * How a configuration is refused: file, line and column, the setting, and what is allowed there.
 */
import type { z } from "zod";
import { ZferryError } from "../errors.ts";
import type { Misfit } from "./checks.ts";
import { knownNames } from "./json-schema.ts";
import type { ConfigSource } from "./source.ts";
import { suggestion } from "./spelling.ts";

type Issue = z.core.$ZodIssue;

export function refusal(file: string, position: string, why: string): ZferryError {
  return new ZferryError("config-invalid", `${file}:${position}: ${why}`, {
    hint: "see docs/configuration.md for every setting and its range",
  });
}

/** The refusal of what zod found first. */
export function refusalOf(file: string, source: ConfigSource, issues: readonly Issue[]): ZferryError {
  const [issue] = issues;
  if (issue === undefined) return refusal(file, "1:1", "wrong");
  const { path } = issue;
  if (issue.code !== "unrecognized_keys") return refusalAt(file, source, { path, message: wordsOf(issue) });
  // What is not known is shown where its name stands, everything else where its value does.
  const [name = ""] = issue.keys;
  const why = `unknown setting "${name}"${suggestion(name, knownNames(path, source.value))}`;
  return refusal(file, source.positionOfName([...path, name]), `${placeOf(path)}${why}`);
}

/** The refusal of one value, or of one that is missing. */
export function refusalAt(file: string, source: ConfigSource, { path, message }: Misfit): ZferryError {
  return refusal(file, source.positionOf(path), `${placeOf(path)}${message}`);
}

function placeOf(path: readonly PropertyKey[]): string {
  return path.length === 0 ? "" : `${path.map(String).join(".")}: `;
}

/** The schema's words in our style. */
function wordsOf({ message }: Issue): string {
  const why = message.endsWith("received undefined") ? "is missing" : message.replace(/^Invalid input: /, "");
  return `${why.charAt(0).toLowerCase()}${why.slice(1)}`;
}
