import { beforeAll, describe, expect, it } from "vitest";
import { packet } from "../../src/openpgp/packets.ts";
import type { Keyring, PacketKind } from "../../src/openpgp/session.ts";
import { keyCheck, manifestKey, newMessageSecrets, openSessionKey, wrapSessionKey } from "../../src/openpgp/session.ts";
import { bytesOf, fixedSecrets, fixtureKey, packets } from "./sample.ts";

const { sessionKey } = fixedSecrets;
const check = keyCheck(sessionKey);
const alice = fixtureKey("alice");
const bob = fixtureKey("bob");
const carol = fixtureKey("carol");

function passphrases(...list: readonly string[]): Keyring {
  return { passphrases: list, privateKeys: [] };
}

describe("what is derived from a session key", () => {
  it("is fixed for ever: manifests in the world depend on it", () => {
    expect(keyCheck(Buffer.alloc(32))).toBe("9cb19d18283a5739");
    expect(manifestKey(Buffer.alloc(32)).toString("hex")).toBe("1fd031b09741ff011e4f889229ed0d982fe67a31e5512499123e3b33246c410e");
  });

  it("is new for every message", () => {
    const first = newMessageSecrets();
    const second = newMessageSecrets();
    expect([first.sessionKey.length, first.nonce.length]).toEqual([32, 32]);
    expect(first.sessionKey.equals(second.sessionKey)).toBe(false);
    expect(first.nonce.equals(second.nonce)).toBe(false);
    expect(first.nonce.equals(first.sessionKey)).toBe(false);
  });
});

describe.each(packets)("session-key packets for %s", (kind: PacketKind) => {
  let wrapped: Buffer;
  const recipients = {
    passphrases: ["first passphrase", "zweite Passphrase äöü"],
    certificates: [alice.certificate, bob.certificate + carol.certificate],
  };

  beforeAll(async () => {
    wrapped = await wrapSessionKey(sessionKey, recipients, kind);
  });

  it("are opened by each passphrase and each private key alone", async () => {
    const keyrings = [passphrases("first passphrase"), passphrases("zweite Passphrase äöü"), alice.keyring, bob.keyring, carol.keyring];
    for (const keyring of keyrings) expect(await openSessionKey(wrapped, keyring, check)).toEqual(sessionKey);
  });

  it("are opened by the one right secret among wrong ones", async () => {
    const lockedWrongly = { ...alice.keyring.privateKeys[0], passphrase: "wrong" };
    const keyring = { passphrases: ["wrong"], privateKeys: [lockedWrongly, ...bob.keyring.privateKeys] } as Keyring;
    expect(await openSessionKey(wrapped, keyring, check)).toEqual(sessionKey);
  });

  it("are not opened by a wrong passphrase: key-wrong", async () => {
    await expect(openSessionKey(wrapped, passphrases("wrong"), check)).rejects.toThrow(expect.objectContaining({ code: "key-wrong" }));
  });

  it("are not taken for those of another key check: key-wrong", async () => {
    const other = keyCheck(bytesOf(32, "another"));
    await expect(openSessionKey(wrapped, passphrases("first passphrase"), other)).rejects.toThrow(
      expect.objectContaining({ code: "key-wrong" }),
    );
  });
});

