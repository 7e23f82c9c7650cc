/**
 * Encryption and decryption by themselves, in memory: zferry's stages, the openpgp library, gpg, and the ciphers that
 * node:crypto offers without any format around them, which are the baseline. gpg is a process that reads a file in
 * memory and writes to /dev/null. No key is derived from a passphrase in what is timed, but for 1,024 bytes by `gpg -c`.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import * as openpgp from "openpgp";
import { decrypt } from "../dist/openpgp/decrypt.js";
import { encrypt } from "../dist/openpgp/encrypt.js";
import { newMessageSecrets, wrapSessionKey } from "../dist/openpgp/session.js";
import { gpgDecrypt, gpgEncrypt } from "./lines.mjs";
import { proveOutput } from "./proof.mjs";
import { needRoom } from "./scratch.mjs";

const MiB = 1048576;
const sliceBytes = 64 * 1024; // what a pipe gives
const chunkBytes = 256 * 1024;
/** More than this, and the openpgp library, which keeps messages of version 1 in memory several times over, needs gigabytes. */
const largestBytes = 512 * MiB;
/** The library's OCB makes 1 to 3 MiB/s. */
const slowBytes = MiB;
const slowNote = "openpgp.js makes OCB of 1 MiB only: it would take minutes";

export async function* openpgpSuite(bench) {
  const bytes = Math.min(bench.sizeBytes ?? 256 * MiB, largestBytes);
  needRoom(bench.scratch.folder, 3 * bytes);
  const plain = await sampleOf(bench, "plain", slicesOf(randomBytes(bytes)));
  const start = await sampleOf(bench, "start", plain.slices.slice(0, slowBytes / sliceBytes));
  for (const packet of ["ocb", "cfb", "rfc9580"]) {
    const message = await newMessage(packet);
    yield encryptTrial(bench, { packet, plain, start, message });
    const sealed = await sampleOf(bench, "sealed", encrypt(plain.slices, message));
    const otherMessage = await newMessage(packet);
    const sealedStart = { ...(await sampleOf(bench, "sealed-start", encrypt(start.slices, otherMessage))), key: keyOf(otherMessage) };
    yield decryptTrial(bench, { packet, plain, sealed, start, sealedStart, message });
  }
  for (const name of ["plain", "start", "sealed", "sealed-start"]) bench.scratch.remove(name);
}

async function newMessage(packet) {
  const secrets = newMessageSecrets();
  const recipients = { passphrases: [randomBytes(18).toString("base64")], certificates: [] };
  return { packet, secrets, sessionKeyPackets: await wrapSessionKey(secrets.sessionKey, recipients, packet) };
}

function keyOf({ secrets }) {
  return { data: secrets.sessionKey, algorithm: "aes256" };
}

function encryptTrial(bench, { packet, plain, start, message }) {
  const raw = rawOf(packet);
  const { sessionKey } = message.secrets;
  const sealRaw = () => raw.seal(plain.slices, sessionKey);
  const sealOurs = () => encrypt(plain.slices, message);
  const library = (aead, given) => ({
    ...inMemory(given, () => libraryEncrypt(given.slices, keyOf(message), aead), (sealed) => decrypt(sealed, { sessionKey })),
    name: aead === null ? "openpgp.js v1 CFB" : `openpgp.js v2 ${aead.toUpperCase()}`,
  });
  const gpg = gpgOr(bench, null);
  return {
    name: `${packet} encrypt`,
    bytes: plain.sizeBytes,
    notes: [
      ...(packet === "ocb" ? ["neither openpgp.js nor gpg 2.2 writes this packet: their nearest stand here"] : []),
      ...(packet === "cfb" ? [] : [slowNote]),
    ],
    contenders: [
      { ...inMemory(plain, sealRaw, (sealed) => raw.open(sealed, sessionKey)), name: `node:crypto ${raw.name}` },
      { ...inMemory(plain, sealOurs, (sealed) => libraryOrOurs(packet, sealed, message)), name: `zferry ${packet}` },
      ...(packet === "cfb" ? [library(null, plain)] : [library("gcm", plain), library("ocb", start)]),
      ...gpg.there.map(() => gpgEncrypts(bench, plain)),
    ],
    missing: gpg.missing.map((why) => ({ name: "gpg -c", why })),
  };
}

