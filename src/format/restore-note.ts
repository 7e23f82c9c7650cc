/**
 * RESTORE.md, which lies beside the chunks of every backup: how to get the data back with stock tools alone.
 *
 * Its commands are meant to be run word for word on a rescue system; a test does so.
 */
import { formatSize } from "../bytes.ts";
import { datasetOf, leafOf } from "../zfs/names.ts";
import { chunkStem } from "./layout.ts";
import type { Manifest } from "./manifest.ts";

const readerOf = {
  ocb: "gpg 2.2.21 or newer (Debian 11 and later), or rnp",
  cfb: "any OpenPGP program, gpg 1.4 included",
  rfc9580: "sqop or sq of Sequoia, or any program that knows RFC 9580; gpg does not",
  none: null,
} as const;

/** The text of RESTORE.md. Holds nothing that is not in the manifest. */
export function restoreNote(manifest: Manifest): string {
  const { backup, kind, base, encryption, chunks, messageBytes, snapshot, stream } = manifest;
  const stem = chunkStem(backup, encryption.packet);
  const reader = readerOf[encryption.packet];
  const target = `POOL/${leafOf(datasetOf(backup))}`;
  const decrypt = reader === null ? "" : encryption.packet === "rfc9580" ? "sqop decrypt --with-password=PASSPHRASE_FILE | " : "gpg -d | ";
  const wrongKey = reader === null ? "" : "\nIf every file was OK there and decrypting fails all the same, in whatever words, the passphrase is wrong, and not the backup.";
  const needs = reader === null ? "zfs" : `${reader}; and zfs`;
  return `# Restoring \`${backup}\` without zferry

This folder holds one ${kind} backup: ${chunks.length} ${chunks.length === 1 ? "file" : "files"}, ${formatSize(messageBytes)}, of a \`zfs send\` stream of ${stream.sizeBytes} bytes.
Snapshot guid ${snapshot.guid}, taken ${snapshot.createdAt.toISOString()}.
${base === null ? "" : `\nIt is an incremental: restore its base first, ${base.backup === null ? `the snapshot with guid ${base.guid}` : `the backup \`${base.backup}\``}, into the same dataset.\n`}
You need: ${needs}.

1. Download the files of this folder and go there. Check that none is missing and none was damaged:

\`\`\`
sha256sum -c <<'SUMS'
${chunks.map(({ sha256 }, index) => `${sha256}  ${stem}.${String(index).padStart(6, "0")}`).join("\n")}
SUMS
\`\`\`

2. Restore. Replace \`${target}\` by the dataset to write to${base === null ? ", which must not exist yet" : ""}:

\`\`\`
set -o pipefail
cat '${stem}'.?????? | ${decrypt}zfs receive -u '${target}'
\`\`\`

If this prints an error, what was received is not the backup: destroy it and try again from step 1.${wrongKey}
`;
}
