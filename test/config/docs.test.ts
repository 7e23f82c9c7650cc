/**
 * What is written down about the settings is made of the schema: `npm run docs` writes it anew, and this fails until it has
 * been run. Whether the JSON Schema says what zod says is asked of an independent validator.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { configJsonSchema, type JsonSchema, knownNames } from "../../src/config/json-schema.ts";
import { settingsTable } from "./reference.ts";

const docs = fileURLToPath(new URL("../../docs/", import.meta.url));
const fixtures = new URL("../../fixtures/config/", import.meta.url);
const [begin, end] = ["<!-- settings: written by `npm run docs` -->\n", "\n<!-- end of settings -->"];

describe("the documentation", () => {
  it("has the schema for editors, as `npm run docs` writes it", async () => {
    await expect(`${JSON.stringify(configJsonSchema(), null, 2)}\n`).toMatchFileSnapshot(`${docs}schema/zferry.schema.json`);
  });

  it("has the table of settings between its marks, as `npm run docs` writes it", async () => {
    const text = readFileSync(`${docs}configuration.md`, "utf8");
    const [before, rest, ...more] = text.split(begin);
    const after = rest?.split(end)[1];
    if (before === undefined || after === undefined || more.length > 0) throw new Error("docs/configuration.md has lost a mark");
    await expect(`${before}${begin}${settingsTable(configJsonSchema())}${end}${after}`).toMatchFileSnapshot(`${docs}configuration.md`);
  });

  it("has a word on every setting of its own sections", () => {
    const sections = ["stores.NAME", "encryption", "defaults", "jobs.NAME"];
    const table = settingsTable(configJsonSchema());
    for (const section of sections) {
      const schema = section.split(".").reduce<JsonSchema>(
        (place, step) => (step === "NAME" ? (place.additionalProperties as JsonSchema) : (place.properties?.[step] ?? {})),
        configJsonSchema(),
      );
      const names = Object.keys(schema.properties ?? {});
      expect(names.length).toBeGreaterThan(5);
      const shown = section === "defaults" ? "jobs.NAME" : section;
      expect(names.filter((name) => name !== "threads" && name !== "keep" && !table.includes(`| \`${shown}.${name}\` |`))).toEqual([]);
    }
  });
});

/** Every setting below a schema, by its path, that nothing is said about; sections and the word that tells kinds apart need nothing. */
function unexplained(schema: JsonSchema, path = ""): string[] {
  const { properties = {}, additionalProperties: more, items, anyOf = [], oneOf = [] } = schema;
  const below = [...(typeof more === "object" ? [more] : []), ...(items === undefined ? [] : [items]), ...anyOf, ...oneOf];
  const members = Object.entries(properties).flatMap(([name, member]) => {
    const needsNone = path === "" || member.const !== undefined || member.description !== undefined;
    return [...(needsNone ? [] : [`${path}.${name}`]), ...unexplained(member, `${path}.${name}`)];
  });
  return [...members, ...below.flatMap((each) => unexplained(each, `${path}.`))];
}

describe("the schema for editors", () => {
  it("has a word on every setting, however deep", () => {
    expect(unexplained(configJsonSchema())).toEqual([]);
  });

  const validate = new Ajv({ strict: false, allErrors: false }).compile(configJsonSchema());
  const namesIn = (folder: string): string[] => readdirSync(new URL(folder, fixtures)).sort();
  const valueOf = (name: string): unknown => parse(readFileSync(new URL(name, fixtures), "utf8")) ?? {};

  /** YAML that is none, and what only a look at several settings, or into a name, tells. */
  const beyondIt = new Set([
    ...["duplicate-key", "duplicate-top", "open-quote", "syntax", "tab", "two-documents", "unknown-alias", "unknown-tag"],
    ...["dataset-and-datasets", "datasets-twice", "datasets-glob", "exclude-of-nothing", "group-of-two-hosts", "store-of-two-hosts", "store-of-two-hosts-by-default", "copies-of-two-hosts", "copies-of-two-hosts-by-default", "job-name-like-a-flag", "job-name-proto"],
    ...["job-numeric-name", "job-without-dataset", "job-without-store", "second-job-without-store", "store-unknown", "store-unknown-default"],
    ...["copy-unknown", "copy-of-itself", "copy-of-itself-by-another-name", "copy-of-defaults-of-itself", "copy-twice", "copy-keeps-nothing"],
    ...["keep-nothing", "prune-without-keep", "prune-of-defaults-without-keep", "overdue-before-due", "overdue-of-defaults-before-due"],
    ...["notify-of-unknown-job", "credentials-two", "credentials-of-a-folder", "credentials-and-profile"],
    ...["files-missing", "files-without-mode", "files-without-command", "files-of-another-engine", "files-of-another-host", "files-with-store", "files-mount-alone", "files-view-and-mount", "files-timeout-long"],
    ...["duration-zero", "lease-ttl-long", "lease-ttl-short", "percentage-zero", "size-huge"],
  ]);

  it.for(namesIn("valid/"))("takes %s", (name) => {
    expect([validate(valueOf(`valid/${name}`)), validate.errors]).toEqual([true, null]);
  });

  it.for(namesIn("invalid/").filter((name) => !beyondIt.has(name.replace(".yaml", ""))))("refuses %s", (name) => {
    expect(validate(valueOf(`invalid/${name}`))).toBe(false);
  });

  it("could tell no more than that", () => {
    const told = [...beyondIt].filter((name) => {
      try {
        return !validate(valueOf(`invalid/${name}.yaml`));
      } catch {
        return false; // not YAML
      }
    });
    expect(told).toEqual([]);
  });

  it.for([
    [["jobs", "x"], {}, "full_every"],
    [["jobs", "x", "hooks", 0], {}, "before_snapshot"],
    [["jobs", "constructor", "keep", "local"], {}, "weekly"],
    [["stores", "a", "credentials"], {}, "command"],
    [["notify", 0], { notify: [{ type: "ntfy" }] }, "topic"],
  ] as const)("knows what may stand at %j", ([path, value, name]) => {
    expect(knownNames(path, value)).toContain(name);
  });

  it("knows nothing of places there are none", () => {
    expect(knownNames(["__proto__", "x"], {})).toEqual([]);
  });
});
