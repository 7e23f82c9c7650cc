/** The settings table of `docs/configuration.md`, made of the schema's own words. */
import { type JsonSchema } from "../../src/config/json-schema.ts";

interface Row {
  readonly name: string;
  readonly schema: JsonSchema;
}

/** What has a description is a row, and what lies below it, if that has descriptions. */
function* rowsUnder(prefix: string, schema: JsonSchema): Generator<Row> {
  const { additionalProperties: more } = schema;
  const members = Object.entries(schema.properties ?? {}).map(([name, member]) => [`${prefix}${name}`, member] as const);
  const named = typeof more === "object" ? [[`${prefix}NAME`, more] as const] : [];
  for (const [name, member] of [...members, ...named]) {
    if (member.description !== undefined) yield { name, schema: member };
    yield* rowsUnder(`${name}.`, member);
  }
}

function lineOf({ name, schema }: Row): string {
  const words = (schema.enum ?? []).map((word) => `\`${String(word)}\``);
  const meaning = `${schema.description ?? ""}${words.length === 0 ? "" : `: ${words.join(", ")}`}`;
  return `| \`${name}\` | ${schema.default === undefined ? "–" : `\`${shown(schema.default)}\``} | ${meaning.replaceAll("|", "\\|")} |`;
}

function shown(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(", ")}]` : String(value);
}

export function settingsTable(schema: JsonSchema): string {
  const rows = [...rowsUnder("", schema)];
  const [common, job] = ["defaults.", "jobs.NAME."].map((prefix) =>
    rows.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => name.slice(prefix.length)),
  ) as [string[], string[]];
  const isShared = (name: string): boolean => name.startsWith("defaults.") && job.includes(name.slice("defaults.".length));
  const jobOnly = job.filter((name) => !common.includes(name)).map((name) => `\`${name}\``);
  const lines = rows.filter(({ name }) => !isShared(name)).map(lineOf);
  const shared = `| \`defaults.…\` | | all that \`jobs.NAME\` takes but ${jobOnly.join(", ")}: what holds for jobs that do not say otherwise |`;
  const at = lines.findIndex((line) => line.startsWith("| `defaults."));
  return ["| setting | default | meaning |", "|---|---|---|", ...lines.slice(0, at), shared, ...lines.slice(at)].join("\n");
}
