/** Mode `files` with a command: what it finds around it, what its end means, and that nothing stays behind. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { documentOf } from "../cli/zferry.ts";
import { FilesNight, shown } from "./files-night.ts";

const command = (line: string, more = ""): string => `      engine: command\n      command: [sh, -c, '${line}', sh, one, "two words"]\n${more}`;

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries += 1) {
    if (tries > 500) throw new Error("it has not come to that");
    await sleep(20);
  }
}

describe("a job of files with a command", () => {
  it("runs it in the view of a new snapshot, which it is told, and leaves neither behind", async () => {
    const night = new FilesNight(command('pwd >"$OUT/pwd"; printf "%s\\n" "$@" >"$OUT/words"; env >"$OUT/env"; cp -a . "$OUT/copy"; echo done'));
    writeFileSync(join(night.tree, "a file"), "content");
    const { exit, stderr, stdout } = await night.run(["backup"], { SECRET: "not for it" });
    expect([exit, stdout.toString()]).toEqual([0, expect.stringMatching(/^papers: files copied, command:sh, /)]);
    expect(stderr).toContain("papers: sh: done");
    expect(readFileSync(join(night.out, "words"), "utf8")).toBe("one\ntwo words\n");
    const view = readFileSync(join(night.out, "pwd"), "utf8").trim();
    const env = readFileSync(join(night.out, "env"), "utf8").split("\n");
    expect(env).toEqual(expect.arrayContaining([`ZFERRY_VIEW=${view}`, "ZFERRY_JOB=papers", "ZFERRY_DATASET=tank/src", "ZFERRY_SNAPSHOT=tank/src@zferry-20261121T074200Z"]));
    expect(env.join("\n")).not.toContain("not for it");
    expect(readFileSync(join(night.out, "copy", "a file"), "utf8")).toBe("content");
    expect(night.pool.calls("snapshot")).toHaveLength(1);
    expect(existsSync(view)).toBe(false);
    night.expectTidy();
  });

  it("has the view at one place every night, so that programs know its files again", async () => {
    const night = new FilesNight(command('pwd >>"$OUT/pwd"'));
    writeFileSync(join(night.tree, "f"), "");
    await night.run();
    await night.run();
    const [first, second, ...more] = readFileSync(join(night.out, "pwd"), "utf8").trim().split("\n");
    expect([first === second, more]).toEqual([true, []]);
  });

  it.each([
    ["exit 1", "", 18, "failed", /"sh".* failed: exit 1; it said "last words"/],
    ["exit 1", "      warning_exits: [1]\n", 0, "stored", /warning: papers: sh ended with exit 1/],
    ["kill -9 $$", "", 18, "failed", /killed by SIGKILL/],
    ["sleep 60", "      timeout: 1s\n", 18, "failed", /took longer than 1 s/],
    ["exec /no/such/program", "", 18, "failed", /exit 127, as of a program that is not there/],
  ])("that ends by `%s` %s is the run's: exit status %i, %s", async (line, more, status, outcome, words) => {
    const night = new FilesNight(command(`echo last words; ${line}`, more));
    writeFileSync(join(night.tree, "f"), "");
    const { exit, stderr } = await night.run();
    expect([exit, stderr]).toEqual([status, expect.stringMatching(words)]);
    expect((await night.runs).map((run) => run.outcome)).toEqual([outcome]);
    night.expectTidy();
  });

  it("says in JSON what it came to", async () => {
    const night = new FilesNight(command("true"));
    writeFileSync(join(night.tree, "f"), "");
    const { stdout } = await night.run(["backup", "--json"]);
    const [first = "", summary = ""] = stdout.toString().trim().split("\n");
    expect(JSON.parse(first)).toMatchObject({ type: "backup", job: "papers", outcome: "stored", backup: null, files: { engine: "command", target: "command:sh", exitStatus: 0 }, error: null });
    expect(JSON.parse(summary)).toMatchObject({ storedCount: 1, failedCount: 0 });
  });

  it("says that it is at work when the command says nothing", async () => {
    const night = new FilesNight(command("sleep 1.5", "      heartbeat: 1s\n"));
    writeFileSync(join(night.tree, "f"), "");
    expect((await night.run()).stderr).toContain("papers: sh has been at work for 0 min");
  });

  it("changes nothing in a dry run", async () => {
    const night = new FilesNight(command('touch "$OUT/ran"'));
    const { exit, stdout } = await night.run(["backup", "--dry-run"]);
    expect([exit, stdout.toString()]).toEqual([0, "papers: would copy the files of a new snapshot, command:sh\n"]);
    expect([night.pool.calls("snapshot"), readdirSync(night.out)]).toEqual([[], []]);
  });

  it("is in the status with the others, and of no store", async () => {
    const night = new FilesNight(command("true"));
    writeFileSync(join(night.tree, "f"), "");
    await night.run();
    const { exit, stdout } = await night.run(["status", "--json"]);
    expect(exit).toBe(0);
    expect(JSON.parse(stdout.toString())).toMatchObject({ ok: true, datasets: [{ job: "papers", store: "command:sh", state: "ok", held: null, copies: [] }] });
  });

  it.each([["prune", "nothing"], ["doctor", ""], ["systemd", ""]])("is no trouble to `%s`", async (verb) => {
    const night = new FilesNight(command("true"));
    const { exit, stderr } = await night.run([verb]);
    expect([verb, exit, stderr]).toEqual([verb, 0, expect.not.stringContaining("error")]);
  });
});

it("a dataset whose files a job copies too is restored from the store of its streams", async () => {
  const night = new FilesNight(command("true"));
  night.scene.write("zferry.yaml", `${readFileSync(join(night.scene.folder, "zferry.yaml"), "utf8")}  streams: { dataset: tank/src, store: main }\nstores: { main: { url: ${night.scene.store} } }\n`);
  const { stderr, exit } = await night.run(["restore", "tank/src", "--to", "tank/new", "--dry-run"]);
  expect([exit, stderr]).toEqual([15, expect.not.stringContaining("command:sh")]);
});

describe("a view by two commands", () => {
  it("that is empty is refused: an engine could take that for files that are gone", async () => {
    const night = new FilesNight(command('touch "$OUT/ran"'));
    const { exit, stderr } = await night.run();
    expect([exit, stderr]).toEqual([18, expect.stringContaining("empty")]);
    expect(readdirSync(night.out)).toEqual([]);
    night.expectTidy();
  });

  it("that cannot be made fails the run with its words", async () => {
    const night = new FilesNight(command("true"), { view: '\n      mount: [sh, -c, "echo no such luck; exit 4"]\n      unmount: ["true"]' });
    const { exit, stderr } = await night.run();
    expect([exit, stderr]).toEqual([18, expect.stringContaining("the mount command failed: exit 4: no such luck")]);
    night.expectTidy();
  });

  it("that is not emptied again is told, and neither its files nor the next run's are lost over it", async () => {
    const night = new FilesNight(command("true"), { view: shown.replace("find", "test -e $OUT/now && find") });
    writeFileSync(join(night.tree, "f"), "");
    const first = await night.run();
    expect([first.exit, first.stderr]).toEqual([0, expect.stringMatching(/the view in ".*" cannot be taken away/)]);
    expect(night.views).toHaveLength(2);
    const second = await night.run();
    expect([second.exit, second.stderr]).toEqual([18, expect.stringContaining("cannot be taken away")]);
    writeFileSync(join(night.out, "now"), "");
    expect((await night.run()).exit).toBe(0);
    night.expectTidy();
  });
});

describe("a run of a job of files that was killed", () => {
  async function killed(signal: NodeJS.Signals): Promise<{ night: FilesNight; engine: number; exit: number | null }> {
    const night = new FilesNight(command('echo $$ >"$OUT/pid"; test -e "$OUT/again" || sleep 1000'));
    writeFileSync(join(night.tree, "f"), "");
    const run = await night.start();
    await until(() => existsSync(join(night.out, "pid")) && readFileSync(join(night.out, "pid"), "utf8").endsWith("\n"));
    run.kill(signal);
    const { exit } = await run.ended;
    writeFileSync(join(night.out, "again"), "");
    return { night, engine: Number(readFileSync(join(night.out, "pid"), "utf8")), exit };
  }
  const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

  it("by SIGTERM ends the engine and leaves nothing", async () => {
    const { night, engine, exit } = await killed("SIGTERM");
    expect([exit, isAlive(engine)]).toEqual([143, false]);
    night.expectTidy();
  });

  it("by SIGKILL leaves what the next run ends, unmounts and destroys", async () => {
    const { night, engine } = await killed("SIGKILL");
    expect([isAlive(engine), night.views.length, night.snapshots.length]).toEqual([true, 2, 1]);
    const { exit, stderr } = await night.run();
    expect([exit, stderr]).toEqual([0, expect.stringContaining("a run of papers was killed")]);
    expect(isAlive(engine)).toBe(false);
    night.expectTidy();
  });

  it("by SIGKILL leaves what `recover` ends and unmounts", async () => {
    const { night, engine } = await killed("SIGKILL");
    expect(documentOf(await night.run(["recover", "--dry-run", "--json"]))).toMatchObject({ views: [{ job: "papers", outcome: "left" }] });
    expect(isAlive(engine)).toBe(true);
    expect(documentOf(await night.run(["recover", "--json"]))).toMatchObject({ records: [], views: [{ job: "papers", outcome: "closed", error: null }] });
    expect([isAlive(engine), night.views]).toEqual([false, []]);
    expect(documentOf(await night.run(["recover", "--json"]))).toMatchObject({ records: [], views: [] });
  });
});
