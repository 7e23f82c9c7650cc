/**
 * Ours is read by the programs that people restore with, and what they write is read by us.
 */
import type { PrivateKey } from "openpgp";
import { decrypt as decryptByLibrary, decryptKey, readMessage, readPrivateKey } from "openpgp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decrypt } from "../../src/openpgp/decrypt.ts";
import { encrypt } from "../../src/openpgp/encrypt.ts";
import type { Keyring, PacketKind } from "../../src/openpgp/session.ts";
import { wrapSessionKey } from "../../src/openpgp/session.ts";
import { Programs } from "./programs.ts";
import { bytesOf, collect, fixedSecrets, fixtureKey, packets, sliced } from "./sample.ts";

const passphrase = "interop passphrase";
const secondPassphrase = "second passphrase";
const keyring: Keyring = { passphrases: [passphrase], privateKeys: [] };
const alice = fixtureKey("alice");
const bob = fixtureKey("bob");
const carol = fixtureKey("carol");
/** Two AEAD chunks, two partial bodies. */
const content = bytesOf(300_001, "content");
const programs = new Programs();
const messages = new Map<PacketKind, Buffer>();

async function messageFor(packet: PacketKind, certificates: readonly string[]): Promise<Buffer> {
  const recipients = { passphrases: [passphrase, secondPassphrase], certificates };
  const sessionKeyPackets = await wrapSessionKey(fixedSecrets.sessionKey, recipients, packet);
  return collect(encrypt(sliced(content, 65_537), { packet, secrets: fixedSecrets, sessionKeyPackets }));
}

function ours(packet: PacketKind): Buffer {
  const message = messages.get(packet);
  if (message === undefined) throw new Error(`no message with a ${packet} packet`);
  return message;
}

async function readByLibrary(
  bytes: Buffer,
  secrets: { readonly passwords: string[] } | { readonly decryptionKeys: PrivateKey[] },
): Promise<Buffer> {
  const message = await readMessage({ binaryMessage: Uint8Array.from(bytes) });
  const result: { readonly data: unknown } = await decryptByLibrary({ message, ...secrets, format: "binary" });
  if (!(result.data instanceof Uint8Array)) throw new Error("openpgp.js gave no bytes");
  return Buffer.from(result.data);
}

async function readByUs(message: Buffer, keys = keyring): Promise<Buffer> {
  return collect(decrypt(sliced(message), { keyring: keys }));
}

beforeAll(async () => {
  messages.set("ocb", await messageFor("ocb", [alice.certificate, bob.certificate]));
  messages.set("cfb", await messageFor("cfb", [alice.certificate, bob.certificate]));
  messages.set("rfc9580", await messageFor("rfc9580", [alice.certificate, bob.certificate, carol.certificate]));
});

afterAll(() => {
  programs.close();
});

describe.each(["ocb", "cfb"] as const)("a message with a %s packet for two passphrases and two certificates", (packet) => {
  // gpg 2.2 and 1.4 try the first passphrase packet only (2.4 all of them): see wrapSessionKey.
  it("is decrypted by gpg with the first passphrase", (context) => {
    programs.require("gpg", context);
    expect(programs.run("gpg", [...programs.gpgOptions(passphrase), "-d"], ours(packet)).equals(content)).toBe(true);
  });

  it.for([
    ["alice", alice, "alice's passphrase"],
    ["bob", bob, ""],
  ] as const)("is decrypted by gpg with the private key of %s", ([name, key, unlocking], context) => {
    programs.require("gpg", context);
    const own = new Programs();
    try {
      const options = own.gpgOptions(unlocking);
      own.run("gpg", [...options, "--import"], Buffer.from(key.keyring.privateKeys[0]?.armored ?? name));
      expect(own.run("gpg", [...options, "-d"], ours(packet)).equals(content)).toBe(true);
    } finally {
      own.close();
    }
  });

  it.for([passphrase, secondPassphrase])("is decrypted by rnp with either passphrase, here the %s", (password, context) => {
    programs.require("rnp", context);
    const path = programs.file("message.pgp", ours(packet));
    const args = ["--homedir", programs.home, "-d", "--password", password, "--output", "-", path];
    expect(programs.run("rnp", args, Buffer.alloc(0)).equals(content)).toBe(true);
  });
});

it("a message with a cfb packet is decrypted by gpg 1.4", (context) => {
  programs.require("gpg1", context);
  const args = ["--batch", "--no-tty", "--passphrase-file", programs.file("passphrase", passphrase), "-d"];
  expect(programs.run("gpg1", args, ours("cfb")).equals(content)).toBe(true);
});

describe.each(packets)("a message with a %s packet", (packet) => {
  it.for([passphrase, secondPassphrase])("is decrypted by openpgp.js and by us with either passphrase, here the %s", async (password) => {
    expect((await readByUs(ours(packet), { passphrases: [password], privateKeys: [] })).equals(content)).toBe(true);
    expect((await readByLibrary(ours(packet), { passwords: [password] })).equals(content)).toBe(true);
  });

  it("is decrypted by openpgp.js and by us with each private key", async () => {
    const recipients = packet === "rfc9580" ? [alice, bob, carol] : [alice, bob];
    for (const { keyring: keys } of recipients) {
      expect((await readByUs(ours(packet), keys)).equals(content)).toBe(true);
      const [entry] = keys.privateKeys;
      const locked = await readPrivateKey({ armoredKey: entry?.armored ?? "" });
      const key = locked.isDecrypted() ? locked : await decryptKey({ privateKey: locked, passphrase: entry?.passphrase ?? "" });
      expect((await readByLibrary(ours(packet), { decryptionKeys: [key] })).equals(content)).toBe(true);
    }
  });
});

