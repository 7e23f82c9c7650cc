import { deflateRawSync, deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decrypt } from "../../src/openpgp/decrypt.ts";
import { packet, tags } from "../../src/openpgp/packets.ts";
import { craft, literalBody } from "./crafted.ts";
import { bytesOf, collect, fixedSecrets, packets, sliced } from "./sample.ts";

const content = bytesOf(5000, "content");
const marker = Buffer.from("ca03504750", "hex");
const padding = packet(tags.padding, bytesOf(300, "padding"));
const literal = packet(tags.literal, literalBody(content));
const zipped = Buffer.concat([Buffer.of(1), deflateRawSync(literal)]);

function compressed(...body: readonly Uint8Array[]): Buffer {
  return packet(tags.compressed, Buffer.concat(body));
}

describe.each(packets)("what may stand inside a %s packet", (kind) => {
  it.for([
    ["a literal packet", literal],
    ["one with name, date and text format", packet(tags.literal, literalBody(content, { format: "t", name: "n".repeat(255), date: 1 }))],
    ["one in the old format", Buffer.concat([Buffer.from("ad138e", "hex"), literalBody(content)])],
    ["one without a length", Buffer.concat([Buffer.from("af", "hex"), literalBody(content)])],
    ["one among markers and padding", Buffer.concat([marker, padding, literal, padding])],
    ["one in a packet compressed with zip", compressed(zipped)],
    ["one in a packet compressed with zlib, among padding", Buffer.concat([padding, compressed(Buffer.of(2), deflateSync(Buffer.concat([literal, padding]))), padding])],
    ["one in a compressed packet without a length, as gpg writes it", Buffer.concat([Buffer.of(0xa3), zipped])],
  ] as const)("%s", async ([, inner]) => {
    const message = craft(kind, inner);
    expect((await collect(decrypt(sliced(message, 61), fixedSecrets))).equals(content)).toBe(true);
  });

  it.for([
    ["nothing", Buffer.alloc(0), /nothing inside/],
    ["padding alone", padding, /nothing inside/],
    ["a packet compressed with bzip2", compressed(Buffer.of(3), content), /compressed with bzip2, which is not supported/],
    ["a packet compressed with who knows what", compressed(Buffer.of(9), content), /compressed with algorithm 9/],
    ["a compressed packet without content", compressed(), /ends in the middle of a packet/],
    ["a compressed packet that is damaged", compressed(Buffer.of(2), content), /damaged or cut off/],
    ["a compressed packet that is cut off", compressed(zipped.subarray(0, -2)), /damaged or cut off/],
    ["a compressed packet whose encrypted packet is cut off", Buffer.concat([Buffer.from("c8ff00100000", "hex"), zipped]), /ends in the middle of a packet/],
    ["something behind the compressed content", compressed(zipped, Buffer.of(0)), /something follows the compressed content/],
    ["much behind the compressed content", compressed(zipped, bytesOf(300_000, "more")), /something follows the compressed content/],
    ["a packet behind a compressed one", Buffer.concat([compressed(zipped), literal]), /another packet \(type 11\) follows the content/],
    ["two literal packets in a compressed one", compressed(Buffer.of(1), deflateRawSync(Buffer.concat([literal, literal]))), /another packet \(type 11\) follows/],
    ["a compressed packet in a compressed one", compressed(Buffer.of(1), deflateRawSync(compressed(zipped))), /compressed twice/],
    ["a signed message", Buffer.concat([packet(tags.onePassSignature, Buffer.alloc(13)), literal]), /signed/],
    ["an unknown packet", packet(60, content), /packet of type 60/],
    ["two literal packets", Buffer.concat([literal, literal]), /another packet \(type 11\) follows/],
    ["something behind the literal packet", Buffer.concat([literal, Buffer.of(0)]), /no packet begins with 0x00/],
    ["a literal packet cut short", literal.subarray(0, -1), /ends in the middle of a packet/],
    ["a literal packet without its header", packet(tags.literal, Buffer.from("b")), /ends in the middle of a packet/],
    ["a literal packet of unknown format", packet(tags.literal, literalBody(content, { format: "x" })), /unknown format/],
    ["a marker that is none", Buffer.concat([Buffer.from("ca03414141", "hex"), literal]), /marker/],
  ] as const)("not %s", async ([, inner, message]) => {
    const ciphertext = craft(kind, inner);
    await expect(collect(decrypt(sliced(ciphertext), fixedSecrets))).rejects.toThrow(message);
    await expect(collect(decrypt(sliced(ciphertext), fixedSecrets))).rejects.toThrow(expect.objectContaining({ code: "message-invalid" }));
  });

  it("a compressed packet ends its source when it is not read to its end", async () => {
    const large = compressed(Buffer.of(1), deflateRawSync(packet(tags.literal, literalBody(bytesOf(2 ** 20, "large")))));
    let isReturned = false;
    const source = (async function* () {
      try {
        yield* sliced(craft(kind, large), 10_007);
      } finally {
        isReturned = true;
      }
    })();
    for await (const slice of decrypt(source, fixedSecrets)) if (slice.length > 0) break;
    expect(isReturned).toBe(true);
  });
});

