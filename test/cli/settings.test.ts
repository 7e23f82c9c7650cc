import { chmodSync, chownSync, lchownSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { SharedFlags } from "../../src/cli/options.ts";
import { type Settings, settle, storeSettings, zfsCommand } from "../../src/cli/settings.ts";
import { sourceSettings } from "../../src/cli/sources.ts";
import { emptyConfig, parseConfig } from "../../src/config/config.ts";
import { ownFolder } from "../folder.ts";
import { failureOf } from "../stream/sources.ts";
import { parseDatasetName } from "../../src/zfs/names.ts";
import { ownTerminal } from "./terminal.ts";

interface Situation {
  readonly flags?: Partial<SharedFlags>;
  readonly environment?: Record<string, string>;
  readonly isRoot?: boolean;
  readonly userId?: number;
  readonly coreCount?: number;
  /** Content of files by their names. */
  readonly files?: Record<string, string>;
}

function settleIn(folder: string, { flags = {}, environment = {}, isRoot = false, userId = process.geteuid?.() ?? 0, coreCount = 1, files = {} }: Situation): Promise<Settings> {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return settle({ logLevel: "info", ...flags }, ownTerminal({ environment, isRoot, userId, coreCount, workingDirectory: folder }));
}

function stateDirOf(text: string): string {
  return `state_dir: ${text}\n`;
}

describe("the configuration", () => {
  const here = { "zferry.yaml": stateDirOf("/here"), "named.yaml": stateDirOf("/named"), "other.yaml": stateDirOf("/other") };

  it.for([
    ["zferry.yaml of the working directory", {}, {}, "/here"],
    ["what $ZFERRY_CONFIG names", {}, { ZFERRY_CONFIG: "named.yaml" }, "/named"],
    ["what --config names, whatever $ZFERRY_CONFIG says", { config: "other.yaml" }, { ZFERRY_CONFIG: "named.yaml" }, "/other"],
    ["zferry.yaml of the working directory when $ZFERRY_CONFIG is empty", {}, { ZFERRY_CONFIG: "" }, "/here"],
  ] as const)("is %s", async ([, flags, environment, stateDir]) => {
    expect((await settleIn(ownFolder(), { flags, environment, files: here })).stateDir).toBe(stateDir);
  });

  it("may be missing when nobody named one", async () => {
    for (const environment of [{}, { ZFERRY_CONFIG: "" }]) {
      expect((await settleIn(ownFolder(), { environment })).config).toBe(emptyConfig);
    }
  });

  it.for([
    ["--config", { flags: { config: "none.yaml" } }],
    ["$ZFERRY_CONFIG", { environment: { ZFERRY_CONFIG: "none.yaml" } }],
  ] as const)("that %s names must be there, even when there is another", async ([, situation]) => {
    const folder = ownFolder();
    expect(await failureOf(settleIn(folder, { ...situation, files: here }))).toMatchObject({
      code: "config-invalid",
      message: `cannot read the configuration "${join(folder, "none.yaml")}": ENOENT`,
      hint: "`zferry init` writes a new one; --config names another",
    });
  });

  it("that is there and cannot be read is never taken for none", async () => {
    const folder = ownFolder();
    mkdirSync(join(folder, "zferry.yaml"));
    expect(await failureOf(settleIn(folder, {}))).toMatchObject({ code: "config-invalid", message: expect.stringContaining("EISDIR") as string });
  });

  it("that is wrong is refused by file, line and column", async () => {
    const folder = ownFolder();
    expect(await failureOf(settleIn(folder, { files: { "zferry.yaml": "jobs: 5\n" } }))).toMatchObject({
      code: "config-invalid",
      message: `${join(folder, "zferry.yaml")}:1:7: jobs: expected record, received number`,
    });
  });
});

describe("the state folder", () => {
  it.for([
    ["the flag's", { flags: { stateDir: "/flag" }, files: { "zferry.yaml": stateDirOf("/file") } }, "/flag"],
    ["the file's", { files: { "zferry.yaml": stateDirOf("/file") } }, "/file"],
    ["/var/lib/zferry for root", { isRoot: true, environment: { HOME: "/root" } }, "/var/lib/zferry"],
    ["in XDG_STATE_HOME", { environment: { HOME: "/home/u", XDG_STATE_HOME: "/state" } }, "/state/zferry"],
    ["in the home folder", { environment: { HOME: "/home/u" } }, "/home/u/.local/state/zferry"],
    ["in the home folder when XDG_STATE_HOME is empty", { environment: { HOME: "/home/u", XDG_STATE_HOME: "" } }, "/home/u/.local/state/zferry"],
    ["under / without a home", {}, "/.local/state/zferry"],
  ] as const)("is %s", async ([, situation, expected]) => {
    expect((await settleIn(ownFolder(), situation)).stateDir).toBe(expected);
  });

  it("is taken from the working directory when it is relative", async () => {
    const folder = ownFolder();
    expect((await settleIn(folder, { flags: { stateDir: "state" } })).stateDir).toBe(join(folder, "state"));
  });
});

describe("what another user of this host may have written", () => {
  const hint = (folder: string): string => `see that it is yours: chmod go-w, or chown; --config '${join(folder, "zferry.yaml")}' uses it on purpose`;
  /** Someone who is neither the owner of a test's files nor root, so that the tests mean the same whoever runs them. */
  const somebody = (process.geteuid?.() ?? 0) + 4711;

  it.for([
    ["a file that others can write", 0o646, 0o700, /zferry\.yaml": others can write it \(mode 0646\)/],
    ["a folder that others can write", 0o600, 0o777, /": others can write it \(mode 0777\)/],
    ["a file in a sticky folder that others can write", 0o606, 0o1777, /zferry\.yaml": others can write it/],
  ] as const)("is not taken for a configuration that nobody named: %s", async ([, mode, folderMode, words]) => {
    const folder = ownFolder();
    writeFileSync(join(folder, "zferry.yaml"), stateDirOf("/here"));
    chmodSync(join(folder, "zferry.yaml"), mode);
    chmodSync(folder, folderMode);
    expect(await failureOf(settleIn(folder, {}))).toMatchObject({
      code: "config-invalid",
      message: expect.stringMatching(words) as string,
      hint: hint(folder),
    });
    expect((await settleIn(folder, { flags: { config: "zferry.yaml" } })).stateDir).toBe("/here");
  });

  it.for([
    ["that nobody but its owner can write", 0o644, 0o755],
    ["in a sticky folder", 0o600, 0o1777],
  ] as const)("is no file %s", async ([, mode, folderMode]) => {
    const folder = ownFolder();
    writeFileSync(join(folder, "zferry.yaml"), stateDirOf("/here"));
    chmodSync(join(folder, "zferry.yaml"), mode);
    chmodSync(folder, folderMode);
    expect((await settleIn(folder, {})).stateDir).toBe("/here");
  });

  it("is no folder without a configuration, whoever can write it", async () => {
    const folder = ownFolder();
    chmodSync(folder, 0o777);
    expect((await settleIn(folder, {})).config).toBe(emptyConfig);
  });

  it.runIf(process.geteuid?.() === 0).for([
    ["another's file", (file: string): void => { chownSync(file, somebody, somebody); }, /yaml": it belongs to another user/],
    ["another's folder", (file: string): void => { chownSync(dirname(file), somebody, somebody); }, /": it belongs to another user/],
    [
      "another's link to a file of ours",
      (file: string): void => {
        renameSync(file, `${file}.old`);
        symlinkSync("zferry.yaml.old", file);
        lchownSync(file, somebody, somebody);
      },
      /yaml": it belongs to another user/,
    ],
    [
      "a file that a group of several can write",
      (file: string): void => {
        chownSync(file, 0, somebody);
        chmodSync(file, 0o664);
      },
      /yaml": its group can write it \(mode 0664\)/,
    ],
  ] as const)("is not taken for a configuration that nobody named, be it %s", async ([, plant, words]) => {
    const folder = ownFolder();
    writeFileSync(join(folder, "zferry.yaml"), stateDirOf("/here"));
    plant(join(folder, "zferry.yaml"));
    const message = expect.stringMatching(words) as string;
    expect(await failureOf(settleIn(folder, {}))).toMatchObject({ code: "config-invalid", message });
  });

  it.for([
    [".", "the folder"],
    ["state.json", "the state file"],
    ["journal", "the folder of journals"],
    ["journal/backup-0-tank.journal", "a journal"],
    ["locks", "the folder of locks"],
    ["quiesce", "the folder of what hooks owe"],
    ["quiesce/20261121T020000Z-00000000.json", "a record of commands to be run"],
  ] as const)("is not gone by in a state folder: at %s, %s", async ([name]) => {
    const stateDir = join(ownFolder(), "state");
    mkdirSync(join(stateDir, "journal"), { recursive: true, mode: 0o755 });
    for (const folder of ["locks", "quiesce"]) mkdirSync(join(stateDir, folder));
    const files = ["state.json", "journal/backup-0-tank.journal", "quiesce/20261121T020000Z-00000000.json"];
    for (const some of files) writeFileSync(join(stateDir, some), "");
    expect((await settleIn(ownFolder(), { flags: { stateDir } })).stateDir).toBe(stateDir);
    const planted = join(stateDir, name);
    chmodSync(planted, 0o777);
    expect(await failureOf(settleIn(ownFolder(), { flags: { stateDir } }))).toMatchObject({
      code: "config-invalid",
      message: `the state folder is not used because of "${planted}": others can write it (mode 0777)`,
      hint: "look what put it there, then run chmod o-w or chown; or name another folder with --state-dir",
    });
  });

  it.runIf(process.geteuid?.() === 0)("is nothing that the user has who runs it, nor what root has; but all that a third one has", async () => {
    const stateDir = join(ownFolder(), "state");
    mkdirSync(join(stateDir, "journal"), { recursive: true });
    chownSync(stateDir, somebody, somebody);
    expect((await settleIn(ownFolder(), { flags: { stateDir }, userId: somebody })).stateDir).toBe(stateDir);
    for (const userId of [0, somebody + 1]) {
      expect(await failureOf(settleIn(ownFolder(), { flags: { stateDir }, userId }))).toMatchObject({
        message: `the state folder is not used because of "${stateDir}": it belongs to another user (${somebody})`,
      });
    }
  });
});

const encryption = `encryption:
  packet: cfb
  passphrase_file: /file/passphrase
  passphrase_env: FILE_ENV
  passphrase_command: file-command
  passphrase_credential: file-credential
  recipients: [/file/recipient.asc]
  private_keys: [/file/private.asc]
`;
const fromFile = {
  packet: "cfb",
  passphraseFile: "/file/passphrase",
  passphraseEnv: "FILE_ENV",
  passphraseCommand: "file-command",
  passphraseCredential: "file-credential",
  recipients: ["/file/recipient.asc"],
  privateKeys: ["/file/private.asc"],
};

describe("encryption", () => {
  it.for([
    ["no flag", {}, fromFile],
    ["--packet", { packet: "ocb" }, { ...fromFile, packet: "ocb" }],
    [
      "--passphrase-file, which leaves no other passphrase",
      { passphraseFile: "/flag" },
      { ...fromFile, passphraseFile: "/flag", passphraseEnv: null, passphraseCommand: null, passphraseCredential: null },
    ],
    [
      "--passphrase-env, which leaves no other passphrase",
      { passphraseEnv: "FLAG" },
      { ...fromFile, passphraseFile: null, passphraseEnv: "FLAG", passphraseCommand: null, passphraseCredential: null },
    ],
    [
      "--passphrase-command, which leaves no other passphrase",
      { passphraseCommand: "flag" },
      { ...fromFile, passphraseFile: null, passphraseEnv: null, passphraseCommand: "flag", passphraseCredential: null },
    ],
    [
      "two passphrase flags, which are two passphrases",
      { passphraseFile: "/flag", passphraseEnv: "FLAG" },
      { ...fromFile, passphraseFile: "/flag", passphraseEnv: "FLAG", passphraseCommand: null, passphraseCredential: null },
    ],
    ["--recipient", { recipient: ["/a", "/b"] }, { ...fromFile, recipients: ["/a", "/b"] }],
    ["--private-key", { privateKey: ["/a"] }, { ...fromFile, privateKeys: ["/a"] }],
  ] as const)("with %s", async ([, flags, expected]) => {
    const given = flags as Partial<SharedFlags>;
    expect((await settleIn(ownFolder(), { flags: given, files: { "zferry.yaml": encryption } })).encryption).toEqual(expected);
  });
});

const stores = `stores:
  r2: { url: "s3://bucket/r2", part_size: 64MiB, concurrency: 8, retry_for: 2h, lease_ttl: 90s, credentials: { env: R2 } }
  usb: { url: /mnt/usb }
`;
const r2 = { url: "s3://bucket/r2", partBytes: 64 * 2 ** 20, concurrency: 8, retryMs: 7_200_000, leaseMs: 90_000, credentials: { kind: "env", variable: "R2" } };
const usual = { partBytes: 16 * 2 ** 20, concurrency: 4, retryMs: 3_600_000, leaseMs: null, credentials: null };

describe("the store", () => {
  const flags = (some: Partial<SharedFlags> = {}): SharedFlags => ({ logLevel: "info", ...some });

  it.for([
    ["the flag's name before all others", { store: "usb" }, "r2", "r2", { ...usual, url: "/mnt/usb" }],
    ["the flag's URL, with the usual values", { store: "file:///x" }, "r2", "r2", { ...usual, url: "file:///x" }],
    ["the job's before the default", {}, "r2", "usb", r2],
    ["the job's URL", {}, "/mnt/job", "usb", { ...usual, url: "/mnt/job" }],
    ["the default", {}, null, "r2", r2],
    ["any of these with the flags' values", { partSize: 5, concurrency: 6, retryFor: 7 }, "r2", null, { ...r2, partBytes: 5, concurrency: 6, retryMs: 7 }],
    ["any of these, and never retried", { retryFor: 0 }, "r2", null, { ...r2, retryMs: 0 }],
  ] as const)("is %s", ([, given, named, common, expected]) => {
    const config = parseConfig(`${stores}${common === null ? "" : `defaults: { store: ${common} }\n`}`, "zferry.yaml");
    expect(storeSettings(flags(given), config, named)).toEqual(expected);
  });

  it("is the only one there is when nobody names one", () => {
    expect(storeSettings(flags(), parseConfig("stores: { a: { url: /a } }\n", "zferry.yaml"), null).url).toBe("/a");
  });

  it.for(["", stores])("is asked for when nobody names one of %j", (text) => {
    expect(() => storeSettings(flags(), parseConfig(text, "zferry.yaml"), null)).toThrow(
      expect.objectContaining({ code: "usage", message: "no store is named", hint: expect.stringContaining("--store URL") as string }),
    );
  });
});

describe("the number of threads", () => {
  const inFile = (value: string): Record<string, string> => ({ "zferry.yaml": `defaults: { threads: ${value} }\n` });

  it.for([
    ["two where there are several cores", 8, {}, {}, 2],
    ["two where there are two", 2, {}, {}, 2],
    ["none where there is one", 1, {}, {}, 0],
    ["the file's", 8, {}, inFile("1"), 1],
    ["the file's none", 8, {}, inFile("0"), 0],
    ["by the cores when the file says so", 1, {}, inFile("auto"), 0],
    ["the flag's before the file's", 1, { threads: 2 }, inFile("1"), 2],
    ["the flag's none", 8, { threads: 0 }, inFile("1"), 0],
  ] as const)("is %s", async ([, coreCount, flags, files, expected]) => {
    expect((await settleIn(ownFolder(), { coreCount, flags, files })).threads).toBe(expected);
  });
});

describe("the zfs to run", () => {
  const job = { zfs: ["job-zfs", "x"] as [string, ...string[]] };

  it.for([
    [undefined, ["job-zfs", "x"]],
    ["", ["job-zfs", "x"]],
    ["  ", ["job-zfs", "x"]],
    ["/sbin/zfs", ["/sbin/zfs"]],
    ["ssh  backup@host zfs", ["ssh", "backup@host", "zfs"]],
  ] as const)("is %j split at spaces, or the job's", ([zfs, expected]) => {
    expect(zfsCommand({ logLevel: "info", ...(zfs === undefined ? {} : { zfs }) }, job)).toEqual(expected);
  });
});

describe("the stores that are read from", () => {
  const config = parseConfig(
    [
      "stores: {a: {url: /a, retry_for: 2h}, b: {url: /b}, c: {url: /c, retry_for: 10s}}",
      "defaults: {store: a, copies: [{store: c}]}",
      "jobs:",
      "  home: {dataset: tank/home, store: b, copies: [{store: a}]}",
      "  again: {dataset: tank/home, store: c, copies: [{store: b}]}",
    ].join("\n"),
    "zferry.yaml",
  );

  it.for([
    ["tank/home", [], ["/b 30000", "/a 30000", "/c 10000"]],
    ["tank/other", [], ["/a 30000", "/c 10000"]],
    ["tank/home", ["a"], ["/a 7200000"]],
    ["tank/home", ["b", "a", "b", "/a"], ["/b 30000", "/a 7200000"]],
  ] as const)("of %s with %j named are, with their patience in ms, %j", ([dataset, named, expected]) => {
    const settings = sourceSettings({ logLevel: "info" }, config, named, parseDatasetName(dataset));
    expect(settings.map(({ url, retryMs }) => `${url} ${retryMs}`)).toEqual(expected.map((each) => each));
    const patient = sourceSettings({ logLevel: "info", retryFor: 5000 }, config, named, parseDatasetName(dataset));
    expect(patient.map(({ retryMs }) => retryMs)).toEqual(expected.map(() => 5000));
  });
});
