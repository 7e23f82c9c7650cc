/**
 * The journals on this host, of whatever runs, as one sees them who did not write them. What `journal.ts` would set aside
 * speaks for nothing here.
 */
import { readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ifThere, inStateFolder, syncFolder } from "./files.ts";
import { folderName, type JournalHeader, readHeader } from "./journal.ts";

export interface LeftJournal extends Pick<JournalHeader, "storeUrl" | "backup" | "attempt"> {
  readonly path: string;
  /** Its run was a `put`: only one of the same name would ever find it. */
  readonly isPut: boolean;
  /** When something was last noted, by the clock of this host. */
  readonly touchedAt: Date;
}

/**
 * All of them, for any store.
 *
 * @throws ZferryError `config-invalid` when it cannot be told: "could not look" must not become "nothing there"
 */
export async function readJournals(stateDir: string): Promise<readonly LeftJournal[]> {
  const folder = join(stateDir, folderName);
  const names = (await inStateFolder(`read the journal "${folder}"`, () => ifThere(readdir(folder)))) ?? [];
  const journals: LeftJournal[] = [];
  for (const name of names.filter((candidate) => candidate.endsWith(".journal"))) {
    const path = join(folder, name);
    const found = await inStateFolder(`read the journal "${path}"`, () => ifThere(stat(path)));
    const header = await readHeader(path);
    if (found === null || header === null) continue; // gone: its run has ended meanwhile
    const { storeUrl, backup, attempt, send } = header;
    journals.push({ path, storeUrl, backup, attempt, isPut: send === null, touchedAt: found.mtime });
  }
  return journals;
}

/** Removes a journal whose run nobody is to go on with. */
export async function removeJournal({ path }: LeftJournal): Promise<void> {
  await inStateFolder(`remove the journal "${path}"`, async () => {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  });
}
