/**
 * The configuration's schema as JSON Schema: for editors, for the settings table of `docs/configuration.md`, and to know
 * what may stand where somebody wrote something else.
 */
import { z } from "zod";
import { configSchema } from "./schema.ts";

/** As much of JSON Schema as zod makes of our kinds of value. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: boolean | JsonSchema;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** What an editor checks a `zferry.yaml` with. */
export function configJsonSchema(): JsonSchema {
  const made = z.toJSONSchema(configSchema, {
    io: "input",
    target: "draft-7", // what editors know best
    // zod's own default is what a value becomes, as in 16777216; what one would write is the more useful.
    override: ({ jsonSchema }) => {
      if (Object.hasOwn(jsonSchema, "shown")) jsonSchema.default = jsonSchema.shown;
      delete jsonSchema.shown;
    },
  }) as JsonSchema;
  return { ...made, ...{ title: "zferry.yaml", description: "configuration of zferry; docs/configuration.md explains it" } };
}

/** The names that may stand in the section at a path; `value` is the whole file, where a section has several forms. */
export function knownNames(path: readonly PropertyKey[], value: unknown): readonly string[] {
  let places: readonly Place[] = [{ schema: configJsonSchema(), value }];
  for (const step of path) places = places.flatMap(formsOf).flatMap((place) => inside(place, step));
  return [...new Set(places.flatMap(formsOf).flatMap(({ schema }) => Object.keys(schema.properties ?? {})))];
}

interface Place {
  readonly schema: JsonSchema;
  readonly value: unknown;
}

/** The alternatives of a schema that the value can be: those whose fixed words it has. */
function formsOf({ schema, value }: Place): Place[] {
  const forms = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  if (forms.length === 0) return [{ schema, value }];
  const fits = (form: JsonSchema): boolean =>
    Object.entries(form.properties ?? {}).every(([name, member]) => member.const === undefined || member.const === memberOf(value, name));
  return forms.filter(fits).flatMap((form) => formsOf({ schema: form, value }));
}

function inside({ schema, value }: Place, step: PropertyKey): Place[] {
  const more = typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
  const name = String(step);
  const next = (Object.hasOwn(schema.properties ?? {}, name) ? schema.properties?.[name] : undefined) ?? more ?? schema.items;
  return next === undefined ? [] : [{ schema: next, value: memberOf(value, name) }];
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
