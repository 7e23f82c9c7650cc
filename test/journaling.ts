/** The journal of a run that was cut off, as tests of what becomes of it begin. */
import { Journal, type JournalHeader } from "../src/journal.ts";
import { parseSnapshotName, type SnapshotName } from "../src/zfs/names.ts";

const backup = parseSnapshotName("tank/src@s1");
export const owner = { verb: "put", name: backup } as const;
export const storeUrl = "s3://bucket/";

/** Of a `put`, with keys that nothing was sealed with. */
export function headerFor(name: SnapshotName, url: string): JournalHeader {
  return {
    version: 1,
    storeUrl: url,
    backup: name,
    attempt: "0000aaaa",
    startedAt: new Date("2026-11-20T00:00:00Z"),
    packet: "ocb",
    chunkBytes: 65_536,
    partBytes: 16_384,
    sessionKey: "AAAA",
    nonce: "AAAA",
    lockPackets: null,
    recipients: null,
    send: null,
  };
}

export const header = headerFor(backup, storeUrl);

/** Leaves a journal of the header, two marks and a chunk. @returns its path */
export async function leaveJournal(stateDir: string): Promise<string> {
  const journal = await Journal.begin(stateDir, owner, header);
  await journal.mark(0, 0, "aa");
  await journal.chunk(0, { sizeBytes: 7, sha256: "bb", marks: ["aa"] });
  await journal.mark(1, 0, "cc");
  await journal.close();
  return journal.path;
}
