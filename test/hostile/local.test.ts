/**
 * Goal: a configuration, a secret's file, a state file or a journal with anything in it is read, refused with a documented
 * error, or set aside; never the end of the program with a bare exception. Method: mutations of valid files, arbitrary
 * bytes, files without an end.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { emptyConfig, parseConfig } from "../../src/config/config.ts";
import { Journal } from "../../src/journal.ts";
import { readJournals } from "../../src/journals.ts";
import { readKeyring, readRecipients } from "../../src/secrets.ts";
import { readStoreState, updateStoreState } from "../../src/state.ts";
import { fixtures } from "../cli/zferry.ts";
import { ownFolder } from "../folder.ts";
import { leaveJournal, owner, storeUrl } from "../journaling.ts";
import { documented, growthOf, hostile, roomBytes } from "./bytes.ts";

describe("a configuration", () => {
  const valid = readFileSync(join(fixtures, "config/valid/everything.yaml"));

  it("in any hostile form is a configuration or config-invalid with file, line and column", async () => {
    const property = fc.asyncProperty(hostile(valid), async (bytes) => {
      const outcome = await documented(() => parseConfig(bytes.toString("utf8"), "c.yaml"));
      if ("code" in outcome) expect(outcome.code).toBe("config-invalid");
    });
    await fc.assert(property, { numRuns: 80 });
  });

  it.for([
    ["lists in lists", "[".repeat(50_000)],
    ["maps in maps", "{a: ".repeat(20_000)],
    ["items in items", "- ".repeat(20_000)],
    ["names in names", "? ".repeat(20_000)],
    ["an anchor within itself", "&a [*a]"],
    ["a bomb of aliases", `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi".split("").map((name, at) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh".charAt(at)}`).join(",")}]`).join("\n")}`],
    ["a prototype", "__proto__: {polluted: true}\nconstructor: {}\n"],
    ["numbers without end", `defaults: {chunk_size: ${"9".repeat(100_000)}}`],
    ["NUL bytes", "\u0000".repeat(1000)],
  ] as const)("with %s is refused", async ([, text]) => {
    expect(await documented(() => parseConfig(text, "c.yaml"))).toEqual({ code: "config-invalid" });
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("a secret's file", () => {
  const place = (folder: string): string => join(folder, "secret");
  const settings = (file: string): Parameters<typeof readKeyring>[0] => ({ ...emptyConfig.encryption, passphraseFile: file, privateKeys: [file], recipients: [file] });

  it("with anything in it is a secret or secret-unusable, and what it holds is in no message", async () => {
    const property = fc.asyncProperty(hostile(Buffer.from("open sesame\nmore\n")), async (bytes) => {
      const file = place(ownFolder());
      writeFileSync(file, bytes, { mode: 0o600 });
      for (const read of [readKeyring, readRecipients]) {
        const outcome = await documented<unknown>(() => read(settings(file), {}));
        if ("code" in outcome) expect(outcome.code).toBe("secret-unusable");
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it("without an end is refused, and not read into memory", async () => {
    let outcome: unknown = null;
    const growth = await growthOf(async () => {
      outcome = await documented(() => readRecipients({ ...emptyConfig.encryption, recipients: ["/dev/zero"] }, {}));
    });
    expect(outcome).toEqual({ code: "secret-unusable" });
    expect(growth).toBeLessThan(roomBytes);
  });
});

describe("a state file", () => {
  it("in any hostile form is read, or set aside and taken for nothing", async () => {
    const stateDir = ownFolder();
    await updateStoreState(stateDir, "s3://bucket/", (state) => {
      state.anchors = { "tank/src": { guid: "1", backup: "tank/src@s1" } };
    });
    const file = join(stateDir, "state.json");
    const valid = readFileSync(file);
    const property = fc.asyncProperty(hostile(valid, Buffer.from('{"version":1,"stores":{"__proto__":{}}}')), async (bytes) => {
      writeFileSync(file, bytes);
      const setAside: string[] = [];
      const outcome = await documented(() => readStoreState(stateDir, "s3://bucket/", (path) => setAside.push(path)));
      expect(outcome).toHaveProperty("value");
      for (const path of setAside) expect(readFileSync(path).equals(bytes)).toBe(true);
    });
    await fc.assert(property, { numRuns: 80 });
  });
});

describe("a journal", () => {
  it("in any hostile form is gone on with as far as it is whole, or set aside", async () => {
    const stateDir = ownFolder();
    const path = await leaveJournal(stateDir);
    const valid = readFileSync(path);
    const property = fc.asyncProperty(hostile(valid), async (bytes) => {
      writeFileSync(path, bytes);
      chmodSync(path, 0o600);
      expect(await documented(() => readJournals(stateDir))).toHaveProperty("value");
      const outcome = await documented(() => Journal.find(stateDir, storeUrl, owner, () => undefined));
      expect(outcome).toHaveProperty("value");
      if (!("value" in outcome) || outcome.value === null) return;
      await outcome.value.close();
      expect(outcome.value.header.attempt).toBe("0000aaaa"); // every line has its checksum
    });
    await fc.assert(property, { numRuns: 80 });
  });
});
