import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { quotedWord, word } from "../src/shell.ts";
import { recorded, Scene } from "./cli/zferry.ts";

const odd = ["tank/my home@s 1", "it's", "a'b'c", "$(touch x)", "`id`", "a;b", "a\nb", "*", "~", "", "-n", "a\\b", '"', "#x", "&", "é"];

it.for(odd)("%j comes through a shell as one word", (text) => {
  for (const quoted of [word(text), quotedWord(text)]) {
    expect(execFileSync("sh", ["-c", `printf '%s|' ${quoted}`]).toString()).toBe(`${text}|`);
  }
});

it("a name without anything odd stays as it is", () => {
  expect(word("tank/home@zferry-2026-01-01T02:00:00Z_1.a")).toBe("tank/home@zferry-2026-01-01T02:00:00Z_1.a");
});

it("what comes next can be typed as it is told, whatever the dataset is called", async () => {
  const scene = new Scene();
  const place = ["--store", scene.store, "--state-dir", scene.stateDir];
  const put = await scene.run(["put", "tank/my home@s", ...place, ...scene.secret], { stdin: recorded("full") });
  expect(put.exit, put.stderr).toBe(0);
  const { exit, stdout, stderr } = await scene.run(["download", "tank/my home@s", join(scene.folder, "USB disk"), ...place]);
  expect(exit, stderr).toBe(0);
  expect(`${stdout.toString()}${stderr}`).toContain(`zferry restore 'tank/my home@s' --from '${scene.folder}/USB disk' --to TARGET`);
});
