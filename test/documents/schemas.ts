/**
 * Every kind of JSON that leaves zferry, by the name of its schema in `docs/schema/`.
 *
 * For what zferry reads again these are the schemas it reads with. What it only prints is described here and not in `src/`:
 * the program has no use for that while it runs, and would have to load it. The tests hold both together: all that any test
 * of the command line prints is validated (`validate.ts`), so that a member which is not described fails.
 */
import { z } from "zod";
import { copyRecordSchema } from "../../src/copy-history.ts";
import { drillsSchema } from "../../src/drills.ts";
import { manifestSchema } from "../../src/format/manifest.ts";
import { runRecordSchema } from "../../src/history.ts";
import { stateSchema } from "../../src/state.ts";
import { leaseSchema } from "../../src/store/lease-object.ts";
import { prune, retention } from "./clearing.ts";
import { filesEntry, filesList, filesPaths, filesRestore } from "./filing.ts";
import { error, event, message } from "./lines.ts";
import { bench, benchPlan } from "./measuring.ts";
import { download, drill, list, restore, verify } from "./reading.ts";
import { keyAdd, keyList, keyRemove } from "./opening.ts";
import { backup, backupSummary, copy, imported, put } from "./storing.ts";
import { doctor, doctorRestore, happening, init, recover, stateRebuild, status, systemd } from "./watching.ts";

/** Documents on stdout, by their `type`. */
export const outputs: Readonly<Record<string, z.ZodType>> = {
  ...{ put, backup, "backup-summary": backupSummary, copy, import: imported },
  ...{ "key-list": keyList, "key-add": keyAdd, "key-remove": keyRemove },
  ...{ "files-list": filesList, "files-entry": filesEntry, "files-paths": filesPaths, "files-restore": filesRestore },
  ...{ list, restore, download, verify, drill },
  ...{ status, doctor, "doctor-restore": doctorRestore, recover, init, "state-rebuild": stateRebuild, systemd },
  ...{ retention, prune, bench, "bench-plan": benchPlan },
};

/** Lines on stderr, by their `type`. */
export const lines: Readonly<Record<string, z.ZodType>> = { message, event, error };

const seal = z.string().describe("docs/format.md § Seal");

const files: Readonly<Record<string, z.ZodType>> = {
  "store/manifest": manifestSchema.extend({ seal }).describe("manifests/DATASET@SNAPSHOT.json; docs/format.md"),
  "store/lock": leaseSchema.describe("locks/DATASET.json; docs/format.md"),
  "state/state": stateSchema.describe("state.json in the state folder"),
  "state/history": runRecordSchema.describe("one line of history/*.jsonl in the state folder: a run of a job and dataset"),
  "state/copies": copyRecordSchema.describe("one line of copies/*.jsonl in the state folder: a dataset's way into one store"),
  "state/drills": drillsSchema.describe("drills.json in the state folder"),
};

/** All of them, by the path of their file below `docs/schema/`, without `.schema.json`. */
export const schemas: ReadonlyMap<string, z.ZodType> = new Map([
  ...named("output", outputs),
  ...named("log", lines),
  ["notify/happening", happening],
  ...Object.entries(files),
]);

function named(folder: string, some: Readonly<Record<string, z.ZodType>>): [string, z.ZodType][] {
  return Object.entries(some).map(([name, schema]) => [`${folder}/${name}`, schema]);
}

/** zod's own knows leap years and fills a screen. */
const timePattern = "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$";

/** As it is shipped: members that are not described are allowed, because a later version may have them. */
export function jsonSchemaOf(name: string, schema: z.ZodType): string {
  const { $schema, description, ...rest } = z.toJSONSchema(schema, {
    io: "input",
    target: "draft-7",
    override: ({ jsonSchema }) => {
      if (jsonSchema.format === "date-time") jsonSchema.pattern = timePattern;
    },
  });
  return `${JSON.stringify({ $schema, title: `zferry ${name.replace("/", ": ")}`, description, ...rest }, null, 1)}\n`;
}
