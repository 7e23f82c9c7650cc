/**
 * The journal as it is found: whole, torn, garbage, or not to be had at all. What a run makes of it is in
 * `test/cli/resume.test.ts`.
 */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { Journal } from "../src/journal.ts";
import { readJournals } from "../src/journals.ts";
import { ownFolder } from "./folder.ts";
import { header, leaveJournal, owner, storeUrl } from "./journaling.ts";
import { failureOf } from "./stream/sources.ts";

interface Left {
  readonly stateDir: string;
  readonly path: string;
}

async function left(): Promise<Left> {
  const stateDir = ownFolder();
  return { stateDir, path: await leaveJournal(stateDir) };
}

async function found({ stateDir }: Left): Promise<{ journal: Journal | null; setAside: string[] }> {
  const setAside: string[] = [];
  const journal = await Journal.find(stateDir, storeUrl, owner, (path) => setAside.push(path));
  await journal?.close();
  return { journal, setAside };
}

function line(fact: unknown): string {
  const json = JSON.stringify(fact);
  return `${createHash("sha256").update(json).digest("hex").slice(0, 8)} ${json}\n`;
}

describe("a journal", () => {
  it("is found with all that was noted", async () => {
    const { journal, setAside } = await found(await left());
    expect(journal?.header).toEqual(header);
    expect([...(journal?.progress.marks ?? [])]).toEqual([["0:0", "aa"], ["1:0", "cc"]]);
    expect([...(journal?.progress.chunks.keys() ?? [])]).toEqual([0]);
    expect(setAside).toEqual([]);
  });

  it("that is not there is none", async () => {
    expect(await found({ stateDir: ownFolder(), path: "" })).toEqual({ journal: null, setAside: [] });
  });

  it("torn at any byte behind its header is found as far as it is whole, and goes on from there", async () => {
    const whole = readFileSync((await left()).path);
    const headerBytes = whole.indexOf("\n") + 1;
    for (let at = headerBytes; at < whole.length; at += 7) {
      const torn = await left();
      truncateSync(torn.path, at);
      const { journal, setAside } = await found(torn);
      expect([journal?.header.attempt, setAside], `torn at ${at}`).toEqual(["0000aaaa", []]);
      const bytes = readFileSync(torn.path);
      expect(bytes.length === 0 || bytes.at(-1) === 0x0a, `torn at ${at}`).toBe(true);
    }
  });

  it("with a damaged line behind its header is found as not whole, as often as it is looked for", async () => {
    const spoilt = await left();
    const lines = readFileSync(spoilt.path, "utf8").split("\n");
    writeFileSync(spoilt.path, [lines[0], "garbage", ...lines.slice(2)].join("\n"));
    const bytes = readFileSync(spoilt.path);
    for (const time of ["first", "second"]) {
      const { journal, setAside } = await found(spoilt);
      expect([journal?.header.attempt, journal?.isWhole, setAside], time).toEqual(["0000aaaa", false, []]);
      expect(readFileSync(spoilt.path).equals(bytes), time).toBe(true);
    }
    expect((await found(await left())).journal?.isWhole).toBe(true);
  });

  it.for<[string, (path: string) => void]>([
    ["is empty", (path) => { writeFileSync(path, ""); }],
    ["is torn in its header", (path) => { truncateSync(path, 40); }],
    ["begins with garbage", (path) => { writeFileSync(path, Buffer.concat([Buffer.from("garbage\n"), readFileSync(path)])); }],
    ["is garbage from end to end", (path) => { writeFileSync(path, Buffer.alloc(5000, 0xff)); }],
    ["has a flipped bit in the middle", (path) => {
      const bytes = readFileSync(path);
      bytes[20] = (bytes[20] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    }],
    ["is of another version", (path) => { writeFileSync(path, line({ header: { ...header, version: 2 } })); }],
    ["names no snapshot", (path) => { writeFileSync(path, line({ header: { ...header, backup: "../../etc" } })); }],
  ])("that %s is set aside with all that was in it, and is none from then on", async ([, spoil]) => {
    const spoilt = await left();
    spoil(spoilt.path);
    const bytes = readFileSync(spoilt.path);
    const { journal, setAside } = await found(spoilt);
    expect(journal).toBeNull();
    expect(setAside).toEqual([expect.stringContaining(`${spoilt.path}.unreadable-`)]);
    expect(readFileSync(setAside[0] ?? "").equals(bytes)).toBe(true);
    expect(existsSync(spoilt.path)).toBe(false);
    expect(await found(spoilt)).toEqual({ journal: null, setAside: [] });
  });
});

/** Ways in which a journal is in the way, root or not. */
const obstacles: readonly (readonly [string, (left: Left) => void])[] = [
  ["a folder in its place", ({ path }) => {
    rmSync(path);
    mkdirSync(path);
  }],
  ["a link that leads to itself in its place", ({ path }) => {
    rmSync(path);
    symlinkSync(path, path);
  }],
  ["a file where its folder should be", ({ path }) => {
    rmSync(dirname(path), { recursive: true });
    writeFileSync(dirname(path), "");
  }],
];

describe("a journal that cannot be had", () => {
  it.for(obstacles)("for %s is an error that names it and says what to do", async ([, spoil]) => {
    const spoilt = await left();
    spoil(spoilt);
    const told = {
      code: "config-invalid",
      message: expect.stringMatching(/^cannot read the journal ".*"/) as string,
      hint: expect.stringContaining("--state-dir") as string,
    };
    expect(await failureOf(found(spoilt))).toMatchObject({ ...told, message: expect.stringContaining(spoilt.path) as string });
    // Whoever sweeps must not take "could not look" for "nobody needs it".
    expect(await failureOf(readJournals(spoilt.stateDir))).toMatchObject(told);
  });

  it("cannot be begun either, and the error says the same", async () => {
    const stateDir = ownFolder();
    writeFileSync(join(stateDir, "journal"), "");
    expect(await failureOf(Journal.begin(stateDir, owner, header))).toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining(`cannot write the journal "${stateDir}`) as string,
      hint: expect.stringContaining("--state-dir") as string,
    });
  });

  it("ends a note with the same error, and leaves nothing that floats", async () => {
    const journal = await Journal.begin(ownFolder(), owner, header);
    await journal.close();
    expect(await failureOf(journal.mark(0, 0, "aa"))).toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining(`cannot write the journal "${journal.path}"`) as string,
    });
  });
});

describe("the journals of a host", () => {
  it("are those that can be read; what was set aside speaks for nothing", async () => {
    const { stateDir, path } = await left();
    appendFileSync(path, "torn");
    writeFileSync(`${path}.unreadable-1`, readFileSync(path, "utf8").replace("0000aaaa", "0000bbbb"));
    expect(await readJournals(stateDir)).toMatchObject([{ path, storeUrl, backup: owner.name, attempt: "0000aaaa", isPut: true }]);
    expect(readdirSync(dirname(path))).toHaveLength(2);
  });

  it("are none where there is no state folder", async () => {
    expect(await readJournals(join(ownFolder(), "none"))).toEqual([]);
  });
});
