/**
 * The schemas in `docs/schema/` are made of those in `test/documents/` and in `src/`: `npm run docs` writes them anew, and
 * this fails until it has been run.
 */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { JsonSchema } from "../../src/config/json-schema.ts";
import { eventNames } from "./lines.ts";
import { jsonSchemaOf, lines, outputs, schemas } from "./schemas.ts";
import { validate } from "./validate.ts";

const docs = new URL("../../docs/", import.meta.url);

describe("docs/schema", () => {
  it.for([...schemas.keys()])("has %s, as npm run docs writes it", async (name) => {
    const schema = schemas.get(name);
    if (schema === undefined) throw new Error(name);
    await expect(jsonSchemaOf(name, schema)).toMatchFileSnapshot(new URL(`schema/${name}.schema.json`, docs).pathname);
  });

  it("has no others than these, and that of the configuration", () => {
    const there = readdirSync(new URL("schema", docs), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));
    expect(there.sort()).toEqual([...[...schemas.keys()].map((name) => `${name}.schema.json`), "zferry.schema.json"].sort());
  });
});

/** The members of a document, of all its forms. */
function membersOf(schema: JsonSchema): string[] {
  const forms = [schema, ...(schema.anyOf ?? [])];
  return [...new Set(forms.flatMap(({ properties = {} }) => Object.keys(properties)))].filter((name) => name !== "type");
}

describe("docs/json-output.md", () => {
  const text = readFileSync(new URL("json-output.md", docs), "utf8");
  const rowOf = (type: string): string => text.split("\n").find((line) => line.startsWith(`| \`${type}\``)) ?? "";
  /** Rows that leave members to another one, or to a section. */
  const sections: Readonly<Record<string, string>> = { systemd: "## systemd" };

  it.for(Object.keys(outputs))("has a row of %s, with all its members", (type) => {
    const section = sections[type] === undefined ? "" : (text.split(sections[type])[1] ?? "");
    const words = [...`${rowOf(type)}${section}`.matchAll(/`([A-Za-z]+)(?:\[\])?`/g)].map(([, word = ""]) => word);
    expect(words).toEqual(expect.arrayContaining(membersOf(JSON.parse(readFileSync(new URL(`schema/output/${type}.schema.json`, docs), "utf8")) as JsonSchema)));
  });

  it("has rows of no others", () => {
    const table = text.slice(text.indexOf("| `type` | members |"), text.indexOf("`get` writes"));
    const types = [...table.matchAll(/^\| `([a-z-]+)`/gm)].map(([, type = ""]) => type).filter((type) => type !== "type");
    expect(types.sort()).toEqual(Object.keys(outputs).sort());
  });

  it.for(Object.keys(lines))("tells of %s lines", (type) => {
    expect(text).toContain(`"type":"${type}"`);
  });

  it("has a row of every event, with its members, and of no others", () => {
    const table = text.slice(text.indexOf("| `event` |"), text.indexOf("## verify"));
    const rows = table.split("\n").filter((line) => line.startsWith("| `")).slice(1);
    const wordsIn = (row: string): string[] => [...row.matchAll(/`([A-Za-z-]+)(?:\[\])?`/g)].map(([, word = ""]) => word);
    expect(rows.flatMap((row) => wordsIn(row.split("|")[1] ?? "")).sort()).toEqual([...eventNames].sort());
    const { anyOf = [] } = JSON.parse(readFileSync(new URL("schema/log/event.schema.json", docs), "utf8")) as JsonSchema;
    for (const schema of anyOf) {
      const name = String(schema.properties?.event?.const);
      const row = rows.find((one) => wordsIn(one.split("|")[1] ?? "").includes(name)) ?? "";
      const others = name === "fell-over" ? (text.split("## falling over")[1] ?? "") : "";
      const members = Object.keys(schema.properties ?? {}).filter((one) => !["type", "time", "level", "event", "text"].includes(one));
      expect(wordsIn(`${row}${others}`), name).toEqual(expect.arrayContaining(members));
    }
  });
});

describe("the validation", () => {
  const summary = { type: "backup-summary", dryRun: false, storedCount: 1, nothingCount: 0, plannedCount: 0, failedCount: 0, skippedCount: 0, failedJobs: [], seconds: 1 };

  it("takes a document as it should be", () => {
    expect(() => {
      validate("output/backup-summary", summary);
    }).not.toThrow();
  });

  it.for([
    ["that lacks a member", { ...summary, seconds: undefined }, "seconds"],
    ["with a member nobody described", { ...summary, cost: 1 }, "cost"],
    ["with a value of another kind", { ...summary, storedCount: "1" }, "storedCount"],
    ["of another type", { ...summary, type: "summary" }, "type"],
  ] as const)("refuses one %s", ([, document, member]) => {
    expect(() => {
      validate("output/backup-summary", JSON.parse(JSON.stringify(document)));
    }).toThrow(member);
  });

  it("of a type without schema says where to describe it", () => {
    expect(() => {
      validate("output/nothing", {});
    }).toThrow("describe it in test/documents/");
  });
});
