import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { emptyConfig, type EncryptionSettings } from "../src/config/config.ts";
import { ZferryError } from "../src/errors.ts";
import { readKeyring, readKeys, readRecipients } from "../src/secrets.ts";
import { ownFolder } from "./folder.ts";

const secret = "correct horse battery staple";
const environment = { PATH: "/usr/bin:/bin", ZFERRY_SECRET: secret, EMPTY: "" };

function settings(some: Partial<EncryptionSettings>): EncryptionSettings {
  return { ...emptyConfig.encryption, ...some };
}

function fileOf(content: string | Uint8Array, mode = 0o600): string {
  const file = join(ownFolder(), "passphrase");
  writeFileSync(file, content);
  chmodSync(file, mode);
  return file;
}

async function passphrases(some: Partial<EncryptionSettings>): Promise<readonly string[]> {
  return (await readRecipients(settings(some), environment)).passphrases;
}

/** The refusal; no part of it, its cause or its stack may hold the secret. */
async function refused(some: Partial<EncryptionSettings>): Promise<ZferryError> {
  const errors: unknown[] = [];
  for (const read of [readRecipients, readKeyring]) {
    await read(settings(some), environment).catch((error: unknown) => errors.push(error));
  }
  expect(errors).toHaveLength(2);
  for (const error of errors) {
    if (!(error instanceof ZferryError)) throw new Error("not one of ours", { cause: error });
    expect(error.code).toBe("secret-unusable");
    const everything = [error.message, error.hint, error.stack, String(error.cause), JSON.stringify(error)].join("\n");
    expect(everything).not.toContain(secret);
    expect(everything).not.toContain("correct");
  }
  return errors[0] as ZferryError;
}

describe("a passphrase file", () => {
  it.for([
    ["its only line", secret],
    ["its only line, ended", `${secret}\n`],
    ["a line ended as on Windows", `${secret}\r\n`],
    ["the first of several lines", `${secret}\nand something else\n`],
  ] as const)("gives %s", async ([, content]) => {
    expect(await passphrases({ passphraseFile: fileOf(content) })).toEqual([secret]);
  });

  it("gives spaces, quotes and other alphabets as they are", async () => {
    const odd = '  "pässwörd" \\n $HOME 密码 \t';
    expect(await passphrases({ passphraseFile: fileOf(`${odd}\n`) })).toEqual([odd]);
  });

  it.for(["", "\n", "\r\n", `\n${secret}\n`])("whose first line is empty is refused: %j", async (content) => {
    const file = fileOf(content);
    expect(await refused({ passphraseFile: file })).toMatchObject({
      message: `the first line of file "${file}" is empty`,
      hint: "put the passphrase there, on one line",
    });
  });

  it.for([
    [0o644, "0644"],
    [0o640, "0640"],
    [0o604, "0604"],
    [0o620, "0620"],
    [0o601, "0601"],
    [0o777, "0777"],
  ] as const)("of mode %i is refused, with the command that mends it", async ([mode, shown]) => {
    const file = fileOf(secret, mode);
    expect(await refused({ passphraseFile: file })).toMatchObject({
      message: `the passphrase file "${file}" can be read by others (mode ${shown})`,
      hint: `run chmod 600 '${file}'`,
    });
    chmodSync(file, 0o600);
    expect(await passphrases({ passphraseFile: file })).toEqual([secret]);
  });

  it.for([0o600, 0o400, 0o700])("of mode %i is taken", async (mode) => {
    expect(await passphrases({ passphraseFile: fileOf(secret, mode) })).toEqual([secret]);
  });

  it("that is missing is refused by its name", async () => {
    const file = join(ownFolder(), "none");
    expect((await refused({ passphraseFile: file })).message).toBe(`cannot read the passphrase file "${file}": ENOENT`);
  });

  it("that is a folder is refused by its name", async () => {
    const file = join(ownFolder(), "folder");
    mkdirSync(file, { mode: 0o700 });
    expect((await refused({ passphraseFile: file })).message).toBe(`cannot read the passphrase file "${file}": EISDIR`);
  });

  it("that is not UTF-8 is refused, because gpg would take its bytes and find another passphrase", async () => {
    const file = fileOf(Buffer.from(`${secret} p\xe4ss`, "latin1"));
    expect((await refused({ passphraseFile: file })).message).toBe(`the passphrase file "${file}" is not UTF-8 text`);
  });
});

