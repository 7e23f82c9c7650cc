import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { complained, complaintOf, saysMissing, ZfsFailure, type Ending } from "../../src/zfs/complaints.ts";

interface Recording {
  readonly command: string;
  readonly exitStatus: number;
  readonly code: string;
  readonly stderr: string;
}

/** `recorded/*.txt`: what real ones said, with the code it must become: `$ command`, `exit N, code`, stderr, blank line. */
function recordings(file: string): readonly Recording[] {
  const text = readFileSync(new URL(`recorded/${file}.txt`, import.meta.url), "utf8");
  return text.split("\n\n").map((block) => {
    const match = /^\$ (.*)\nexit (\d+), ([a-z-]+)\n([^]*)$/.exec(block);
    if (match === null) throw new Error(`not a recording: ${block}`);
    const [, command = "", exitStatus = "", code = "", stderr = ""] = match;
    return { command, exitStatus: Number(exitStatus), code, stderr: `${stderr.trimEnd()}\n` };
  });
}

function ending(overrides: Partial<Ending>): Ending {
  return { exitStatus: 1, killedBy: null, stderr: "", ...overrides };
}

describe.for(["openzfs-2.3.2", "zfs-fuse-0.7"])("what %s says", (file) => {
  it.for(recordings(file))("becomes $code after $command: $stderr", ({ exitStatus, code, stderr }) => {
    const error = complaintOf("zfs send", ending({ exitStatus, stderr }));
    expect(error.code).toBe(code);
    expect(error.hint).not.toBeNull();
    expect(error.message).toContain(stderr.split("\n")[0]?.replace(/\.$/, ""));
    expect(error.message).not.toContain("usage:");
  });
});

describe("a complaint", () => {
  it("puts a sentence that zfs wrapped back on one line", () => {
    const stderr = "cannot receive incremental stream: most recent snapshot of a does not\nmatch incremental source\n";
    expect(complaintOf("zfs receive", ending({ stderr })).message).toBe(
      '"zfs receive" failed with exit status 1: ' +
        "cannot receive incremental stream: most recent snapshot of a does not match incremental source",
    );
  });

  it("quotes the words of zfs when nobody knows them", () => {
    const error = complaintOf("zfs send", ending({ exitStatus: 7, stderr: "the moon is full\n" }));
    expect(error).toMatchObject({
      code: "zfs-failed",
      message: '"zfs send" failed with exit status 7: the moon is full',
    });
  });

  it("says so when zfs said nothing", () => {
    expect(complaintOf("zfs send", ending({ exitStatus: 3 })).message).toBe(
      '"zfs send" failed with exit status 3: it said nothing on stderr',
    );
  });

  it("names the signal that killed zfs", () => {
    const error = complaintOf("zfs send", ending({ exitStatus: null, killedBy: "SIGKILL" }));
    expect(error.message).toContain("was killed by SIGKILL");
    expect(error.hint).toContain("out-of-memory");
  });

  it("shortens a long text to its beginning and its end, and keeps the whole in the cause", () => {
    const stderr = `cannot start\n${"noise ".repeat(10_000)}\nout of space\n`;
    const error = complaintOf("zfs receive", ending({ stderr }));
    expect(error.code).toBe("zfs-no-space");
    expect(error.message).toMatch(/cannot start noise .* … .* out of space$/);
    expect(error.message.length).toBeLessThan(700);
    expect(error.cause).toBeInstanceOf(ZfsFailure);
    expect(error.cause).toMatchObject({ ending: { stderr } });
  });

  it("does not take a closed way to the host for a missing permission on the pool", () => {
    const stderr = "root@nas: Permission denied (publickey,password).\n";
    expect(complaintOf("zfs send", ending({ exitStatus: 255, stderr }))).toMatchObject({ code: "zfs-failed" });
  });
});

describe("what is missing", () => {
  it.for([
    ["the snapshot asked for", "cannot open 'tank/a@s1': dataset does not exist", true],
    ["the bookmark asked for", "bookmark 'tank/a@s1' does not exist.", true],
    ["its bookmark, in other words", "cannot open 'tank/a@s1': no such pool or dataset", true],
    ["its dataset", "cannot open 'tank/a': dataset does not exist", false],
    ["another snapshot whose name begins alike", "cannot open 'tank/a@s10': dataset does not exist", false],
  ] as const)("is told apart: %s", ([, stderr, missing]) => {
    expect(saysMissing(complaintOf("zfs get", ending({ stderr })), "tank/a@s1")).toBe(missing);
  });

  it("is never read from an error that is not a complaint of zfs", () => {
    expect(saysMissing(new Error("cannot open 'tank/a@s1': dataset does not exist"), "tank/a@s1")).toBe(false);
    expect(complained(new Error("invalid option"), "invalid option")).toBe(false);
  });
});
