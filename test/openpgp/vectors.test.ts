/**
 * Messages kept in `fixtures/vectors`: written once, never regenerated. If one of these fails, the format has changed, and
 * backups in the world can no longer be resumed or, worse, read.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decrypt } from "../../src/openpgp/decrypt.ts";
import { encrypt } from "../../src/openpgp/encrypt.ts";
import { keyCheck, openSessionKey } from "../../src/openpgp/session.ts";
import { bytesOf, collect, packets, sha256, sliced } from "./sample.ts";

interface Vector {
  readonly passphrase: string;
  readonly sessionKey: string;
  readonly nonce: string;
  readonly sessionKeyPackets: string;
  readonly small: { readonly sizeBytes: number; readonly contentSha256: string; readonly ciphertext: string };
  readonly large: { readonly sizeBytes: number; readonly contentSha256: string; readonly ciphertextSha256: string };
}

interface ForeignMessage {
  readonly program: string;
  readonly what: string;
  readonly passphrase: string;
  readonly plaintextSha256: string;
  readonly message: string;
}

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../fixtures/vectors/${name}.json`, import.meta.url), "utf8"));
}

describe.each(packets)("the vector of the %s packet", (packet) => {
  const vector = readJson(packet) as Vector;
  const sessionKeyPackets = Buffer.from(vector.sessionKeyPackets, "hex");
  const secrets = { sessionKey: Buffer.from(vector.sessionKey, "hex"), nonce: Buffer.from(vector.nonce, "hex") };
  const keyring = { passphrases: [vector.passphrase], privateKeys: [] };

  it("is written again, byte for byte", async () => {
    const content = bytesOf(vector.small.sizeBytes, "vector");
    expect(sha256(content)).toBe(vector.small.contentSha256);
    const ciphertext = await collect(encrypt(sliced(content), { packet, secrets, sessionKeyPackets }));
    expect(ciphertext.toString("hex")).toBe(vector.small.ciphertext);
  });

  it("is written again over several chunks and partial bodies", async () => {
    const content = bytesOf(vector.large.sizeBytes, "vector");
    expect(sha256(content)).toBe(vector.large.contentSha256);
    const ciphertext = await collect(encrypt(sliced(content), { packet, secrets, sessionKeyPackets }));
    expect(sha256(ciphertext)).toBe(vector.large.ciphertextSha256);
  });

  it("is read with its passphrase", async () => {
    const plaintext = await collect(decrypt(sliced(Buffer.from(vector.small.ciphertext, "hex")), { keyring }));
    expect(sha256(plaintext)).toBe(vector.small.contentSha256);
    expect(await openSessionKey(sessionKeyPackets, keyring, keyCheck(secrets.sessionKey))).toEqual(secrets.sessionKey);
  });
});

describe("messages of other programs, recorded", () => {
  const messages = readJson("foreign") as readonly ForeignMessage[];

  it.for(messages)("$program: $what", async ({ passphrase, plaintextSha256, message }) => {
    const bytes = Buffer.from(message, "hex");
    const keyring = { passphrases: [passphrase], privateKeys: [] };
    expect(sha256(await collect(decrypt(sliced(bytes, 7), { keyring })))).toBe(plaintextSha256);
    const wrong = { passphrases: [`not ${passphrase}`], privateKeys: [] };
    await expect(collect(decrypt(sliced(bytes), { keyring: wrong }))).rejects.toThrow(expect.objectContaining({ code: "key-wrong" }));
  });
});
