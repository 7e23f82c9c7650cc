/**
 * What a command line loads. Whoever asks for the version waits for no SDK; the time itself is measured in `bench/`,
 * because a test that measures time fails when the machine is busy.
 */
import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { commandTable } from "../../src/cli/commands.ts";
import { built } from "../build.ts";
import { recorded, Scene } from "./zferry.ts";

const hooks = new URL("loading.mjs", import.meta.url).href;
const dist = new URL("../../dist/", import.meta.url).href;

beforeAll(built);

/** What those take that need no store. */
const ownWord = new Map([["state", "rebuild"], ["recover", "--state-dir <"], ["systemd", "--output <"], ["notify", "--unit <"], ["copy", "--from <"], ["files", "restore"], ["key", "remove"], ["completion", "bash"], ["complete", "[word...]"]]);

interface Loaded {
  /** Names of the packages that our files import. */
  readonly packages: readonly string[];
  /** Our own files, by their path under `dist/`. */
  readonly files: readonly string[];
}

/** Runs the built program and tells what it imported. */
async function loadedBy(scene: Scene, words: readonly string[], stdin?: Uint8Array): Promise<Loaded> {
  const log = scene.write("loaded", "");
  const env = { NODE_OPTIONS: `--import=${hooks}`, ZFERRY_TEST_LOADED: log };
  await scene.spawn(words, { env, ...(stdin === undefined ? {} : { stdin }) });
  const imports = readFileSync(log, "utf8").split("\n").map((line) => line.split(" "));
  const ours = imports.filter(([, parent]) => parent?.startsWith(dist) === true).map(([url = ""]) => url);
  const packages = ours.flatMap((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? []);
  const files = ours.filter((url) => url.startsWith(dist)).map((url) => url.slice(dist.length));
  return { packages: unique(packages), files: unique(files) };
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

describe("a command of the table", () => {
  it.for(commandTable.map(({ usage, summary }) => [usage, summary] as const))("shows what it takes: %s", async ([usage, summary]) => {
    const [scene, name] = [new Scene(), usage.split(" ", 1)[0] ?? ""];
    const { exit, stdout, stderr } = await scene.run([name, "--help"]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
    const text = stdout.toString().replaceAll(/\s+/g, " ");
    expect(text).toContain(`Usage: zferry ${name} `);
    expect(text).toContain(summary);
    expect(text).toContain(ownWord.get(name) ?? "--store <");
    expect((await scene.run(["help", name])).stdout).toEqual(stdout);
  });
});

describe("what is loaded", () => {
  it.for([[["--version"]], [["--help"]], [["help"]], [["bogus"]]] as const)("for %j is the table of commands, and commander", async ([words]) => {
    const { packages, files } = await loadedBy(new Scene(), words);
    expect(packages).toEqual(["commander"]);
    expect(files).toEqual(["cli/commands.js", "cli/globals.js", "cli/help-text.js", "cli/paint.js", "cli/program.js", "cli/report.js", "errors.js", "version.js", "visible.js"]);
  });

  it("to list a folder is neither the AWS SDK nor openpgp", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"));
    const { packages, files } = await loadedBy(scene, ["list", ...scene.place]);
    expect(packages).toEqual(["commander", "string-width", "zod"]);
    expect(files).toContain("cli/list.js");
    expect(files.filter((file) => /^(cli\/(backup|restore|verify)|store\/s3.*)\.js$/.test(file))).toEqual([]);
  });

  it("to draw a report is Plot, and to say how everything stands is not", async () => {
    const scene = new Scene();
    const config = scene.write("zferry.yaml", `state_dir: ${scene.stateDir}\njobs: {home: {dataset: tank/home, store: ${scene.store}}}\n`);
    const plotting = ["@observablehq/plot", "@xmldom/xmldom"];
    const ofPlotting = async (...words: readonly string[]): Promise<string[]> => (await loadedBy(scene, [...words, "--config", config])).packages.filter((name) => plotting.includes(name));
    expect(await ofPlotting("status")).toEqual([]);
    expect(await ofPlotting("report", "--html", `${scene.folder}/report.html`)).toEqual(plotting);
  });

  it("to list a bucket is the AWS SDK, and not openpgp", async () => {
    const words = ["list", "--store", "s3://bucket?endpoint=http://127.0.0.1:1", "--retry-for", "0s"];
    const { packages } = await loadedBy(new Scene(), words);
    expect(packages).toEqual(["@aws-sdk/client-s3", "@smithy/node-http-handler", "commander", "string-width", "zod"]);
  });

  it("to store in a folder is openpgp, and not the AWS SDK", async () => {
    const scene = new Scene();
    const words = ["put", "tank/src@s1", ...scene.place, ...scene.small, ...scene.forBob];
    expect((await loadedBy(scene, words, recorded("inc-i"))).packages).toEqual(["commander", "openpgp", "string-width", "zod"]);
  });
});