describe("we read what gpg writes", () => {
  /** The small count only saves gpg's agent the time to measure one. */
  const uncompressed = ["--compress-algo", "none", "--s2k-count", "65536"];

  it.for([
    ["from a pipe, as it is by default", []],
    ["with AES-128 and SHA-1", ["--cipher-algo", "AES", "--s2k-digest-algo", "SHA1"]],
    ["with AES-192 and SHA-256", ["--cipher-algo", "AES192", "--s2k-digest-algo", "SHA256"]],
    ["with AES-256 and SHA-512", ["--cipher-algo", "AES256", "--s2k-digest-algo", "SHA512"]],
    ["with a simple S2K", ["--s2k-mode", "0"]],
    ["with a salted S2K", ["--s2k-mode", "1", "--s2k-digest-algo", "SHA256"]],
    ["with a file name and text mode", ["--set-filename", "stream.zfs", "--textmode"]],
  ] as const)("%s", async ([, extra], context) => {
    programs.require("gpg", context);
    const bytes = Buffer.from("one\r\ntwo\r\n".repeat(3000));
    const args = [...programs.gpgOptions(passphrase), ...uncompressed, ...extra, "-c"];
    const message = programs.run("gpg", args, bytes);
    expect((await readByUs(message)).equals(bytes)).toBe(true);
    const wrong = readByUs(message, { passphrases: ["wrong"], privateKeys: [] });
    await expect(wrong).rejects.toThrow(expect.objectContaining({ code: "key-wrong" }));
  });

  it.for([0, 1, 300_001])("from a file of %i bytes, with definite lengths, name and date", async (sizeBytes, context) => {
    programs.require("gpg", context);
    const path = programs.file("content.bin", content.subarray(0, sizeBytes));
    const args = [...programs.gpgOptions(passphrase), ...uncompressed, "-c", "-o", "-", path];
    expect((await readByUs(programs.run("gpg", args, Buffer.alloc(0)))).equals(content.subarray(0, sizeBytes))).toBe(true);
  });

  it("for certificates and a passphrase at once", async (context) => {
    programs.require("gpg", context);
    const options = programs.gpgOptions(passphrase);
    programs.run("gpg", [...options, "--import"], Buffer.from(alice.certificate + bob.certificate));
    const to = ["-r", "alice@example.org", "-R", "bob@example.org", "--trust-model", "always"];
    const message = programs.run("gpg", [...options, ...uncompressed, ...to, "-e", "-c"], content);
    for (const keys of [keyring, alice.keyring, bob.keyring]) expect((await readByUs(message, keys)).equals(content)).toBe(true);
  });

  it.for([["zip", true], ["zlib", true], ["bzip2", false]] as const)("compressed with %s, from a pipe", async ([algorithm, isRead], context) => {
    programs.require("gpg", context);
    const bytes = Buffer.from("one\r\ntwo\r\n".repeat(100_000));
    const message = programs.run("gpg", [...programs.gpgOptions(passphrase), "--s2k-count", "65536", "--compress-algo", algorithm, "-c"], bytes);
    if (isRead) expect((await readByUs(message)).equals(bytes)).toBe(true);
    else await expect(readByUs(message)).rejects.toThrow(/compressed with bzip2, which is not supported/);
  });
});

describe("we read what gpg 1.4 writes", () => {
  it.for([
    ["as it is by default", []],
    ["with AES-256", ["--cipher-algo", "AES256", "--force-mdc"]],
    ["compressed, as it does unless told otherwise", ["--cipher-algo", "AES256", "--compress-algo", "zip"]],
  ] as const)("%s, from a pipe and from a file", async ([, extra], context) => {
    programs.require("gpg1", context);
    const secret = programs.file("passphrase", passphrase);
    const args = ["--batch", "--no-tty", "--passphrase-file", secret, "--compress-algo", "none", ...extra, "-c", "-o", "-"];
    expect((await readByUs(programs.run("gpg1", args, content))).equals(content)).toBe(true);
    const path = programs.file("content.bin", content);
    expect((await readByUs(programs.run("gpg1", [...args, path], Buffer.alloc(0)))).equals(content)).toBe(true);
  });
});

describe("we read what rnp writes", () => {
  it.for([
    ["CFB", []],
    ["OCB in chunks of 64 KiB", ["--aead=OCB", "--aead-chunk-bits", "10"]],
    ["OCB in chunks of 64 bytes", ["--aead=OCB", "--aead-chunk-bits", "0"]],
  ] as const)("with %s", async ([, extra], context) => {
    programs.require("rnp", context);
    const path = programs.file("content.bin", content);
    const args = ["--homedir", programs.home, "-c", "--password", passphrase, "-z", "0", ...extra, "--output", "-", path];
    expect((await readByUs(programs.run("rnp", args, Buffer.alloc(0)))).equals(content)).toBe(true);
  });
});
