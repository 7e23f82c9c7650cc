import { describe, expect, it } from "vitest";
import { wantedOf, type Sides } from "../../src/copy/wanted.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { noRules, type Sketch, sketched } from "../retaining.ts";

const full = { name: "mon", at: "2026-11-02", guid: 1 };
const tuesday = { name: "tue", at: "2026-11-03", guid: 2, on: 1 };
const wednesday = { name: "wed", at: "2026-11-04", guid: 3, on: 1 };
const later = { name: "thu", at: "2026-11-05", guid: 4 };
const friday = { name: "fri", at: "2026-11-06", guid: 5, on: 4 };
const all = [full, tuesday, wednesday, later, friday];

function wanting(source: readonly Sketch[], { target = [], keep = null }: { target?: readonly Sketch[]; keep?: Sides["keep"] } = {}): ReturnType<typeof wantedOf> {
  const dataset = parseDatasetName("tank/home");
  return wantedOf({ dataset, source: source.map(sketched), target: target.map(sketched), keep, now: new Date("2026-11-07") });
}

function namesOf({ missing }: ReturnType<typeof wantedOf>): string[] {
  return missing.map(({ backup }) => backup.replace("tank/home@", ""));
}

describe("what is to be copied", () => {
  it("is everything without a policy, each full before what starts from it", () => {
    expect(namesOf(wanting([friday, wednesday, later, tuesday, full]))).toEqual(["mon", "thu", "tue", "wed", "fri"]);
  });

  it.for([
    ["the newest, and the full it needs", { last: 1 }, [], ["thu", "fri"], 3],
    ["three, and both of their fulls", { last: 3 }, [], ["mon", "thu", "wed", "fri"], 1],
    ["what is not there already", { last: 3 }, [full, wednesday], ["thu", "fri"], 1],
    ["nothing when all that is kept is there", { last: 1 }, [later, friday], [], 3],
  ] as const)("is by a policy %s", ([, rules, target, names, unwantedCount]) => {
    const wanted = wanting(all, { target, keep: { ...noRules, ...rules } });
    expect(namesOf(wanted)).toEqual(names);
    expect([wanted.thereCount, wanted.unwantedCount]).toEqual([target.length, unwantedCount]);
  });

  it("is judged with what the target still has and the source has not", () => {
    const wanted = wanting([later, friday], { target: [full, tuesday], keep: { ...noRules, daily: 2 } });
    expect(namesOf(wanted)).toEqual(["thu", "fri"]);
  });

  it("is not what could not be restored, but for a base that the target has", () => {
    const wanted = wanting([wednesday]);
    expect(namesOf(wanted)).toEqual([]);
    expect(wanted.unrestorable.map(({ entry }) => entry.backup)).toEqual(["tank/home@wed"]);
    expect(namesOf(wanting([wednesday], { target: [full] }))).toEqual(["wed"]);
  });

  it("is a base that the target has lost", () => {
    expect(namesOf(wanting([full, tuesday], { target: [tuesday], keep: { ...noRules, last: 1 } }))).toEqual(["mon"]);
  });

  it("takes in a base that was stored under another dataset's name, and nothing else of that", () => {
    const old = { ...full, name: "tank/old@mon" };
    expect(wanting([old, { ...later, name: "tank/old@thu" }, tuesday]).missing.map(({ backup }) => backup)).toEqual(["tank/old@mon", "tank/home@tue"]);
  });
});
