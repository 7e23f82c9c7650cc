/**
 * Goal: whatever bytes stand where an OpenPGP message, a replay stream or a key should be, the reader ends, with a
 * documented error or with content. Method: mutations of valid inputs, arbitrary bytes, and lengths that lie.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { decrypt } from "../../src/openpgp/decrypt.ts";
import { encrypt } from "../../src/openpgp/encrypt.ts";
import { parseCertificates, parsePrivateKeys } from "../../src/openpgp/keys.ts";
import { openSessionKey, wrapSessionKey } from "../../src/openpgp/session.ts";
import { inspection } from "../../src/stream/inspect.ts";
import { bytesOf, collect, fixedSecrets, fixtureKey, packets, sliced } from "../openpgp/sample.ts";
import { begin, end, record, seal, type, write } from "../replay/forge.ts";
import { documented, growthOf, hostile, roomBytes } from "./bytes.ts";

const bob = fixtureKey("bob");
const { signal } = new AbortController();

function opened(message: Buffer): Promise<{ value: Buffer } | { code: string }> {
  return documented(() => collect(decrypt(sliced(message, 7, 500, 64), { sessionKey: fixedSecrets.sessionKey })));
}

function inspected(stream: Buffer): Promise<{ value: Buffer } | { code: string }> {
  return documented(() => collect(inspection({ signal }).through(sliced(stream, 313, 5, 4000))));
}

describe.each(packets)("a message with a %s packet", (packet) => {
  let message: Buffer;
  let sessionKeyPackets: Buffer;
  const content = bytesOf(2000, "content");

  beforeAll(async () => {
    sessionKeyPackets = await wrapSessionKey(fixedSecrets.sessionKey, { passphrases: [], certificates: [bob.certificate] }, packet);
    message = await collect(encrypt(sliced(content), { packet, secrets: fixedSecrets, sessionKeyPackets }));
  });

  it("in any hostile form gives its content or a documented error", async () => {
    const property = fc.asyncProperty(hostile(message), async (bytes) => {
      const outcome = await opened(bytes);
      if ("value" in outcome) expect(outcome.value.equals(content)).toBe(true);
      else expect(["message-invalid", "key-missing", "key-wrong"]).toContain(outcome.code);
    });
    await fc.assert(property, { numRuns: 250 });
  });

  it("with hostile session-key packets opens to a key or a documented error", async () => {
    const property = fc.asyncProperty(hostile(sessionKeyPackets), async (bytes) => {
      const outcome = await documented(() => openSessionKey(bytes, bob.keyring, null));
      if ("code" in outcome) expect(["message-invalid", "key-missing", "key-wrong"]).toContain(outcome.code);
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

describe("a length that lies", () => {
  it.for([
    ["a session-key packet of 4 GiB", "c3ffffffffff04"],
    ["an old session-key packet of 4 GiB", "8effffffff04"],
    ["a public-key packet of 4 GiB", "c1ffffffffff03"],
    ["a marker of 4 GiB", "caffffffffff50"],
    ["a padding packet of 4 GiB", "d5ffffffffff50"],
    ["an encrypted packet of 4 GiB", "d2ffffffffff01"],
    ["a partial body of 1 GiB", "d4fe010902"],
    ["OCB chunks of 2^62 bytes", "d4ff000000ff01090238"],
    ["OCB chunks of 256 MiB", "d4ffffffffff01090216"],
    ["version 2 chunks of 2^70 bytes", "d2ffffffffff020902ff"],
  ] as const)("in %s takes no memory and ends as message-invalid", async ([, head]) => {
    const message = Buffer.concat([Buffer.from(head, "hex"), bytesOf(3000, head)]);
    let outcome: unknown = null;
    const growth = await growthOf(async () => {
      outcome = await opened(message);
    });
    expect(outcome).toEqual({ code: "message-invalid" });
    expect(growth).toBeLessThan(roomBytes);
  });

  const u64 = (at: number, value: bigint) => (view: DataView): void => {
    view.setBigUint64(at, value, true);
  };
  const u32 = (at: number, value: number) => (view: DataView): void => {
    view.setUint32(at, value, true);
  };
  it.for([
    ["a BEGIN with 4 GiB of properties", type.begin, u32(4, 0xfffffffc)],
    ["a WRITE of 2^62 bytes", type.write, u64(32, 1n << 62n)],
    ["a compressed WRITE of 2^64 - 8 bytes", type.write, (view: DataView) => {
      view.setUint8(50, 15);
      view.setBigUint64(96, 0xffff_ffff_ffff_fff8n, true);
    }],
    ["an OBJECT with a bonus of 4 GiB", type.object, u32(28, 0xffffffff)],
    ["a raw OBJECT with a bonus of 4 GiB", type.object, u32(36, 0xffffffff)],
    ["a SPILL of 2^63 bytes", type.spill, u64(16, 1n << 63n)],
    ["an embedded WRITE of 4 GiB", type.writeEmbedded, u32(52, 0xffffffff)],
  ] as const)("in %s takes no memory and ends as stream-invalid", async ([, number, fill]) => {
    const first = begin();
    if (number === type.begin) fill(new DataView(first.record.buffer));
    const stream = Buffer.from(seal(number === type.begin ? [first, end()] : [first, record(number, fill), end()]));
    let outcome: unknown = null;
    const growth = await growthOf(async () => {
      outcome = await inspected(stream);
    });
    expect(outcome).toEqual({ code: "stream-invalid" });
    expect(growth).toBeLessThan(roomBytes);
  });
});

describe("a replay stream", () => {
  const valid = [
    seal([begin({ payloadBytes: 16 }), record(type.object, u32At28, 40), write(512), record(type.free), end()]),
    seal([begin({ headerType: 2 }), end(0n), begin(), write(64), end(), end(0n)]),
  ];
  function u32At28(view: DataView): void {
    view.setUint32(28, 40, true);
  }

  it("in any hostile form passes unchanged or ends as stream-invalid", async () => {
    const property = fc.asyncProperty(hostile(...valid), async (bytes) => {
      const outcome = await inspected(bytes);
      if ("value" in outcome) expect(outcome.value.equals(bytes)).toBe(true);
      else expect(outcome.code).toBe("stream-invalid");
    });
    await fc.assert(property, { numRuns: 400 });
  });
});

describe("an armored key", () => {
  const armored = bob.keyring.privateKeys[0]?.armored ?? "";

  it("in any hostile form is read or refused as secret-unusable", async () => {
    const property = fc.asyncProperty(hostile(Buffer.from(bob.certificate), Buffer.from(armored)), async (bytes) => {
      const text = bytes.toString("utf8");
      for (const read of [parseCertificates, parsePrivateKeys]) {
        const outcome = await documented(() => read(text));
        if ("code" in outcome) expect(outcome.code).toBe("secret-unusable");
      }
    });
    await fc.assert(property, { numRuns: 120 });
  });
});
