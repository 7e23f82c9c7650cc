/**
 * `docs/threat-model.md` promises nothing that no test shows: every "cannot" of its table names tests by file and title,
 * and each of them is there, word for word.
 */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const attackers = ["owner of the store", "network", "another local user", "host afterwards"];

interface Row {
  readonly attacker: string;
  readonly verdict: string;
  readonly what: string;
  readonly tests: readonly { readonly file: string; readonly title: string }[];
}

function rowsOf(text: string): Row[] {
  const [, , ...lines] = text.split("\n").filter((line) => line.startsWith("|"));
  return lines.map((line) => {
    const [, attacker = "", verdict = "", what = "", , shownBy = ""] = line.split("|").map((cell) => cell.trim());
    const tests = [...shownBy.matchAll(/`([^`]+)` “([^”]+)”/g)].map(([, file = "", title = ""]) => ({ file, title }));
    return { attacker, verdict, what, tests };
  });
}

/** Why a row's promise is empty; null when it is not. */
function complaintAbout({ verdict, what, tests }: Row): string | null {
  if (verdict !== "cannot") return null;
  if (tests.length === 0) return `"cannot ${what}" names no test`;
  const missing = tests.find(({ file, title }) => {
    const url = new URL(`../${file}`, import.meta.url);
    return !file.endsWith(".test.ts") || !existsSync(url) || !readFileSync(url, "utf8").includes(`"${title}"`);
  });
  return missing === undefined ? null : `"cannot ${what}" names a test that is not in test/${missing.file}: “${missing.title}”`;
}

const rows = rowsOf(readFileSync(new URL("../../docs/threat-model.md", import.meta.url), "utf8"));

describe("the table of the threat model", () => {
  it("speaks of four attackers, and says of each what they can and what they cannot do", () => {
    expect([...new Set(rows.map(({ attacker }) => attacker))]).toEqual(attackers);
    for (const attacker of attackers) {
      const verdicts = new Set(rows.filter((row) => row.attacker === attacker).map(({ verdict }) => verdict));
      expect([attacker, [...verdicts].sort()]).toEqual([attacker, ["can", "cannot"]]);
    }
  });

  it("names for each thing an attacker cannot do tests that exist", () => {
    expect(rows.filter(({ verdict }) => verdict === "cannot").length).toBeGreaterThanOrEqual(20);
    expect(rows.map(complaintAbout).filter((complaint) => complaint !== null)).toEqual([]);
  });

  it.for([
    ["a promise without a test", "| network | cannot | fly | | |"],
    ["a test that nobody wrote", "| network | cannot | fly | | `retrieve.test.ts` “pigs are refused” |"],
    ["a file that is not there", "| network | cannot | fly | | `pigs.test.ts` “of %i bytes” |"],
    ["one of two that is missing", "| network | cannot | fly | | `retrieve.test.ts` “may be some of its chunks”; `retrieve.test.ts` “pigs” |"],
  ] as const)("would not do with %s", ([, line]) => {
    const [row] = rowsOf(`| a |\n|---|\n${line}`);
    expect(row === undefined ? null : complaintAbout(row)).toMatch(/"cannot fly" names/);
  });
});