/** What zferry wrote is opened by the library, or, where that would take minutes, by zferry. */
function libraryOrOurs(packet, sealed, message) {
  return packet === "cfb" ? libraryDecrypt(sealed, keyOf(message)) : decrypt(sealed, { sessionKey: message.secrets.sessionKey });
}

function decryptTrial(bench, { packet, plain, sealed, start, sealedStart, message }) {
  const raw = rawOf(packet);
  const { sessionKey } = message.secrets;
  const rawSealed = collected(raw.seal(plain.slices, sessionKey));
  const opened = (source) => source;
  const gpg = gpgOr(bench, packet === "rfc9580" ? "gpg does not read this packet" : null);
  return {
    name: `${packet} decrypt`,
    bytes: plain.sizeBytes,
    notes: packet === "cfb" ? [] : [slowNote],
    contenders: [
      { ...inMemory(plain, () => openLater(raw, rawSealed, sessionKey), opened), name: `node:crypto ${raw.name}` },
      { ...inMemory(plain, () => decrypt(sealed.slices, { sessionKey }), opened), name: `zferry ${packet}` },
      packet === "cfb"
        ? { ...inMemory(plain, () => libraryDecrypt(sealed.slices, keyOf(message)), opened), name: "openpgp.js" }
        : { ...inMemory(start, () => libraryDecrypt(sealedStart.slices, sealedStart.key), opened), name: "openpgp.js" },
      ...gpg.there.map(() => gpgDecrypts(bench, { plain, sealed, sessionKey })),
    ],
    missing: gpg.missing.map((why) => ({ name: "gpg -d", why })),
  };
}

async function* openLater(raw, sealed, key) {
  yield* raw.open(await sealed, key);
}

/** One entry in `there`, or the reason in `missing`. */
function gpgOr(bench, why) {
  const reason = bench.has("gpg") ? why : bench.why("gpg");
  return reason === null ? { there: ["gpg"], missing: [] } : { there: [], missing: [reason] };
}

/** `work` makes the output, which is only counted; `open` turns it back into the plaintext, once, for the check. */
function inMemory({ sizeBytes, sha256 }, work, open) {
  return {
    bytes: sizeBytes,
    run: async () => {
      const cpuBefore = process.cpuUsage();
      let count = 0;
      for await (const slice of work()) count += slice.length;
      const { user, system } = process.cpuUsage(cpuBefore);
      if (count === 0) throw new Error("it wrote nothing");
      return { cpuSeconds: (user + system) / 1e6 };
    },
    check: async () => {
      if ((await digestOf(open(await collected(work())))) !== sha256) throw new Error("what it wrote is not what it was given");
    },
  };
}

async function* libraryEncrypt(plain, key, aead) {
  const config = {
    aeadProtect: aead !== null,
    preferredAEADAlgorithm: openpgp.enums.aead[aead ?? "ocb"],
    preferredCompressionAlgorithm: openpgp.enums.compression.uncompressed,
  };
  const sessionKey = aead === null ? key : { ...key, aeadAlgorithm: aead };
  const message = await openpgp.createMessage({ binary: ReadableStream.from(copies(plain)), format: "binary" });
  yield* await openpgp.encrypt({ message, sessionKey, format: "binary", config });
}

async function* libraryDecrypt(sealed, key) {
  const config = { enableParsingV5Entities: true, allowUnauthenticatedStream: true };
  const message = await openpgp.readMessage({ binaryMessage: ReadableStream.from(copies(sealed)), config });
  const { data } = await openpgp.decrypt({ message, sessionKeys: [key], format: "binary", config });
  yield* data;
}

/** The library writes into what it is given (seen with 6.3.2 and OCB), so it gets its own; a copy costs 0.1 s/GiB. */
function* copies(slices) {
  for (const slice of slices) yield Uint8Array.from(slice);
}

function gpgEncrypts(bench, { file, sha256 }) {
  const line = `${gpgEncrypt} --s2k-mode 3 --s2k-count 1024`;
  const extra = { INPUT: file };
  return {
    name: "gpg -c (CFB)",
    run: () => costOf(bench.line(`${line} < "$INPUT" > /dev/null`, { extra })),
    check: () => proveOutput(bench, { line: `${line} < "$INPUT" | ${gpgDecrypt}`, extra, sha256 }),
  };
}

