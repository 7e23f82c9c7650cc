/** Programs that hooks name: found as a hook's start would find them, without starting any. */
import { constants } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { isThere } from "./question.ts";

/** Where programs are looked for when nobody says. */
const defaultPath = "/usr/local/bin:/usr/bin:/bin";

/** Those, once each, that are nowhere, or are no files that may be executed. */
export async function missingPrograms(programs: readonly string[], { PATH }: Readonly<Record<string, string | undefined>>): Promise<readonly string[]> {
  const folders = (PATH ?? defaultPath).split(":").filter((folder) => folder !== "");
  const missing: string[] = [];
  for (const program of new Set(programs)) {
    const places = program.includes("/") ? [program] : folders.map((folder) => join(folder, program));
    const found = await Promise.all(places.map(isProgram));
    if (!found.includes(true)) missing.push(program);
  }
  return missing;
}

async function isProgram(path: string): Promise<boolean> {
  return (await isThere(path, constants.X_OK)) && (await stat(path)).isFile();
}
