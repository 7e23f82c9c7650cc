/**
 * Validates what zferry writes against the schemas it ships, each compiled when it is first needed.
 *
 * Readers must allow for members they do not know; here such a member is a failure, so that no schema lags behind.
 */
import { readFileSync } from "node:fs";
import { Ajv, type ValidateFunction } from "ajv";

const folder = new URL("../../docs/schema/", import.meta.url);
const ajv = new Ajv({ strict: false, formats: { "date-time": true, base64: true } }); // patterns say more
const compiled = new Map<string, ValidateFunction>();
/** Types of documents and lines, and names of events, that were seen in this process. */
export const seen = new Set<string>();

/** @throws Error that says which member is wrong, missing or not in the schema */
export function validate(name: string, value: unknown): void {
  const check = compiled.get(name) ?? compile(name);
  if (check(value)) return;
  const why = (check.errors ?? []).map(({ instancePath, message, params }) => `${instancePath || "the document"} ${message ?? ""} ${JSON.stringify(params)}`);
  throw new Error(`this is not as docs/schema/${name}.schema.json says (made of test/documents/, by npm run docs):\n${why.join("\n")}\n${JSON.stringify(value)}`);
}

interface Forms {
  readonly anyOf?: readonly { readonly properties?: Readonly<Record<string, { readonly const?: unknown }>> }[];
}

/** @param name - of a schema, or of one event of it behind a #: to compile all of them takes as long as many a test */
function compile(name: string): ValidateFunction {
  const [file = "", event] = name.split("#", 2);
  const whole = JSON.parse(readText(file)) as Forms;
  const schema = event === undefined ? whole : whole.anyOf?.find(({ properties }) => properties?.event?.const === event);
  if (schema === undefined) throw new Error(`there is no event "${event ?? ""}": describe it in test/documents/lines.ts and run npm run docs`);
  const check = ajv.compile(strictly(schema) as object);
  compiled.set(name, check);
  return check;
}

function readText(name: string): string {
  try {
    return readFileSync(new URL(`${name}.schema.json`, folder), "utf8");
  } catch (error) {
    throw new Error(`there is no docs/schema/${name}.schema.json: describe it in test/documents/ and run npm run docs`, { cause: error });
  }
}

/** The schema, with objects that have no other members than those it names. */
export function strictly(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(strictly);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries(schema).map(([name, value]) => [name, strictly(value)]);
  const isClosed = "properties" in schema && !("additionalProperties" in schema);
  return Object.fromEntries([...entries, ...(isClosed ? [["additionalProperties", false]] : [])]);
}

/** Every line of a stdout or stderr that has JSON lines, each by its own type. */
export function validateLines(where: "output" | "log", text: string): void {
  // What a killed program was writing is no line yet.
  for (const line of text.split("\n").slice(0, -1)) {
    const document = JSON.parse(line) as { readonly type?: unknown; readonly event?: unknown };
    const name = `${where}/${String(document.type)}`;
    const event = typeof document.event === "string" ? document.event : null;
    validate(event === null ? name : `${name}#${event}`, document);
    seen.add(name);
    if (event !== null) seen.add(event);
  }
}

/** What a command line asks for: documents on stdout, unless that shows what a command takes or is a stream; JSON lines on stderr. */
export function jsonOf(words: readonly string[]): { readonly output: boolean; readonly log: boolean } {
  const isHelp = words.some((word) => ["--help", "-h", "help", "--version", "-V"].includes(word));
  const isJson = words.includes("--json");
  const format = words[words.indexOf("--log-format") + 1];
  const isLog = words.includes("--log-format") ? format === "json" : isJson;
  return { output: isJson && !isHelp && !words.includes("get"), log: isLog && !isHelp };
}