/** The session key comes through a file descriptor, as the passphrase does elsewhere. */
function gpgDecrypts(bench, { plain, sealed, sessionKey }) {
  const line = `${gpgDecrypt} --override-session-key-fd 9 9<<<"9:$SESSION_KEY" < "$INPUT"`;
  const extra = { INPUT: sealed.file, SESSION_KEY: sessionKey.toString("hex").toUpperCase() };
  return {
    name: "gpg -d",
    run: () => costOf(bench.line(`${line} > /dev/null`, { extra })),
    check: () => proveOutput(bench, { line, extra, sha256: plain.sha256 }),
  };
}

async function costOf(running) {
  const { seconds, cpuSeconds, peakRssBytes } = await running;
  return { seconds, cpuSeconds, peakRssBytes };
}

/** The cipher alone: AES-256 in the packet's mode, and SHA-1 over it where the packet has one. */
function rawOf(packet) {
  if (packet === "cfb") return { name: "AES-256-CFB + SHA-1", seal: sealCfb, open: openCfb };
  return { name: "AES-256-OCB", seal: sealOcb, open: openOcb };
}

const zeroIv = Buffer.alloc(16);

function* sealCfb(plain, key) {
  const [cipher, digest] = [createCipheriv("aes-256-cfb", key, zeroIv), createHash("sha1")];
  for (const slice of plain) {
    digest.update(slice);
    yield cipher.update(slice);
  }
  yield cipher.update(digest.digest());
}

function* openCfb(sealed, key) {
  const [decipher, digest] = [createDecipheriv("aes-256-cfb", key, zeroIv), createHash("sha1")];
  for (const slice of sealed.slice(0, -1)) {
    const opened = decipher.update(slice);
    digest.update(opened);
    yield opened;
  }
  if (!decipher.update(sealed.at(-1)).equals(digest.digest())) throw new Error("the digest is wrong");
}

function nonceOf(index) {
  const nonce = Buffer.alloc(15);
  nonce.writeUInt32BE(index, 11);
  return nonce;
}

const perChunk = chunkBytes / sliceBytes;

function* sealOcb(plain, key) {
  for (let at = 0; at < plain.length; at += perChunk) {
    const cipher = createCipheriv("aes-256-ocb", key, nonceOf(at), { authTagLength: 16 });
    for (const slice of plain.slice(at, at + perChunk)) yield cipher.update(slice);
    const rest = cipher.final();
    yield Buffer.concat([rest, cipher.getAuthTag()]);
  }
}

/** Takes the slices that `sealOcb` gave: those of a chunk, then its last few bytes and its tag. */
function* openOcb(sealed, key) {
  const each = perChunk + 1;
  for (let at = 0; at < sealed.length; at += each) {
    const slices = sealed.slice(at, at + each);
    const end = slices.pop();
    const decipher = createDecipheriv("aes-256-ocb", key, nonceOf((at / each) * perChunk), { authTagLength: 16 });
    decipher.setAuthTag(end.subarray(-16));
    for (const slice of slices) yield decipher.update(slice);
    yield decipher.update(end.subarray(0, -16));
    yield decipher.final();
  }
}

function slicesOf(whole) {
  const slices = [];
  for (let at = 0; at < whole.length; at += sliceBytes) slices.push(whole.subarray(at, at + sliceBytes));
  return slices;
}

async function collected(source) {
  const slices = [];
  for await (const slice of source) slices.push(slice);
  return slices;
}

async function digestOf(source) {
  const digest = createHash("sha256");
  for await (const slice of source) digest.update(slice);
  return digest.digest("hex");
}

/** Slices in memory and, for gpg, in a file. */
async function sampleOf(bench, name, source) {
  const slices = await collected(source);
  const file = bench.scratch.path(name);
  await pipeline(slices, createWriteStream(file));
  return { slices, file, sizeBytes: slices.reduce((sum, slice) => sum + slice.length, 0), sha256: await digestOf(slices) };
}