describe("an environment variable", () => {
  it("gives its value", async () => {
    expect(await passphrases({ passphraseEnv: "ZFERRY_SECRET" })).toEqual([secret]);
  });

  it.for(["NOT_THERE", "EMPTY", "constructor"])("%s that says nothing is refused by its name", async (name) => {
    expect(await refused({ passphraseEnv: name })).toMatchObject({
      message: `the environment variable "${name}" for the passphrase is not set`,
      hint: "set it, or name another with --passphrase-env",
    });
  });
});

describe("a passphrase command", () => {
  it.for([`echo "$ZFERRY_SECRET"`, `printf '%s\\r\\nmore\\n' "$ZFERRY_SECRET"`, `echo noise >&2; echo "$ZFERRY_SECRET"`])(
    "gives the first line it prints: %s",
    async (command) => {
      expect(await passphrases({ passphraseCommand: command })).toEqual([secret]);
    },
  );

  it.for([
    [`echo "$ZFERRY_SECRET"; exit 3`, "the passphrase command failed (exit 3)"],
    [`echo "$ZFERRY_SECRET" >&2; exit 1`, "the passphrase command failed (exit 1)"],
    ["no-such-program", "the passphrase command failed (exit 127)"],
    [`echo "$ZFERRY_SECRET"; kill -9 $$`, "the passphrase command failed (SIGKILL)"],
    ["true", "the first line of the passphrase command's output is empty"],
    [`echo; echo "$ZFERRY_SECRET"`, "the first line of the passphrase command's output is empty"],
    [`printf '%s \\344' "$ZFERRY_SECRET"`, "the passphrase command's output is not UTF-8 text"],
  ] as const)("that does %j is refused", async ([command, message]) => {
    expect((await refused({ passphraseCommand: command })).message).toBe(message);
  });

  it("that holds a secret itself does not show it when it fails", async () => {
    expect((await refused({ passphraseCommand: `echo '${secret}' && false` })).message).toBe("the passphrase command failed (exit 1)");
  });
});

describe("a systemd credential", () => {
  /** A folder as systemd makes it, where an ACL gives access and the mode's group says "r". */
  function credentials(content: string | null): Readonly<Record<string, string>> {
    const folder = ownFolder();
    if (content !== null) writeFileSync(join(folder, "zferry"), content, { mode: 0o440 });
    return { CREDENTIALS_DIRECTORY: folder };
  }

  it("gives the first line of the file that systemd has put there, whose mode is systemd's affair", async () => {
    const { passphrases } = await readRecipients(settings({ passphraseCredential: "zferry" }), credentials(`${secret}\nmore\n`));
    expect(passphrases).toEqual([secret]);
  });

  it.for([
    ["whose service has none", () => ({}), /^there is no credential "zferry" for the passphrase: systemd has handed none over$/],
    ["that is not among those of the service", () => credentials(null), /^cannot read the passphrase file ".*\/zferry": ENOENT$/],
    ["that is empty", () => credentials(`\n${secret}`), /^the first line of the systemd credential "zferry" is empty$/],
  ] as const)("%s is refused", async ([, made, message]) => {
    const reading = readRecipients(settings({ passphraseCredential: "zferry" }), made());
    await expect(reading).rejects.toMatchObject({ code: "secret-unusable", message: expect.stringMatching(message) as string });
  });
});

