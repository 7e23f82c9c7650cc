/**
 * That a snapshot is about to be taken: a small file beside the journal, written before `zfs snapshot` and removed once
 * the journal names the snapshot. A run that was killed in between leaves it, and the next one knows by it which
 * snapshot is nobody's (`resume.ts`).
 */
import { readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { ZferryError } from "./errors.ts";
import { syncFolder, writeWhole } from "./files.ts";
import { journalPath } from "./journal.ts";
import { type DatasetName, parseSnapshotName, type SnapshotName } from "./zfs/names.ts";

const intentSchema = z.object({ version: z.literal(1), snapshot: z.string().transform((text) => parseSnapshotName(text)) });

interface Where {
  readonly stateDir: string;
  readonly storeUrl: string;
  readonly dataset: DatasetName;
}

function intentPath({ stateDir, storeUrl, dataset }: Where): string {
  return journalPath(stateDir, storeUrl, { verb: "backup", name: dataset }).replace(/\.journal$/, ".intent");
}

/** @throws ZferryError `config-invalid` when it cannot be written */
export async function noteIntent(where: Where, snapshot: SnapshotName): Promise<void> {
  const path = intentPath(where);
  await tryTo("write", path, () => writeWhole(path, `${JSON.stringify({ version: 1, snapshot })}\n`));
}

/**
 * The snapshot an earlier run was about to take; null when there is none. What cannot be understood speaks for nothing:
 * a snapshot too many is better than one destroyed on a guess.
 *
 * @throws ZferryError `config-invalid` when it cannot be read
 */
export async function readIntent(where: Where): Promise<SnapshotName | null> {
  const path = intentPath(where);
  const text = await tryTo("read", path, () =>
    readFile(path, "utf8").catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }),
  );
  try {
    return text === null ? null : intentSchema.parse(JSON.parse(text)).snapshot;
  } catch {
    return null;
  }
}

/** Removes it; that there is none is what was wanted. @throws ZferryError `config-invalid` */
export async function dropIntent(where: Where): Promise<void> {
  const path = intentPath(where);
  await tryTo("remove", path, async () => {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  });
}

async function tryTo<T>(what: "read" | "remove" | "write", path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new ZferryError("config-invalid", `cannot ${what} "${path}": ${(error as Error).message}`, {
      hint: "give the user zferry runs as access to its state folder, or name another with --state-dir",
      cause: error,
    });
  }
}