describe("AEAD chunks", () => {
  it.for([0, 1, 6, 16, 22])("of every size are read, here of octet %i", async (octet) => {
    for (const kind of ["ocb", "rfc9580"] as const) {
      const message = craft(kind, literal, octet);
      expect((await collect(decrypt(sliced(message, 997), fixedSecrets))).equals(content)).toBe(true);
    }
  });

  it("that end exactly with the plaintext are read", async () => {
    for (const kind of ["ocb", "rfc9580"] as const) {
      const exact = packet(tags.literal, literalBody(content.subarray(0, 4096 - 9)));
      expect(exact.length).toBe(4096);
      const message = craft(kind, exact, 6);
      expect((await collect(decrypt(sliced(message, 997), fixedSecrets))).length).toBe(4096 - 9);
    }
  });
});

describe("before the encrypted packet", () => {
  it("markers and padding are skipped", async () => {
    const message = Buffer.concat([marker, padding, craft("ocb", literal)]);
    expect((await collect(decrypt(sliced(message), fixedSecrets))).equals(content)).toBe(true);
  });

  it.for([
    ["nothing", "", /byte 0: it ends/],
    ["armor", Buffer.from("-----BEGIN PGP MESSAGE-----").toString("hex"), /ASCII-armored/],
    ["a bare literal packet", literal.toString("hex"), /not encrypted/],
    ["encryption without integrity", "c901ff", /without integrity protection/],
    ["an unknown packet", "fc01ff", /packet of type 60/],
    ["version 3 of tag 18", "d20103", /type 18 and unknown version 3/],
    ["version 2 of tag 20", "d40102", /type 20 and unknown version 2/],
    ["EAX", "d41301090106" + "00".repeat(15), /AEAD mode 1 is not supported/],
    ["GCM in tag 20", "d41301090306" + "00".repeat(15), /mode other than OCB/],
    ["chunks over 256 MiB", "d41301090217" + "00".repeat(15), /chunk octet 23 is over 22/],
    ["another cipher", "d413010a0206" + "00".repeat(15), /cipher 10 is not supported/],
    ["an encrypted packet of no bytes", "d200", /byte 0 of its encrypted packet: it ends/],
    ["session-key packets over 1 MiB", Array<string>(17).fill(`c3ff0000ffff04${"00".repeat(65_534)}`).join(""), /larger than/],
  ] as const)("%s is refused", async ([, hex, message]) => {
    const ciphertext = Buffer.from(hex, "hex");
    await expect(collect(decrypt(sliced(ciphertext), fixedSecrets))).rejects.toThrow(message);
    await expect(collect(decrypt(sliced(ciphertext), fixedSecrets))).rejects.toThrow(expect.objectContaining({ code: "message-invalid" }));
  });

  it("session-key packets of the wrong version for the encrypted packet do not count", async () => {
    const older = Buffer.concat([Buffer.from("c30d0409030800000000000000006000", "hex").subarray(0, 15), craft("rfc9580", literal)]);
    const keyring = { passphrases: ["any"], privateKeys: [] };
    await expect(collect(decrypt(sliced(older), { keyring }))).rejects.toThrow(/no session-key packet of a known version/);
  });
});
