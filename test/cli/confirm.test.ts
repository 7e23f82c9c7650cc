/** Questions before something is destroyed, and Ctrl-C: in this process, on a terminal of the test's own. */
import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { commandTable } from "../../src/cli/commands.ts";
import { canAsk, confirm } from "../../src/cli/confirm.ts";
import { interruptionOf } from "../../src/cli/interruptions.ts";
import { runToExit } from "../../src/cli/program.ts";
import type { Terminal } from "../../src/cli/terminal.ts";
import { ZferryError } from "../../src/errors.ts";
import { type OwnTerminal, ownTerminal } from "./terminal.ts";
import { recorded, Scene } from "./zferry.ts";

/** A keyboard on which `typed` has been typed; null for one that is unplugged. */
function keyboard(typed: string | null): Terminal["stdin"] {
  const keys = Object.assign(new PassThrough(), { isTTY: true });
  if (typed === null) keys.end();
  else keys.write(typed);
  return keys;
}

function seated(typed: string | null, some: Partial<Terminal> = {}): OwnTerminal {
  return ownTerminal({ isInteractive: true, stderrColumns: 80, stdoutColumns: 80, stdin: keyboard(typed), now: () => new Date("2026-11-22T00:00:00Z"), environment: { NO_COLOR: "1" }, ...some });
}

describe("a question", () => {
  it.for([
    ["y\n", true],
    ["Y\n", true],
    [" yes \n", true],
    ["\n", false],
    ["n\n", false],
    ["yep\n", false],
    [null, false],
  ] as const)("answered with %j is %s", async ([typed, expected]) => {
    const terminal = seated(typed);
    expect(await confirm({ terminal }, "remove it\u001b[2J?")).toBe(expected);
    expect(terminal.written.stderr.trimEnd()).toBe("zferry: remove it\\u001b[2J? [y/N]");
  });

  it("ends with the reason of a signal", async () => {
    const stop = new AbortController();
    const asked = confirm({ terminal: seated("", { signal: stop.signal }) }, "go on?");
    stop.abort(new ZferryError("interrupted", "stopped by SIGINT"));
    await expect(asked).rejects.toMatchObject({ code: "interrupted" });
  });

  it.for([
    [{ isInteractive: false }, false],
    [{ stdinPipe: 0 }, false],
    [{ stdin: new PassThrough() }, false],
    [{}, true],
  ] as const)("is asked where stdin and stderr are terminals: %j, %s", ([some, expected]) => {
    expect(canAsk(seated("", some))).toBe(expected);
  });
});

describe("prune", () => {
  let scene: Scene;
  const words = (): string[] => ["prune", "--dataset", "tank/src", "--keep-last", "1", ...scene.place];

  async function twoBackups(): Promise<void> {
    scene = new Scene();
    await scene.put("tank/src@s1", recorded("full"));
    await scene.put("tank/src@other", recorded("comp-lz4"));
  }

  it("without --yes asks, once it has shown everything, and acts on a yes alone", async () => {
    await twoBackups();
    const no = seated("n\n");
    expect(await runToExit(words(), no)).toBe(0);
    expect(no.written.stdout).toContain("1 of 2 backups would go");
    expect(no.written.stderr).toContain("zferry: remove 1 backup for good? [y/N] ");
    expect(no.written.stderr).toContain("zferry: nothing was removed\n");
    expect(scene.manifests).toHaveLength(2);
    const yes = seated("y\n");
    expect(await runToExit(words(), yes)).toBe(0);
    expect(yes.written.stdout).toContain("1 of 2 backups was removed");
    expect(scene.manifests).toHaveLength(1);
  });

  it.for([[["--json"], true], [["--log-format", "json"], true], [[], false]] as const)("is asked nothing with %j, interactive %s: it only shows", async ([more, isInteractive]) => {
    await twoBackups();
    const terminal = seated("y\n", { isInteractive });
    expect(await runToExit([...words(), ...more], terminal)).toBe(0);
    expect(terminal.written.stderr).not.toContain("[y/N]");
    expect(scene.manifests).toHaveLength(2);
  });

  it("with --yes is asked nothing", async () => {
    await twoBackups();
    const terminal = seated(null);
    expect(await runToExit([...words(), "--yes"], terminal)).toBe(0);
    expect(terminal.written.stderr).not.toContain("[y/N]");
    expect(scene.manifests).toHaveLength(1);
  });
});

