/**
 * One try at storing a backup: its name in the store, its keys, and its journal.
 *
 * An attempt that was cut off is taken up again under the same keys, and then every byte that may have left this
 * machine must come out the same. At the first difference the attempt is given up (`AttemptDiffers`), and a new one
 * begins with fresh keys: one nonce never encrypts two streams.
 */
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { FerrySettings, Lock } from "./cargo.ts";
import { isZferryError, ZferryError } from "./errors.ts";
import { newAttempt } from "./format/layout.ts";
import type { ChunkEntry } from "./format/manifest.ts";
import { Journal, type JournalHeader, type JournalOwner, markKey } from "./journal.ts";
import { keyCheck, type MessageSecrets, newMessageSecrets, openSessionKey, type Recipients, wrapSessionKey } from "./openpgp/session.ts";

export interface Attempt {
  readonly id: string;
  readonly startedAt: Date;
  readonly secrets: MessageSecrets;
  readonly lock: Lock | null;
  /** Null when nothing is to be taken up again. */
  readonly journal: Journal | null;
}

/** The second try made other bytes than the first one. */
export class AttemptDiffers extends ZferryError {
  constructor(place: string) {
    super("stream-invalid", `the stream is not the one an earlier, unfinished run has sent: ${place} differs`, {
      hint: "the unfinished upload was dropped and its objects removed; run it again to start anew",
    });
  }
}

/** Fresh keys, and what a journal has to know of them. */
export async function newKeys(settings: FerrySettings): Promise<Omit<Attempt, "journal">> {
  const secrets = newMessageSecrets();
  return { id: newAttempt(), startedAt: new Date(), secrets, lock: await lockFor(secrets, settings) };
}

/** Null when there is no one to lock for, which only packet `none` allows. */
async function lockFor({ sessionKey }: MessageSecrets, { packet, recipients }: FerrySettings): Promise<Lock | null> {
  if (recipients.passphrases.length + recipients.certificates.length > 0) {
    return { sessionKey, packets: await wrapSessionKey(sessionKey, recipients, packet === "none" ? "ocb" : packet) };
  }
  if (packet === "none") return null;
  throw new ZferryError("key-missing", `packet "${packet}" needs a passphrase or a recipient's certificate`, {
    hint: "give --passphrase-file FILE, or set encryption.passphrase_file in the configuration",
  });
}

/** A new attempt with a journal of its own. */
export async function beginAttempt(
  stateDir: string,
  owner: JournalOwner,
  settings: FerrySettings,
  rest: Pick<JournalHeader, "storeUrl" | "backup" | "send">,
): Promise<Attempt> {
  const keys = await newKeys(settings);
  return { ...keys, journal: await Journal.begin(stateDir, owner, headerOf(keys, settings, rest)) };
}

/** Why a run with these settings cannot go on with the journal's attempt: it would cut, pack or lock otherwise, or cannot compare. Null when it can. */
export async function misfitOf({ header, isWhole }: Journal, settings: FerrySettings): Promise<string | null> {
  if (!isWhole) return "its journal is damaged";
  const { packet, chunkBytes, partBytes, recipients } = settings;
  if (header.packet !== packet || header.chunkBytes !== chunkBytes || header.partBytes !== partBytes) {
    return "packet, chunk size or part size were changed";
  }
  return (await isFor(header, recipients)) ? null : "it is for other recipients now";
}

/**
 * Whether these recipients, and no others, can open the attempt. Nothing is noted of a passphrase: one that is still the
 * same opens the attempt's own session-key packets, which takes as long as any guess at them. Certificates are compared
 * by their text. The order of passphrases is not looked at.
 */
async function isFor(header: JournalHeader, recipients: Recipients): Promise<boolean> {
  if (!isDeepStrictEqual(header.recipients, noteOf(recipients))) return false;
  for (const passphrase of recipients.passphrases) if (!(await opens(passphrase, header))) return false;
  return true;
}

function noteOf({ passphrases, certificates }: Recipients): JournalHeader["recipients"] {
  const digests = certificates.map((armored) => createHash("sha256").update(armored.trim()).digest("hex"));
  return { passphraseCount: new Set(passphrases).size, certificates: digests.sort() };
}

async function opens(passphrase: string, { sessionKey, lockPackets }: JournalHeader): Promise<boolean> {
  const check = keyCheck(Buffer.from(sessionKey, "base64"));
  try {
    await openSessionKey(Buffer.from(lockPackets ?? "", "base64"), { passphrases: [passphrase], privateKeys: [] }, check);
    return true;
  } catch (error) {
    if (isZferryError(error, "key-wrong", "key-missing")) return false;
    throw error;
  }
}

function headerOf(
  { id, startedAt, secrets, lock }: Omit<Attempt, "journal">,
  { packet, chunkBytes, partBytes, recipients }: FerrySettings,
  rest: Pick<JournalHeader, "storeUrl" | "backup" | "send">,
): JournalHeader {
  return {
    version: 1,
    ...rest,
    attempt: id,
    startedAt,
    packet,
    chunkBytes,
    partBytes,
    sessionKey: secrets.sessionKey.toString("base64"),
    nonce: secrets.nonce.toString("base64"),
    lockPackets: lock === null ? null : lock.packets.toString("base64"),
    recipients: noteOf(recipients),
  };
}

/** The attempt a journal speaks of. */
export function attemptOf(journal: Journal): Attempt {
  const { attempt, startedAt, sessionKey, nonce, lockPackets } = journal.header;
  const secrets = { sessionKey: Buffer.from(sessionKey, "base64"), nonce: Buffer.from(nonce, "base64") };
  const packets = lockPackets === null ? null : Buffer.from(lockPackets, "base64");
  const lock = packets === null ? null : { sessionKey: secrets.sessionKey, packets };
  return { id: attempt, startedAt, secrets, lock, journal };
}

/** Notes a mark before it leaves, or compares it with what the earlier try has noted. */
export async function noteMark({ journal }: Attempt, chunk: number, index: number, sha256: string): Promise<void> {
  if (journal === null) return;
  const noted = journal.progress.marks.get(markKey(chunk, index));
  if (noted === undefined) await journal.mark(chunk, index, sha256);
  else if (noted !== sha256) throw new AttemptDiffers(`mark ${index} of chunk ${chunk}`);
}

/** What the earlier try has stored of a chunk, all of it; null when it has not. */
export function storedChunk({ journal }: Attempt, index: number): ChunkEntry | null {
  return journal?.progress.chunks.get(index) ?? null;
}
