/**
 * One try at storing a backup: its name in the store, its keys, and its journal.
 *
 * An attempt that was cut off is taken up again under the same keys, and then every byte that may have left this
 * machine must come out the same. At the first difference the attempt is given up (`AttemptDiffers`), and a new one
 * begins with fresh keys: one nonce never encrypts two streams.
 */
import type { FerrySettings, Lock } from "./cargo.ts";
import { ZferryError } from "./errors.ts";
import { newAttempt } from "./format/layout.ts";
import type { ChunkEntry } from "./format/manifest.ts";
import { Journal, type JournalHeader, type JournalOwner, markKey } from "./journal.ts";
import { type MessageSecrets, newMessageSecrets, wrapSessionKey } from "./openpgp/session.ts";

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

/** Whether a run with these settings would cut and pack the stream as the journal's attempt did. */
export function fits({ header }: Journal, { packet, chunkBytes, partBytes }: FerrySettings): boolean {
  return header.packet === packet && header.chunkBytes === chunkBytes && header.partBytes === partBytes;
}

function headerOf(
  { id, startedAt, secrets, lock }: Omit<Attempt, "journal">,
  { packet, chunkBytes, partBytes }: FerrySettings,
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
