/** The one session-key packet that is not the openpgp library's work, held against the library. */
import { decryptSessionKeys, encryptSessionKey, enums, readMessage } from "openpgp";
import { describe, expect, it } from "vitest";
import { packet, tags } from "../../src/openpgp/packets.ts";
import { isPassphrasePacket, openForPassphrase, wrapForPassphrase } from "../../src/openpgp/passphrase.ts";
import { fixedSecrets } from "./sample.ts";

const { sessionKey } = fixedSecrets;
const headerBytes = 2;

async function libraryPacket(passphrase: string, countByte: number): Promise<Buffer> {
  const config = { aeadProtect: false, s2kType: enums.s2k.iterated, s2kIterationCountByte: countByte } as const;
  const made = await encryptSessionKey({ data: sessionKey, algorithm: "aes256", format: "binary", passwords: [passphrase], config });
  return Buffer.from(made).subarray(headerBytes);
}

describe("the packet for a passphrase", () => {
  it.for(["x", "correct horse battery staple", "zweite Passphrase äöü 鍵", "long ".repeat(50_000)])("is opened by the library", async (passphrase) => {
    const message = await readMessage({ binaryMessage: packet(tags.passphraseSessionKey, wrapForPassphrase(sessionKey, passphrase)) });
    const [found] = await decryptSessionKeys({ message, passwords: [passphrase] });
    expect(found?.algorithm).toBe("aes256");
    expect(Buffer.from(found?.data ?? []).equals(sessionKey)).toBe(true);
  });

  it.for([
    ["x", 0],
    ["x", 96],
    ["zweite Passphrase äöü 鍵", 224],
    ["longer than the count ".repeat(100), 0],
    ["correct horse battery staple", 255],
  ] as const)("of the library is opened: %s with count octet %i", async ([passphrase, countByte]) => {
    const body = await libraryPacket(passphrase, countByte);
    expect(isPassphrasePacket(body)).toBe(true);
    expect(openForPassphrase(body, passphrase)?.equals(sessionKey)).toBe(true);
    expect(openForPassphrase(body, `${passphrase}!`)?.equals(sessionKey) ?? false).toBe(false);
  });

  it("has a salt of its own each time, and counts as far as can be said", () => {
    const [one, two] = [wrapForPassphrase(sessionKey, "x"), wrapForPassphrase(sessionKey, "x")];
    expect(one.equals(two)).toBe(false);
    expect([one.readUInt8(12), two.readUInt8(12)]).toEqual([255, 255]);
  });

  it("of any other form is left to the library", () => {
    const whole = wrapForPassphrase(sessionKey, "x");
    expect(isPassphrasePacket(whole)).toBe(true);
    expect(isPassphrasePacket(whole.subarray(0, -1))).toBe(false);
    for (const at of [0, 1, 2, 3]) expect(isPassphrasePacket(Buffer.from(whole.map((octet, index) => (index === at ? octet + 1 : octet))))).toBe(false);
  });
});
