/**
 * Copies as a person sees them: the nightly run makes them after its backups, `copy` makes them by hand, `prune` prunes each
 * by its own policy, and what fails of them fails no backup.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { readCopies } from "../../src/copy-history.ts";
import { Night, tonight } from "./job-night.ts";
import { type Ended, filesUnder } from "./zferry.ts";

vi.setConfig({ testTimeout: 120_000 });

const src = ["tank/src"];
const tomorrow = new Date("2026-11-22T07:42:00Z");

class CopyNight extends Night {
  /** @param copies - of the job `home`, as YAML */
  constructor(copies: string, more = "") {
    super(`  home: {dataset: tank/src, copies: ${copies}${more}}\n`, { datasets: src });
    const file = join(this.scene.folder, "zferry.yaml");
    writeFileSync(file, readFileSync(file, "utf8").replace("stores:\n", `stores:\n  away: {url: ${this.away}, part_size: 16KiB}\n  third: {url: ${this.third}}\n`));
  }

  get away(): string {
    return join(this.scene.folder, "away");
  }

  get third(): string {
    return join(this.scene.folder, "third");
  }

  later(...words: string[]): Promise<Ended> {
    return this.scene.run(words, { env: this.pool.env, now: tomorrow });
  }

  get copies(): ReturnType<typeof readCopies> {
    return readCopies(this.scene.stateDir, (text) => expect.fail(text));
  }
}

