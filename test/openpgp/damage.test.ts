/**
 * Whatever is changed, cut off or added, decryption throws; what an AEAD packet released before that is the true
 * beginning of the content. Offsets are taken densely where the structure is and seeded at random between.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { isZferryError } from "../../src/errors.ts";
import type { DecryptionKeys } from "../../src/openpgp/decrypt.ts";
import { decrypt } from "../../src/openpgp/decrypt.ts";
import { encrypt } from "../../src/openpgp/encrypt.ts";
import { wrapSessionKey } from "../../src/openpgp/session.ts";
import { bytesOf, fixedSecrets, packets, sliced, collect } from "./sample.ts";

/** Two AEAD chunks and two partial bodies at both levels. */
const content = bytesOf(300_000, "content");
const passphrase = "right";

interface Outcome {
  readonly code: string;
  readonly released: Buffer;
}

async function outcomeOf(ciphertext: Buffer, keys: DecryptionKeys): Promise<Outcome> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of decrypt(sliced(ciphertext), keys)) pieces.push(Buffer.from(piece));
  } catch (error) {
    if (!isZferryError(error)) throw error;
    return { code: error.code, released: Buffer.concat(pieces) };
  }
  return { code: "complete", released: Buffer.concat(pieces) };
}

function isBeginning(released: Buffer): boolean {
  return released.equals(content.subarray(0, released.length));
}

/** Every offset near the ends of partial bodies and AEAD chunks, and 60 between, the same in every run. */
function offsetsOf(ciphertext: Buffer): readonly number[] {
  const edges = [0, 262_150, 262_144 + 36, 262_144 + 16 + 36, ciphertext.length];
  const near = edges.flatMap((edge) => Array.from({ length: 80 }, (_, at) => edge - 40 + at));
  const between = Array.from({ length: 60 }, (_, at) => bytesOf(4, `offset ${at}`).readUInt32BE(0) % ciphertext.length);
  const all = new Set([...near, ...between].filter((at) => at >= 0 && at < ciphertext.length));
  return [...all].sort((left, right) => left - right);
}

describe.each(packets)("a damaged message with a %s packet", (packet) => {
  let ciphertext: Buffer;

  beforeAll(async () => {
    const sessionKeyPackets = Buffer.alloc(0);
    ciphertext = await collect(encrypt(sliced(content), { packet, secrets: fixedSecrets, sessionKeyPackets }));
  });

  it("is refused as message-invalid wherever a byte is changed", async () => {
    for (const at of offsetsOf(ciphertext)) {
      const mask = [0x01, 0x80, 0xff][at % 3] ?? 1;
      const damaged = Buffer.from(ciphertext);
      damaged[at] = (damaged[at] ?? 0) ^ mask;
      const { code, released } = await outcomeOf(damaged, fixedSecrets);
      expect({ at, code }).toEqual({ at, code: "message-invalid" });
      if (packet !== "cfb") expect({ at, isBeginning: isBeginning(released) }).toEqual({ at, isBeginning: true });
    }
  });

  it("is refused as message-invalid wherever it is cut off", async () => {
    for (const at of offsetsOf(ciphertext)) {
      const { code, released } = await outcomeOf(ciphertext.subarray(0, at), fixedSecrets);
      expect({ at, code, isBeginning: isBeginning(released) }).toEqual({ at, code: "message-invalid", isBeginning: true });
    }
  });

  it.for([
    ["a zero byte", Buffer.of(0)],
    ["a marker packet", Buffer.from("ca03504750", "hex")],
    ["a second message", null],
  ] as const)("is refused as message-invalid when %s follows", async ([, more]) => {
    const { code } = await outcomeOf(Buffer.concat([ciphertext, more ?? ciphertext]), fixedSecrets);
    expect(code).toBe("message-invalid");
  });

  it("is refused when bytes inside change places", async () => {
    const swapped = Buffer.from(ciphertext);
    ciphertext.copy(swapped, 1000, 2000, 2016);
    ciphertext.copy(swapped, 2000, 1000, 1016);
    expect((await outcomeOf(swapped, fixedSecrets)).code).toBe("message-invalid");
  });

  it("is refused under the session key of another message", async () => {
    const { code, released } = await outcomeOf(ciphertext, { sessionKey: bytesOf(32, "another") });
    expect([code, released.length]).toEqual(["message-invalid", 0]);
  });
});

describe.each(packets)("the session-key packet before a %s packet", (packet) => {
  const small = content.subarray(0, 1000);
  const keys = { keyring: { passphrases: [passphrase], privateKeys: [] } };
  let sessionKeyPackets: Buffer;
  let ciphertext: Buffer;

  beforeAll(async () => {
    const recipients = { passphrases: [passphrase], certificates: [] };
    sessionKeyPackets = await wrapSessionKey(fixedSecrets.sessionKey, recipients, packet);
    ciphertext = await collect(encrypt(sliced(small), { packet, secrets: fixedSecrets, sessionKeyPackets }));
  });

  it("opens the message", async () => {
    expect((await outcomeOf(ciphertext, keys)).released.equals(small)).toBe(true);
  });

  it("opens nothing when a byte of it is changed", async () => {
    const step = packet === "rfc9580" ? 9 : 3;
    for (let at = 0; at < sessionKeyPackets.length; at += step) {
      const damaged = Buffer.from(ciphertext);
      damaged[at] = (damaged[at] ?? 0) ^ 0x40;
      const { code, released } = await outcomeOf(damaged, keys);
      expect(["key-wrong", "message-invalid"]).toContain(code);
      expect(released.length).toBe(0);
    }
  });

  it("is missed when it is not there, and does not open to a wrong passphrase", async () => {
    const bare = ciphertext.subarray(sessionKeyPackets.length);
    expect((await outcomeOf(bare, keys)).code).toBe("message-invalid");
    const wrong = { keyring: { passphrases: ["wrong"], privateKeys: [] } };
    expect((await outcomeOf(ciphertext, wrong)).code).toBe("key-wrong");
    const none = { keyring: { passphrases: [], privateKeys: [] } };
    expect((await outcomeOf(ciphertext, none)).code).toBe("key-missing");
  });
});