describe("key remove", () => {
  it.for([
    ["n\n", [], 1, ["would go: spare, tank/src@s1\n"], "nothing was removed\n"],
    ["y\n", [], 0, ["would go: spare, tank/src@s1\n", "removed: spare, tank/src@s1\n"], "of 1 backup for good? [y/N] "],
    [null, ["--yes"], 0, ["removed: spare, tank/src@s1\n"], ""],
    ["y\n", ["--json"], 1, [], "nothing was removed: --yes does it"],
  ] as const)("answered with %j, with %j, leaves %i key: it shows first, and acts on a yes alone", async ([typed, more, left, shown, said]) => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"));
    await scene.run(["key", "add", "spare", ...scene.place, ...scene.asBob, "--new-recipient", scene.certificate("alice")]);
    const terminal = seated(typed);
    expect(await runToExit(["key", "remove", "spare", ...scene.place, ...scene.asBob, ...more], terminal), terminal.written.stderr).toBe(0);
    if (shown.length > 0) expect(terminal.written.stdout).toBe(shown.join(""));
    expect(terminal.written.stderr).toContain(said);
    expect(terminal.written.stderr.includes("[y/N]")).toBe(typed !== null && more.length === 0);
    expect(scene.objects.filter((name) => name.endsWith("KEY-spare.pgp"))).toHaveLength(left);
  });
});

describe("a signal", () => {
  it("is answered at once on a terminal, and its failure says how to go on", async () => {
    const scene = new Scene();
    const stop = new AbortController();
    const stdin = new PassThrough();
    stdin.write(recorded("full").subarray(0, 1000));
    const terminal = seated(null, { signal: stop.signal, stdin });
    const run = runToExit(["put", "tank/src@s1", ...scene.place, ...scene.forBob], terminal);
    setTimeout(() => {
      stop.abort(new ZferryError("interrupted", "stopped by SIGINT", { hint: "nothing was changed; run it again" }));
    }, 300);
    expect(await run).toBe(130);
    const left = interruptionOf("put", "interrupted") ?? "";
    expect(terminal.written.stderr).toContain(`zferry: warning: stopping: ${left}. Ctrl-C again ends it at once`);
    expect(terminal.written.stderr).toContain(`zferry: error: stopped by SIGINT\nzferry: hint: ${left}\n`);
    expect(scene.manifests).toEqual([]);
  });

  it("says of a command inside of another what that one leaves, and not what its namesake would", async () => {
    const scene = new Scene();
    await scene.put("tank/src@s1", recorded("inc-i"));
    const stop = new AbortController();
    stop.abort(new ZferryError("interrupted", "stopped by SIGINT"));
    const terminal = seated(null, { signal: stop.signal });
    expect(await runToExit(["key", "remove", "spare", ...scene.place, ...scene.asBob], terminal)).toBe(130);
    expect(terminal.written.stderr).toContain(`zferry: hint: ${interruptionOf("key remove", "interrupted") ?? "nothing"}\n`);
  });

  it("leaves nothing to tell of a command that only looks, and something of every one that moves data", () => {
    const told = commandTable.map(({ usage }) => usage.split(" ", 1)[0] ?? "").filter((name) => interruptionOf(name, "interrupted") !== null);
    for (const name of ["backup", "put", "get", "restore", "verify", "drill", "download", "copy", "prune"]) expect(told).toContain(name);
    expect(interruptionOf("list", "interrupted")).toBeNull();
    expect(interruptionOf("restore", "interrupted")).not.toBe(interruptionOf("files restore", "interrupted"));
    expect(interruptionOf("constructor", "terminated")).toBeNull();
  });

  it("says of SIGTERM that what is stored of a backup stays, and of all else what Ctrl-C does", () => {
    expect(interruptionOf("backup", "terminated")).toContain("the next zferry backup goes on with it");
    expect(interruptionOf("backup", "interrupted")).toContain("removed again");
    expect(interruptionOf("verify", "terminated")).toBe(interruptionOf("verify", "interrupted"));
  });
});