describe("opening a session key", () => {
  let forPassphrase: Buffer;
  let forAlice: Buffer;

  beforeAll(async () => {
    forPassphrase = await wrapSessionKey(sessionKey, { passphrases: ["right"], certificates: [] }, "ocb");
    forAlice = await wrapSessionKey(sessionKey, { passphrases: [], certificates: [alice.certificate] }, "ocb");
  });

  it("takes the first session key when there is no key check", async () => {
    expect(await openSessionKey(forPassphrase, passphrases("right"), null)).toEqual(sessionKey);
  });

  it.for([
    ["an empty keyring", passphrases(), /needs a passphrase, and none was given/],
    ["private keys only", alice.keyring, /needs a passphrase/],
  ] as const)("says key-missing for a passphrase message and %s", async ([, keyring, message]) => {
    await expect(openSessionKey(forPassphrase, keyring, check)).rejects.toThrow(expect.objectContaining({ code: "key-missing" }));
    await expect(openSessionKey(forPassphrase, keyring, check)).rejects.toThrow(message);
  });

  it.for([
    ["a passphrase only", passphrases("right")],
    ["somebody else's private key", bob.keyring],
  ] as const)("says key-missing, and which key, for alice's message and %s", async ([, keyring]) => {
    await expect(openSessionKey(forAlice, keyring, check)).rejects.toThrow(expect.objectContaining({ code: "key-missing" }));
    await expect(openSessionKey(forAlice, keyring, check)).rejects.toThrow(/needs the private key "[0-9a-f]{16}"/);
  });

  it("tells a private key that stays locked from one with a wrong passphrase", async () => {
    const armored = alice.keyring.privateKeys[0]?.armored ?? "";
    const locked = { passphrases: [], privateKeys: [{ armored, passphrase: null }] };
    await expect(openSessionKey(forAlice, locked, check)).rejects.toThrow(expect.objectContaining({ code: "key-missing" }));
    const wrong = { passphrases: [], privateKeys: [{ armored, passphrase: "wrong" }] };
    await expect(openSessionKey(forAlice, wrong, check)).rejects.toThrow(expect.objectContaining({ code: "key-wrong" }));
  });

  it("says secret-unusable for a private key that cannot be read, without quoting it", async () => {
    const keyring = { passphrases: [], privateKeys: [{ armored: "this is no key but secret", passphrase: null }] };
    const error: unknown = await openSessionKey(forAlice, keyring, check).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "secret-unusable" });
    expect(String(error)).not.toContain("secret but");
    expect(String(error)).not.toContain("this is no key");
  });

  it("ignores packets of unknown versions beside a known one", async () => {
    const mixed = Buffer.concat([packet(3, Buffer.from("99010203", "hex")), packet(1, Buffer.from("070102", "hex")), forPassphrase]);
    expect(await openSessionKey(mixed, passphrases("right"), check)).toEqual(sessionKey);
  });

  it.for([
    ["nothing at all", ""],
    ["an unknown version alone", "c3049909030800"],
    ["an unknown S2K alone", "c30404096e08"],
    ["a packet cut short", "c32e040903"],
    ["an empty packet", "c300"],
    ["a public-key packet cut short", "c10503010203ff"],
    ["another packet", "cb0662000000000000"],
    ["no packet", "00"],
  ] as const)("says message-invalid for %s", async ([, hex]) => {
    await expect(openSessionKey(Buffer.from(hex, "hex"), passphrases("right"), check)).rejects.toThrow(
      expect.objectContaining({ code: "message-invalid" }),
    );
  });
});

describe("a passphrase packet that wants more than 2 GiB of memory", () => {
  it("is refused as message-invalid, not tried", async () => {
    const greedy = await wrapSessionKey(sessionKey, { passphrases: ["right"], certificates: [] }, "rfc9580");
    expect(greedy[26]).toBe(16);
    greedy[26] = 22;
    await expect(openSessionKey(greedy, passphrases("right"), check)).rejects.toThrow(
      expect.objectContaining({ code: "message-invalid" }),
    );
  });
});

describe("wrapping a session key", () => {
  it("makes version 4 packets for ocb and cfb with the longest S2K, version 6 with Argon2 for rfc9580", async () => {
    const recipients = { passphrases: ["p"], certificates: [] };
    const [ocb, cfb, rfc9580] = await Promise.all(packets.map((kind) => wrapSessionKey(sessionKey, recipients, kind)));
    for (const older of [ocb, cfb]) {
      expect(older?.subarray(0, 6).toString("hex")).toBe("c32e04090308");
      expect([older?.length, older?.[14]]).toEqual([48, 255]);
    }
    expect(rfc9580?.[2]).toBe(6);
    expect(rfc9580?.subarray(4, 8).toString("hex")).toBe("09021404");
  });

  it("refuses to wrap for nobody", async () => {
    await expect(wrapSessionKey(sessionKey, { passphrases: [], certificates: [] }, "ocb")).rejects.toThrow(
      expect.objectContaining({ code: "key-missing" }),
    );
  });

  it.for([
    ["an empty passphrase", { passphrases: [""], certificates: [] }],
    ["something that is no certificate", { passphrases: [], certificates: ["no certificate"] }],
    ["a second certificate cut short", { passphrases: [], certificates: [bob.certificate + alice.certificate.slice(0, 200)] }],
  ] as const)("refuses %s as secret-unusable", async ([, recipients]) => {
    await expect(wrapSessionKey(sessionKey, recipients, "ocb")).rejects.toThrow(expect.objectContaining({ code: "secret-unusable" }));
  });
});
