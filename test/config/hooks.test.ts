import { describe, expect, it } from "vitest";
import { hooksSchema } from "../../src/config/hooks.ts";

const argv = ["true"];

/** The words of the first refusal, with the place. */
function refusalOf(hooks: unknown): string {
  const { error } = hooksSchema.safeParse(hooks);
  const [issue] = error?.issues ?? [];
  return issue === undefined ? "" : `${issue.path.join(".")}: ${issue.message}`;
}

describe("a list of hooks", () => {
  it("keeps its order; what a hook does not say is none, and a minute", () => {
    const hooks = [{ name: "b", before_snapshot: ["/bin/x", "", "a b"], timeout: "2m" }, { name: "a", after_snapshot: argv }];
    expect(hooksSchema.parse(hooks)).toEqual([
      { name: "b", before: ["/bin/x", "", "a b"], after: null, timeoutMs: 120_000 },
      { name: "a", before: null, after: ["true"], timeoutMs: 60_000 },
    ]);
    expect(hooksSchema.parse([])).toEqual([]);
  });

  it.for([
    ["neither half", [{ name: "a" }], /before_snapshot, after_snapshot or both/],
    ["an empty command", [{ name: "a", before_snapshot: [] }], /0\.before_snapshot: must be a list of words/],
    ["an empty program", [{ name: "a", before_snapshot: ["", "x"] }], /must begin with a program/],
    ["a relative program", [{ name: "a", before_snapshot: ["./stop.sh"] }], /must begin with a full path or a name/],
    ["a program below here", [{ name: "a", after_snapshot: ["bin/stop"] }], /after_snapshot: must begin with a full path/],
    ["a zero byte", [{ name: "a", before_snapshot: ["echo", "a\0b"] }], /before_snapshot\.1: may not hold a zero byte/],
    ["a text for a shell", [{ name: "a", before_snapshot: "systemctl stop db" }], /expected array/],
    ["no name", [{ before_snapshot: argv }], /0\.name: /],
    ["an empty name", [{ name: "", before_snapshot: argv }], /1 to 64 characters/],
    ["a name of two lines", [{ name: "a\nb", before_snapshot: argv }], /on one line/],
    ["a long name", [{ name: "x".repeat(65), before_snapshot: argv }], /1 to 64 characters/],
    ["one name twice", [{ name: "a", before_snapshot: argv }, { name: "a", after_snapshot: argv }], /1\.name: "a" is the name of another/],
    ["no time", [{ name: "a", before_snapshot: argv, timeout: "0s" }], /0\.timeout: /],
    ["an unknown key", [{ name: "a", before_snapshot: argv, shell: true }], /shell/],
    ["33 hooks", Array.from({ length: 33 }, (_, at) => ({ name: String(at), before_snapshot: argv })), /32 hooks or fewer/],
  ] as const)("is refused with %s", ([, hooks, words]) => {
    expect(refusalOf(hooks)).toMatch(words);
  });
});
