/** The section `files` of a job: what goes with which engine, and what goes with none. */
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { isZferryError } from "../../src/errors.ts";

/** What is said of a job with this section. */
function flawOf(files: string, more = ""): string {
  try {
    parseConfig(`stores: { far: { url: s3://bucket/nas } }\nencryption: { passphrase_file: /p }\njobs: { papers: { dataset: tank/papers, mode: files${more}, files: { ${files} } } }\n`, "zferry.yaml");
    return "";
  } catch (error) {
    if (isZferryError(error)) return error.message;
    throw error;
  }
}

const view = "mount: [a], unmount: [b]";

describe("of a job of files", () => {
  it.each([
    ["engine: command, command: [restic, backup, .], warning_exits: [3]", ""],
    ["engine: rclone, remote: 'r2:b', operation: copy, args: [-v]", ""],
    ["engine: s3, keep: { daily: 14 }, encrypt: false, timeout: 1h", ", store: far"],
    [`engine: s3, ${view}, pass_environment: [HOST]`, ", store: far"],
  ])("%s is taken", (files, more) => {
    expect(flawOf(files, more)).toBe("");
  });

  it.each([
    ["engine: command", "", "command: is missing"],
    ["engine: rclone", "", "remote: is missing"],
    ["engine: command, command: [a]", ", store: far", "store"],
    ["engine: s3, command: [a]", ", store: far", "command: goes with engine: command"],
    ["engine: command, command: [a], keep: { last: 1 }", "", "keep: goes with engine: s3"],
    ["engine: rclone, remote: 'a:', encrypt: false", "", "encrypt: goes with engine: s3"],
    ["engine: s3, keep: { fulls: 2 }", ", store: far", "keep: of files has no fulls"],
    ["engine: s3, pass_environment: [A]", ", store: far", "pass_environment: goes with a program"],
    ["engine: s3, warning_exits: [3]", ", store: far", "warning_exits: goes with a program that copies"],
    [`engine: s3, ${view}, warning_exits: [3]`, ", store: far", "warning_exits: goes with a program that copies"],
    ["engine: s3, unmount: [b]", ", store: far", "unmount: goes with mount"],
    ["engine: s3, mount: [b]", ", store: far", "mount: goes with unmount"],
    [`engine: s3, view: snapdir, ${view}`, ", store: far", "mount: has no place beside view"],
  ])("%s%s is refused", (files, more, flaw) => {
    expect(flawOf(files, more)).toContain(flaw);
  });
});