function documentsOf({ stdout }: Pick<Ended, "stdout">): Record<string, unknown>[] {
  return stdout.toString().trim().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Streams and manifests; the leases are gone. */
function objectsOf(folder: string): string[] {
  return filesUnder(folder);
}

describe("a night with copies", () => {
  it("copies what it has stored into each of them, before it prunes, and says so", async () => {
    const night = new CopyNight("[{store: away}, {store: third, keep: {last: 1}}]", ", keep: {store: {last: 1}}, prune: after_backup");
    const { exit, stdout, stderr } = await night.run();
    expect(exit, stderr).toBe(0);
    expect(stdout.toString()).toContain("home: copy in away: 1 backup copied, 462 KiB; 0 there already");
    expect(objectsOf(night.away)).toEqual(night.scene.objects);
    expect(objectsOf(night.third)).toEqual(night.scene.objects);
    expect((await night.copies).map(({ job, dataset, outcome, copiedCount }) => [job, dataset, outcome, copiedCount])).toEqual([
      ["home", "tank/src", "copied", 1],
      ["home", "tank/src", "copied", 1],
    ]);
  });

  it("has a document for each", async () => {
    const night = new CopyNight("[{store: away}]");
    const documents = documentsOf(await night.run("--json"));
    expect(documents.map(({ type }) => type)).toEqual(["backup", "copy", "backup-summary"]);
    const row = readFileSync(new URL("../../docs/json-output.md", import.meta.url), "utf8").split("\n").find((line) => line.startsWith("| `copy`")) ?? "";
    for (const name of Object.keys(documents[1] ?? {}).filter((one) => one !== "type")) expect(row).toMatch(new RegExp(`\`${name}(\\[\\])?\``));
    expect(documents[1]).toMatchObject({ job: "home", dataset: "tank/src", outcome: "copied", thereCount: 0, unwantedCount: 0, error: null, backups: [{ backup: `tank/src@${tonight}`, kind: "full", outcome: "copied", error: null }] });
  });

  it("ends with 3 when a copy fails: the backup is made, and so are the other copies", async () => {
    const night = new CopyNight("[{store: gone}, {store: away}]");
    const { exit, stdout, stderr } = await night.run();
    expect(exit, stderr).toBe(3);
    expect(stderr).toContain('home: the copy in "gone" failed: ');
    expect(stdout.toString()).toContain("stored full backup");
    expect(objectsOf(night.away)).toEqual(night.scene.objects);
    expect((await night.runs).map(({ outcome }) => outcome)).toEqual(["stored"]);
    const status = await night.later("status");
    expect(status.exit).toBe(3);
    expect(status.stdout.toString()).toMatch(/gone FAILED, away +copy-failed: the copy in "gone": /);
    const copies = (await night.copies).map(({ outcome, error }) => [outcome, error?.code ?? null]);
    expect(copies.sort()).toEqual([["copied", null], ["failed", expect.stringMatching(/^store-/)]]); // begun at the same time: in any order
  });

  it("tells of a copy that failed, and not that the job went well", async () => {
    const night = new CopyNight("[{store: gone}]");
    const told = join(night.scene.folder, "told");
    const file = join(night.scene.folder, "zferry.yaml");
    writeFileSync(file, `${readFileSync(file, "utf8")}notify: [{type: command, on: [success, failure], min_interval: 0s, command: [sh, -c, 'cat >> ${told}; echo >> ${told}']}]\n`);
    await night.run();
    const kinds = readFileSync(told, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as { kind: string; text: string });
    expect(kinds.map(({ kind }) => kind)).toEqual(["failure"]);
    expect(kinds[0]?.text).toContain('the copy in "gone" failed');
  });

  it("makes up for what was not copied the night before", async () => {
    const night = new CopyNight("[{store: away}]");
    writeFileSync(night.away, "in the way");
    expect((await night.run()).exit).toBe(3);
    rmSync(night.away);
    expect((await night.later("backup")).exit).toBe(0);
    expect(objectsOf(night.away)).toEqual(night.scene.objects);
    expect(filesUnder(join(night.away, "manifests/tank"))).toHaveLength(2);
  });

  it("in which the backup fails makes up for it all the same, and prunes nothing", async () => {
    const night = new CopyNight("[{store: away, keep: {last: 1}}]", ", keep: {store: {last: 1}}, prune: after_backup");
    writeFileSync(night.away, "in the way");
    expect((await night.run()).exit).toBe(3);
    rmSync(night.away);
    night.pool.change(({ faults }) => (faults.send = { exit: 1, stderr: "out of luck" }));
    const { exit, stdout } = await night.later("backup");
    expect(exit).toBe(14);
    expect(stdout.toString()).toContain("home: copy in away: 1 backup copied");
    expect(objectsOf(night.away)).toEqual(night.scene.objects);
  });

  it("in which the store itself fails asks it for no copies", async () => {
    const night = new CopyNight("[{store: away}]", ", store: gone, chunk_size: 16MiB");
    const { exit, stdout } = await night.scene.run(["backup", "--json"], { env: { ...night.pool.env, AWS_ACCESS_KEY_ID: "x", AWS_SECRET_ACCESS_KEY: "an-unused-secret" } });
    expect(exit).toBe(15);
    expect(documentsOf({ stdout }).map(({ type }) => type)).toEqual(["backup", "backup-summary"]);
    expect(await night.copies).toEqual([]);
  });

  it("that is only planned, or has no job, copies nothing", async () => {
    const night = new CopyNight("[{store: away}]");
    expect((await night.run("--dry-run")).exit).toBe(0);
    expect((await night.run("--dataset", "tank/src", "--store", "main")).exit).toBe(0);
    expect(existsSync(night.away)).toBe(false);
  });
});

describe("prune", () => {
  it("prunes each copy by its own policy", async () => {
    const night = new CopyNight("[{store: away, keep: {last: 1}}, {store: third}]");
    for (const day of ["21", "22", "23"]) await night.scene.run(["backup"], { env: night.pool.env, now: new Date(`2026-11-${day}T07:42:00Z`) });
    const { exit, stdout, stderr } = await night.later("prune", "--yes");
    expect(exit, stderr).toBe(0);
    expect(stdout.toString()).toContain(`backups of tank/src in file://${night.away}`);
    const count = (folder: string): number => filesUnder(join(folder, "manifests/tank")).length;
    expect([night.scene.store, night.away, night.third].map(count)).toEqual([3, 2, 3]); // the newest, and the full it needs
  });
});

describe("copy", () => {
  async function stored(): Promise<CopyNight> {
    const night = new CopyNight("[{store: away}]");
    await night.run("--dataset", "tank/src", "--store", "main");
    return night;
  }

  it("copies a job's datasets, says what it would do, and does nothing twice", async () => {
    const night = await stored();
    expect((await night.later("copy", "--dry-run")).stdout.toString()).toContain(`  would copy full tank/src@${tonight}`);
    expect(existsSync(night.away)).toBe(false);
    expect((await night.later("copy", "home")).exit).toBe(0);
    expect(objectsOf(night.away)).toEqual(night.scene.objects);
    expect((await night.later("copy")).stdout.toString()).toContain("0 backups copied, 0 B; 1 there already");
  });

  it("plans for a folder that is not there by its own name, unless it held backups, as the run itself does", async () => {
    const night = await stored();
    const [plan] = documentsOf(await night.later("copy", "--dry-run", "--json"));
    expect(plan).toMatchObject({ to: `file://${night.away}`, outcome: "planned" });
    expect((await night.later("copy")).exit).toBe(0);
    rmSync(night.away, { recursive: true });
    for (const words of [["copy", "--dry-run"], ["copy"]]) {
      const { exit, stderr } = await night.later(...words);
      expect(exit, stderr).toBe(3);
      expect(stderr).toContain("held 1 backup and is not there");
    }
  });

  it("copies between any two stores, all datasets or those that are named", async () => {
    const night = await stored();
    for (const [folder, words] of [[night.third, []], [night.away, ["tank/src"]]] as const) {
      const { exit, stderr } = await night.later("copy", "--from", "main", "--to", folder, ...words);
      expect(exit, stderr).toBe(0);
      expect(objectsOf(folder)).toEqual(night.scene.objects);
    }
    expect(await night.copies).toEqual([]);
  });

  it("between two stores ends with the code of what failed: 13 for a damaged chunk", async () => {
    const night = await stored();
    const [chunk = ""] = night.scene.objects.filter((name) => name.endsWith(".000002"));
    writeFileSync(join(night.scene.store, chunk), "changed");
    const { exit, stderr, stdout } = await night.later("copy", "--from", "main", "--to", night.third);
    expect(exit).toBe(13);
    expect(stderr).toContain("chunk 2 of 8");
    expect(stdout.toString()).toContain("NOT COPIED: chunk 2 of 8");
    expect(objectsOf(night.third)).toEqual([]);
  });

  it.for([
    [["--from", "main"], "--from and --to go together"],
    [["nobody"], 'there is no job "nobody"'],
    [["home"], "home: no copies are configured"],
    [[], "no job has copies"],
  ] as const)("refuses %j", async ([words, why]) => {
    const { exit, stderr } = await new CopyNight("[]").later("copy", ...words);
    expect(exit).toBe(2);
    expect(stderr).toContain(why);
  });
});
