/**
 * Tag 18, version 1: AES-256-CFB with a SHA-1 digest at the end, the form every OpenPGP program reads (RFC 9580 §5.13.1).
 *
 * Body: version, then in CFB with a zero IV: 16 random bytes, the last two of them again, the packets inside, `d3 14`, and
 * the SHA-1 of all that (the MDC). Decryption releases bytes before the digest is checked, because it stands at the very
 * end; a caller that acts on them must have verified them by other means (the manifest's digests) or wait for the end.
 */
import type { Hash } from "node:crypto";
import { createHash } from "node:crypto";
import { asBuffer, type Transform } from "../bytes.ts";
import { Tail } from "../tail.ts";
import type { Candidate } from "./candidates.ts";
import { noneFits } from "./candidates.ts";
import { CfbDecryption, CfbEncryption } from "./cfb-mode.ts";
import type { ByteReader } from "./reader.ts";
import { evenSlices } from "./slices.ts";

const version = 1;
const blockBytes = 16;
const prefixBytes = blockBytes + 2;
const mdcHeader = Buffer.of(0xd3, 0x14);
const mdcBytes = mdcHeader.length + 20;

/**
 * What version 1 encrypts, around the packets that are pushed: the prefix, they themselves, and the digest of it all. A
 * step of its own, because SHA-1 costs as much as a third of the cipher and can run in another thread.
 */
export class CfbPlaintext implements Transform {
  readonly #digest = createHash("sha1");
  #prefix: readonly Buffer[];

  /** @param nonce - its first 16 bytes are the random prefix */
  constructor(nonce: Buffer) {
    this.#prefix = [Buffer.concat([nonce.subarray(0, blockBytes), nonce.subarray(blockBytes - 2, blockBytes)])];
  }

  *push(slice: Buffer): Generator<Buffer> {
    yield* this.#begin();
    this.#digest.update(slice);
    yield slice;
  }

  *end(): Generator<Buffer> {
    yield* this.#begin();
    yield Buffer.concat([mdcHeader, this.#digest.update(mdcHeader).digest()]);
  }

  #begin(): readonly Buffer[] {
    const prefix = this.#prefix;
    this.#prefix = [];
    for (const slice of prefix) this.#digest.update(slice);
    return prefix;
  }
}

/** The body of a version 1 packet around what {@link CfbPlaintext} made. */
export class CfbSealing implements Transform {
  readonly #cipher: CfbEncryption;
  #version: readonly Buffer[] = [Buffer.of(version)];

  constructor(sessionKey: Buffer) {
    this.#cipher = new CfbEncryption(sessionKey);
  }

  *push(slice: Buffer): Generator<Buffer> {
    yield* this.#version;
    this.#version = [];
    yield* this.#cipher.push(slice);
  }

  *end(): Generator<Buffer> {
    yield* this.#version;
    yield* this.#cipher.end();
  }
}

/**
 * The plaintext of a version 1 packet's body (behind the version), as it comes, under the first candidate whose prefix repeats (1 in 65,536
 * wrong keys passes that and fails at the end). The last 22 bytes are held back.
 *
 * @throws ZferryError `message-invalid` at the end when the digest is wrong or missing
 */
export async function* openCfb(body: ByteReader, candidates: readonly Candidate[]): AsyncGenerator<Buffer> {
  const { decipher, prefix } = pickDecipher(await body.take(prefixBytes), candidates);
  const digest = createHash("sha1").update(prefix);
  const tail = new Tail(mdcBytes);
  for await (const slice of evenSlices(body.remainder())) {
    for (const piece of tail.push(slice)) {
      for (const text of decipher.push(asBuffer(piece))) {
        digest.update(text);
        yield text;
      }
    }
  }
  checkEnd(body, decipher.whole(tail.bytes), digest);
}

/** The digest and its header, which stand at the end of the plaintext. */
function checkEnd(body: ByteReader, mdc: Buffer, digest: Hash): void {
  if (mdc.length < mdcBytes) throw body.truncated();
  const expected = Buffer.concat([mdcHeader, digest.update(mdcHeader).digest()]);
  if (!expected.equals(mdc)) throw body.invalid("its digest (MDC) is wrong or missing");
}

function pickDecipher(head: Buffer, candidates: readonly Candidate[]): { decipher: CfbDecryption; prefix: Buffer } {
  for (const { sessionKey } of candidates) {
    const decipher = new CfbDecryption(sessionKey);
    const prefix = decipher.whole(head);
    const block = prefix.subarray(blockBytes - 2, blockBytes);
    if (block.equals(prefix.subarray(blockBytes))) return { decipher, prefix };
  }
  throw noneFits(candidates);
}
