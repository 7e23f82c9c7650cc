/**
 * Where messages lie that another program has cut: the names of their files, put together.
 *
 * ZFS2Cloud has one folder per snapshot, `<snapshot>` or `<snapshot>-full`, and in it what
 * `split --suffix-length=4 --numeric-suffixes` made of the message: `<dataset with / as ->@<snapshot>.zfs.gpg.0000`, … The
 * dataset cannot be read off that (a `-` may be a `/`): the stream itself tells it. Our own chunks fit the pattern too.
 */
import { ZferryError } from "../errors.ts";
import type { ObjectKey, Store } from "../store/store.ts";

export interface CutMessage {
  /** The files' name without their numbers: `tank-home@20240101000000.zfs.gpg`. */
  readonly stem: string;
  /** The folder they are in, with its slash; empty for the source itself. */
  readonly folder: string;
  /** In order. */
  readonly files: readonly CutFile[];
  readonly sizeBytes: number;
}

export interface CutFile {
  readonly key: ObjectKey;
  readonly sizeBytes: number;
}

interface Numbered extends CutFile {
  readonly number: number;
}

const filePattern = /^((?:.*\/)?)([^/]+@[^/]+\.zfs\.gpg)\.(\d{4,6})$/;

/**
 * Every message under a source, by folder and name. Other objects are passed over.
 *
 * Memory: a few numbers for each of its files.
 *
 * @throws ZferryError the store's codes
 */
export async function findMessages(source: Store, signal: AbortSignal): Promise<readonly CutMessage[]> {
  const found = new Map<string, { readonly folder: string; readonly stem: string; readonly files: Numbered[] }>();
  for await (const { key, sizeBytes } of source.list("", { signal })) {
    const match = filePattern.exec(key);
    if (match === null) continue;
    const [, folder = "", stem = "", digits] = match;
    const message = found.get(folder + stem) ?? { folder, stem, files: [] };
    message.files.push({ key, sizeBytes, number: Number(digits) });
    found.set(folder + stem, message);
  }
  return [...found.values()].map(({ folder, stem, files }) => ({
    folder,
    stem,
    files: files.sort((a, b) => a.number - b.number),
    sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
  }));
}

/**
 * The size of every file but the last, which `split` makes the same.
 *
 * @throws ZferryError `chunk-invalid` when a file is missing, there twice, or has a size that `split` does not make
 */
export function checkCut({ folder, stem, files }: CutMessage): number {
  const place = `of "${folder}${stem}"`;
  const invalid = (why: string): ZferryError => new ZferryError("chunk-invalid", why, { hint: "fetch the whole folder again, or leave it out" });
  const [first] = files;
  if (first === undefined) throw invalid(`there is no file ${place}`);
  for (const [index, file] of files.entries()) {
    const number = Number(/\d+$/.exec(file.key)?.[0]);
    if (number !== index) throw invalid(number > index ? `file number ${index} ${place} is missing` : `file number ${number} ${place} is there twice`);
    const isLast = index === files.length - 1;
    if (file.sizeBytes === 0) throw invalid(`file number ${index} ${place} is empty`);
    if (isLast ? file.sizeBytes > first.sizeBytes : file.sizeBytes !== first.sizeBytes) {
      throw invalid(`file number ${index} ${place} has ${file.sizeBytes} bytes and not ${first.sizeBytes}, as the first one has`);
    }
  }
  return first.sizeBytes;
}
