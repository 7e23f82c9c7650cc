/**
 * The benchmarks' runner, with sizes that measure nothing: that contenders run, that what comes out is checked, that peers
 * that are not here are named, and that the JSON file has the shape that bench/README.md gives it.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { cpus, hostname, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { built } from "./build.ts";

const runner = fileURLToPath(new URL("../bench/run.mjs", import.meta.url));

interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

interface Figure extends Spread {
  readonly contender: string;
  readonly runs: readonly number[];
  readonly ratio: Spread;
  readonly cpuSecondsPerGiB: Spread | null;
}

interface Trial {
  readonly name: string;
  readonly unit: string;
  readonly baseline: string | null;
  readonly figures: readonly Figure[];
  readonly missing: readonly { readonly name: string; readonly why: string }[];
  readonly targets: readonly { readonly contender: string; readonly reached: number | null }[];
}

interface Results {
  readonly node: string;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly memoryBytes: number; readonly system: string };
  readonly peers: Readonly<Record<string, string>>;
  readonly missing: readonly { readonly peer: string; readonly why: string }[];
  readonly suites: Readonly<Record<string, { readonly trials: readonly Trial[] }>>;
}

beforeAll(built);

/** A PATH on which only these programs are, so that the test does the same wherever it runs. */
function pathWith(folder: string, names: readonly string[]): string {
  const path = join(folder, "bin");
  mkdirSync(path);
  for (const name of names) symlinkSync(locate(name), join(path, name));
  return path;
}

function locate(name: string): string {
  const found = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)).find(isExecutable);
  if (found === undefined) throw new Error(`${name} is not installed`);
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

interface Run {
  readonly exit: number | null;
  readonly said: string;
  readonly text: string;
  readonly left: readonly string[];
}

/** Runs suites in a folder. */
async function bench(folder: string, words: readonly string[]): Promise<Run> {
  const scratch = join(folder, "scratch");
  mkdirSync(scratch);
  const json = join(folder, "results.json");
  const flags = ["--rounds", "1", "--json", json, "--scratch", scratch];
  const child = spawn(process.execPath, [runner, ...words, ...flags], {
    env: { PATH: pathWith(folder, ["bash", "cat"]), HOME: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => void (said += piece.toString()));
  const exit = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { exit, said, text: readFileSync(json, "utf8"), left: readdirSync(scratch) };
}

function trialsOf(run: Run, suite: string): readonly Trial[] {
  return (JSON.parse(run.text) as Results).suites[suite]?.trials ?? [];
}

/** One packet through the whole pipeline is enough here: every `put` takes a second to start. */
const onlyOcb = "^(?!zferry put (cfb|none))";

describe("npm run bench", () => {
  let run: Run;
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), "zferry-test-"));
    try {
      run = await bench(folder, ["openpgp", "pipeline", "--size", "128KiB", "--only", onlyOcb]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("ends well, and leaves nothing behind", () => {
    expect(run.said).toContain("written to");
    expect(run).toMatchObject({ exit: 0, left: [] });
  });

  it("says what it was measured on and with, and neither the host's name nor a path", () => {
    const { node, machine, peers } = JSON.parse(run.text) as Results;
    expect(node).toBe(process.version);
    expect(machine.cores).toBe(cpus().length);
    expect(Object.keys(machine)).toEqual(["cpu", "cores", "memoryBytes", "system"]);
    expect(peers).toMatchObject({ openpgp: "6.3.2", "@aws-sdk/lib-storage": "3.1169.0" });
    for (const name of [hostname(), tmpdir(), dirname(runner), dirname(process.execPath)]) expect(run.text).not.toContain(name);
  });

  it("encrypts and decrypts with every packet, next to the library and the cipher alone", () => {
    const trials = trialsOf(run, "openpgp");
    expect(trials.map(({ name }) => name)).toEqual(["ocb", "cfb", "rfc9580"].flatMap((packet) => [`${packet} encrypt`, `${packet} decrypt`]));
    for (const { figures, baseline } of trials) {
      expect(figures.map(({ contender }) => contender.split(" ")[0])).toEqual(expect.arrayContaining(["node:crypto", "zferry", "openpgp.js"]));
      expect(baseline).toBe(figures[0]?.contender);
    }
  });

  it("moves a stream into a folder and to the sink, by the contenders that --only lets run", () => {
    const trials = trialsOf(run, "pipeline");
    expect(trials.slice(0, 2).map(({ name }) => name)).toEqual(["stdin → directory", "stdin → discarding sink"]);
    for (const trial of trials.slice(0, 2)) {
      expect(trial.figures.map(({ contender }) => contender).filter((name) => name !== "bare upload")).toEqual([
        "zferry put ocb",
        "source alone (cat > /dev/null)",
      ]);
    }
    expect(trials[1]?.figures[0]?.contender).toBe("bare upload");
  });

  it("gives each figure its runs, their spread and the ratio to the baseline", () => {
    for (const trial of [...trialsOf(run, "openpgp"), ...trialsOf(run, "pipeline")]) {
      for (const figure of trial.figures) {
        expect(figure.runs).toHaveLength(1);
        expect(figure).toMatchObject({ median: figure.runs[0], min: figure.runs[0], max: figure.runs[0] });
        expect(figure.median).toBeGreaterThan(0);
        expect(figure.cpuSecondsPerGiB).not.toBeNull();
      }
      if (trial.figures.length > 0) expect(trial.figures[0]?.ratio).toEqual({ median: 1, min: 1, max: 1 });
    }
  });

  it("names what is not installed, with the reason, everywhere it would have stood", () => {
    const { missing } = JSON.parse(run.text) as Results;
    expect(missing.map(({ peer }) => peer)).toEqual(["gpg", "gpg1", "rclone", "aws", "split"]);
    expect(run.said).toContain('missing: gpg1: "gpg1" is not installed');
    const [directory, sink, real] = trialsOf(run, "pipeline");
    expect(directory?.missing).toContainEqual({ name: "gpg1 -c | split", why: '"gpg1" is not installed' });
    expect(sink?.missing.map(({ name }) => name)).toEqual(["gpg -c | rclone rcat", "gpg -c | aws s3 cp -", "gpg -c | lib-storage"]);
    expect(real?.missing).toEqual([{ name: "the trial", why: "ZFERRY_TEST_S3 and its keys are not set" }]);
    expect(directory?.targets.every(({ reached }) => reached === null)).toBe(true);
  });
});
