/**
 * `zferry restore --from FOLDER` when the folder holds chunks and no manifest: one message into `zfs recv`.
 *
 * What the stream starts from is known only from its first record, so the target is looked at then, before `zfs recv`
 * gets a byte.
 */
import { ZferryError } from "./errors.ts";
import { openForeign } from "./foreign.ts";
import type { Keyring } from "./openpgp/session.ts";
import type { BeginFacts } from "./stream/inspect.ts";
import type { Zfs } from "./zfs/command.ts";
import { readDataset } from "./zfs/inventory.ts";
import type { DatasetName } from "./zfs/names.ts";
import { receive, type ReceiveOptions } from "./zfs/receive.ts";

export interface ForeignRestoreRequest {
  readonly files: readonly string[];
  readonly zfs: Zfs;
  readonly target: DatasetName;
  readonly receive: ReceiveOptions;
  readonly keyring: Keyring;
  readonly onFetched: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/**
 * @returns the stream's own account of what was received
 * @throws ZferryError `target-exists`, `target-modified` when the target lacks the base; the codes of `receive`
 */
export async function restoreForeign(request: ForeignRestoreRequest): Promise<BeginFacts> {
  const { files, zfs, target, keyring, onFetched, signal } = request;
  const received: BeginFacts[] = [];
  const onBegin = async (begin: BeginFacts): Promise<void> => {
    await checkTarget(request, begin);
    received.push(begin);
  };
  const stream = openForeign(files, { keyring, onFetched, onBegin, signal });
  await receive(zfs, stream, { target, options: request.receive }, { signal });
  const [begin] = received;
  const after = await readDataset(zfs, target, { signal });
  if (begin !== undefined && (begin.toGuid === null || after?.snapshots.some(({ guid }) => guid === begin.toGuid) === true)) {
    return begin;
  }
  throw new ZferryError("zfs-failed", `zfs receive ended well, but "${target}" does not hold the snapshot`, {
    hint: "look at `zfs list -t snapshot -o name,guid` of the target",
  });
}

async function checkTarget({ zfs, target, receive: options, signal }: ForeignRestoreRequest, begin: BeginFacts): Promise<void> {
  const there = await readDataset(zfs, target, { signal });
  const { fromGuid, toName } = begin;
  if (fromGuid === null) {
    if (there === null || options.force) return;
    throw new ZferryError("target-exists", `"${toName}" is a full backup and the target "${target}" exists`, {
      hint: "restore to a new dataset, or give --force (zfs receive -F) to overwrite it",
    });
  }
  if (there?.snapshots.some(({ guid }) => guid === fromGuid) === true) return;
  throw new ZferryError("backup-not-found", `"${toName}" is an incremental and "${target}" has no snapshot with guid ${fromGuid}`, {
    hint: "restore the full backup it was taken against into that dataset first",
  });
}
