/** Completions: what `zferry complete` answers, and that the shells ask and understand it. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { shells } from "../../src/cli/completion.ts";
import { need } from "../systems.ts";
import { Scene } from "./zferry.ts";

const config = `stores: {usb: {url: /mnt/usb}, r2: {url: "s3://b?endpoint=https://r2.example"}}
jobs:
  home: {dataset: tank/home, store: usb}
  web: {datasets: [tank/www, "tank/vm/*"], store: r2}
`;

async function replies(words: readonly string[], text: string | null = config): Promise<string[]> {
  const scene = new Scene();
  if (text !== null) scene.write("zferry.yaml", text);
  const { exit, stdout, stderr } = await scene.run(["complete", "--", ...words]);
  expect([exit, stderr]).toEqual([0, ""]);
  return stdout.toString().split("\n").filter((line) => line !== "").map((line) => line.split("\t")[0] ?? "");
}

describe("what a word can become", () => {
  it.for([
    [[""], ["backup", "restore", "help", "completion"], ["complete"]],
    [["re"], ["restore", "recover"], ["list"]],
    [["backup", ""], ["home", "web"], [":files"]],
    [["backup", "home", "w"], ["web"], ["home"]],
    [["backup", "--"], ["--full", "--dataset", "--quiet", "--json", "--store"], ["--yes"]],
    [["--quiet", "prune", "--y"], ["--yes"], ["--json"]],
    [["list", "--store", ""], ["usb", "r2", ":files"], ["home"]],
    [["list", ""], ["tank/home", "tank/www"], ["tank/vm/*"]],
    [["restore", "tank/home", "--to", "tank/h"], ["tank/home"], ["tank/www"]],
    [["verify", "--level", ""], ["exists", "digest", "stream", "receive"], [":files"]],
    [["--log-level", "d"], ["debug"], ["info"]],
    [["put", "tank/home", "--passphrase-file", ""], [":files"], ["home"]],
    [["download", "tank/home@s1", ""], [":files"], ["tank/home"]],
    [["state", ""], ["rebuild"], [":files"]],
    [["key", "add", "--new"], ["--new-recipient", "--new-passphrase-file"], ["--yes"]],
    [["completion", ""], [...shells], [":files"]],
    [["help", "re"], ["restore", "retention", "recovery"], ["errors"]],
    [["copy", "--from", "u"], ["usb"], ["r2"]],
    [["nonsense", ""], [], ["home"]],
  ] as const)("%j: among them %j, and not %j", async ([words, some, others]) => {
    const found = await replies(words);
    expect(found).toEqual(expect.arrayContaining([...some]));
    for (const other of others) expect(found).not.toContain(other);
  });

  it.for([["--config", "~/other.yaml"], ["--config=other.yaml"]])("is of the configuration that the line names: %j", async (named) => {
    const scene = new Scene();
    scene.write("zferry.yaml", config);
    scene.write("other.yaml", "stores: {usb: {url: /mnt/usb}}\njobs: {there: {dataset: tank/there, store: usb}}\n");
    const { stdout } = await scene.run(["complete", "--", ...named, "backup", ""]);
    expect(stdout.toString()).toBe("there\ttank/there\n");
  });

  it("is never what a shell would run or take for more than a name, though somebody has named a job so", async () => {
    const odd = ["a;touch${IFS}ran", "a$(ran)", "a`ran`", "a&", "a*", "a\"", "a'", "a\\", "a|b", "a>b"];
    const text = `stores: {usb: {url: /mnt/usb}}\njobs:\n${[...odd, "a.b"].map((name) => `  ${JSON.stringify(name)}: {dataset: tank/a, store: usb}\n`).join("")}`;
    expect(await replies(["backup", "a"], text)).toEqual(["a.b"]);
  });

  it("without a configuration, or with a broken one, is what the program knows by itself", async () => {
    for (const text of [null, "jobs: ["]) {
      expect(await replies(["backup", ""], text)).toEqual([]);
      expect(await replies(["list", "--store", ""], text)).toEqual([":files"]);
    }
  });
});

describe("the script for", () => {
  /** A folder with a `zferry` that notes its words and gives fixed answers, and the script of the shell. */
  async function stage(shell: string): Promise<{ scene: Scene; script: string; path: string }> {
    const scene = new Scene();
    const { stdout, exit } = await scene.run(["completion", shell]);
    expect(exit).toBe(0);
    scene.write("bin/zferry", `#!/bin/sh\nprintf '<%s>' "$@" >${scene.folder}/asked\nprintf 'list\\tlist backups: all\\ntank/a:b\\tdataset\\n'\n`, 0o755);
    return { scene, script: scene.write("script", stdout), path: `${join(scene.folder, "bin")}:/usr/bin:/bin` };
  }

  it("bash asks with the words as they are, runs none of them, and takes the answers", async () => {
    const { scene, script, path } = await stage("bash");
    const ask = (line: string): string => {
      const run = `source ${script}; COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'; COMP_LINE='${line}'; COMP_POINT=\${#COMP_LINE}; _zferry; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return execFileSync("bash", ["--norc", "-c", run], { cwd: scene.folder, env: { PATH: path }, encoding: "utf8" });
    };
    // Readline puts an answer in the place of what stands behind the last colon, and before the cursor.
    expect(ask("zferry list $(touch ran) tank/a:")).toBe("list\nb\n");
    expect(readFileSync(join(scene.folder, "asked"), "utf8")).toBe("<complete><--><list><$(touch><ran)><tank/a:>");
    expect(existsSync(join(scene.folder, "ran"))).toBe(false);
    expect(ask("zferry list tank/")).toBe("list\ntank/a:b\n");
  });

  it("zsh asks with the words as they are, and takes the answers", async (context) => {
    const zsh = need(context, "zsh");
    const { scene, script, path } = await stage("zsh");
    const run = `compdef() { : }; _describe() { print -rl -- $replies }; source ${script}; words=(zferry list '$(touch ran)' ''); CURRENT=4; _zferry`;
    const said = execFileSync(zsh, ["-f", "-c", run], { cwd: scene.folder, env: { PATH: path }, encoding: "utf8" });
    expect(readFileSync(join(scene.folder, "asked"), "utf8")).toBe("<complete><--><list><$(touch ran)><>");
    expect(existsSync(join(scene.folder, "ran"))).toBe(false);
    expect(said).toBe("list:list backups: all\ntank/a\\:b:dataset\n");
  });

  it("fish asks, and takes the answers", async (context) => {
    const fish = need(context, "fish");
    const { scene, script, path } = await stage("fish");
    const said = execFileSync(fish, ["--no-config", "-c", `source ${script}; complete -C 'zferry backup li'; complete -C 'zferry backup '`], { cwd: scene.folder, env: { PATH: path, HOME: scene.folder }, encoding: "utf8" });
    expect(said).toBe("list\tlist backups: all\nlist\tlist backups: all\ntank/a:b\tdataset\n");
    expect(readFileSync(join(scene.folder, "asked"), "utf8")).toBe("<complete><--><backup><>");
  });
});