describe("the keys of a store", () => {
  const lines = `AWS_ACCESS_KEY_ID=AK\nAWS_SECRET_ACCESS_KEY="${secret}"\n`;
  const keys = { accessKeyId: "AK", secretAccessKey: secret };
  const credential = { kind: "credential", name: "keys" } as const;

  it("come from a file, variables with a prefix, a command, or a systemd credential", async () => {
    const folder = ownFolder();
    writeFileSync(join(folder, "keys"), lines);
    const environment = { PATH: "/usr/bin:/bin", R2_ACCESS_KEY_ID: "AK", R2_SECRET_ACCESS_KEY: secret, CREDENTIALS_DIRECTORY: folder };
    expect(await readKeys({ kind: "file", path: fileOf(lines) }, environment)).toEqual(keys);
    expect(await readKeys({ kind: "env", variable: "R2" }, environment)).toEqual(keys);
    expect(await readKeys({ kind: "command", line: `cat ${folder}/keys` }, environment)).toEqual(keys);
    expect(await readKeys(credential, environment)).toEqual(keys);
  });

  it.for([
    ["of an environment file of systemd", `# r2\nAWS_ACCESS_KEY_ID=AK\nAWS_SECRET_ACCESS_KEY=${secret}\n`],
    ["of a shell's file", `export AWS_ACCESS_KEY_ID='AK'\nexport AWS_SECRET_ACCESS_KEY='${secret}'\n`],
    ["of a section of the AWS file", `[default]\naws_access_key_id = AK\r\naws_secret_access_key = ${secret}\nregion = auto\n`],
  ] as const)("may stand in the lines %s", async ([, text]) => {
    expect(await readKeys({ kind: "file", path: fileOf(text) }, {})).toEqual(keys);
  });

  it("may have a session token", async () => {
    expect(await readKeys({ kind: "file", path: fileOf(`${lines}AWS_SESSION_TOKEN=t\n`) }, {})).toEqual({ ...keys, sessionToken: "t" });
    const named = { R2_ACCESS_KEY_ID: "AK", R2_SECRET_ACCESS_KEY: secret, R2_SESSION_TOKEN: "t", AWS_SESSION_TOKEN: "no" };
    expect(await readKeys({ kind: "env", variable: "R2" }, named)).toEqual({ ...keys, sessionToken: "t" });
  });

  it.for([
    ["only half of them", "AWS_ACCESS_KEY_ID=AK\n"],
    ["an empty one", "AWS_ACCESS_KEY_ID=AK\nAWS_SECRET_ACCESS_KEY=\n"],
    ["two of them", `${lines}AWS_SECRET_ACCESS_KEY=${secret}2\n`],
    ["a bare secret", `${secret}\n`],
    ["nothing", ""],
  ] as const)("are refused where there is %s, without a word of it", async ([, text]) => {
    const path = fileOf(text);
    const error: unknown = await readKeys({ kind: "file", path }, {}).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: "secret-unusable",
      message: `there are no keys for the store in file "${path}"`,
      hint: "put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY there, once each",
    });
    expect(JSON.stringify(error)).not.toContain("correct");
  });

  it("are refused by the names of the variables, and where others can read the file", async () => {
    await expect(readKeys({ kind: "env", variable: "R2" }, { R2_ACCESS_KEY_ID: "AK" })).rejects.toMatchObject({
      hint: "put R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY there, once each",
    });
    await expect(readKeys({ kind: "file", path: fileOf(lines, 0o640) }, {})).rejects.toThrow("can be read by others (mode 0640)");
    await expect(readKeys({ kind: "command", line: `echo '${secret}'; exit 4` }, {})).rejects.toThrow(/^the keys command failed \(exit 4\)$/);
  });
});

describe("recipients", () => {
  const certificate = new URL("../fixtures/keys/alice.public.asc", import.meta.url).pathname;

  it("are everyone named, in the order file, variable, command", async () => {
    const all = { passphraseFile: fileOf("one"), passphraseEnv: "ZFERRY_SECRET", passphraseCommand: "echo three" };
    expect(await readRecipients(settings({ ...all, recipients: [certificate] }), environment)).toEqual({
      passphrases: ["one", secret, "three"],
      certificates: [readFileSync(certificate, "utf8")],
    });
  });

  it("are none when nothing is set", async () => {
    expect(await readRecipients(settings({}), environment)).toEqual({ passphrases: [], certificates: [] });
  });

  it("may be certificates anyone can read", async () => {
    expect((await readRecipients(settings({ recipients: [fileOf("public", 0o644)] }), environment)).certificates).toEqual(["public"]);
  });

  it("whose certificate is missing are refused by its name", async () => {
    const file = join(ownFolder(), "none.asc");
    await expect(readRecipients(settings({ recipients: [file] }), environment)).rejects.toMatchObject({
      code: "secret-unusable",
      message: `cannot read the certificate file "${file}": ENOENT`,
    });
  });
});

describe("the keyring", () => {
  it("holds every passphrase, and the private keys with the first of them", async () => {
    const key = fileOf("armored");
    const some = settings({ passphraseEnv: "ZFERRY_SECRET", passphraseCommand: "echo two", privateKeys: [key] });
    expect(await readKeyring(some, environment)).toEqual({
      passphrases: [secret, "two"],
      privateKeys: [{ armored: "armored", passphrase: secret }],
    });
  });

  it("holds a private key without a passphrase when there is none", async () => {
    const some = settings({ privateKeys: [fileOf("armored")] });
    expect((await readKeyring(some, environment)).privateKeys).toEqual([{ armored: "armored", passphrase: null }]);
  });

  it("refuses a private key that others can read", async () => {
    const file = fileOf("armored", 0o644);
    await expect(readKeyring(settings({ privateKeys: [file] }), environment)).rejects.toMatchObject({
      code: "secret-unusable",
      message: `the private key file "${file}" can be read by others (mode 0644)`,
      hint: `run chmod 600 '${file}'`,
    });
  });
});
