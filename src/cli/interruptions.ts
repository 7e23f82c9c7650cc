/** What a signal leaves of each command, and how to go on: said at once on a terminal, and as the hint of the failure. */
import type { ErrorCode } from "../errors.ts";

const again = "run the same again to go on";

const after: Readonly<Record<string, string>> = {
  backup: "what was stored of the backup under way is removed again, and backups made before stay; the next zferry backup makes it anew",
  put: "what was stored of it is removed again, and nothing else was touched; it needs the stream from its beginning again",
  get: "the stream ends before its END record, so that zfs receive refuses it; nothing else was touched",
  restore: `zfs receive drops what it had of the backup under way (with --resumable it keeps it), and one that was whole stays; ${again}`,
  verify: "what was read until then is remembered; run it again, with --budget to go on with what was verified longest ago",
  drill: "what was restored for it is destroyed, at the latest by the next drill; nothing else was touched",
  download: `what is whole in the folder is not fetched again; ${again}`,
  import: `what is whole in the store is passed over; ${again}`,
  "files restore": "each file that has its name is whole and stays; run the same again with --overwrite",
  "key add": `backups it came to have the key; ${again}`,
  "key remove": `backups it came to have lost the key; ${again}`,
  copy: `what is whole there is not sent again; ${again}`,
  prune: "what was removed is gone, and all the rest is whole; run it again to go on",
  recover: `what it has started again runs; ${again}`,
  bench: "what it stored below bench/ is removed again; no backup was touched",
  doctor: "what it stored below doctor/ is removed again; no backup was touched",
};

/** Where SIGTERM leaves something else than Ctrl-C does. */
const afterTermination: Readonly<Record<string, string>> = {
  backup: "what is whole of the backup under way stays, and the next zferry backup goes on with it",
  put: "what is whole of it stays; zferry put --resume goes on with it, from the beginning of the same stream",
};

/** Of a command by its full name, and the code of the signal; null for one that leaves nothing to tell of. */
export function interruptionOf(command: string, code: ErrorCode): string | null {
  const own = code === "terminated" && Object.hasOwn(afterTermination, command) ? afterTermination : after;
  return Object.hasOwn(own, command) ? (own[command] ?? null) : null;
}
