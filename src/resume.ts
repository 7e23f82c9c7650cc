/**
 * Going on where an earlier run was cut off, or ending it (`settle.ts`).
 *
 * The journal says which snapshot was being sent, from which base and under which keys. The send is replayed, the same
 * ciphertext made again, and every chunk the store has is compared and skipped (`ferry.ts`). That needs the same
 * snapshot and the same base, by guid, the same sizes and the same recipients; when one of them is gone or another now,
 * the attempt is given up.
 */
import { type Attempt, attemptOf, beginAttempt, misfitOf } from "./attempt.ts";
import { attemptPrefix } from "./format/layout.ts";
import { letGo } from "./holding.ts";
import { type IntentPlace, intentsOf, isMeant, keepIntents } from "./intent.ts";
import { Journal, type JournalHeader } from "./journal.ts";
import type { BaseCandidate } from "./plan.ts";
import { type Ending, endingOf, settle, tellGarbage } from "./settle.ts";
import { removeUnfinished } from "./unfinished.ts";
import type { BackupRequest, Scene, Voyage } from "./voyage.ts";
import type { DatasetFacts } from "./zfs/inventory.ts";
import type { SnapshotName } from "./zfs/names.ts";

/** A new attempt at a voyage, and its journal. */
export function attemptFor(request: BackupRequest, voyage: Omit<Voyage, "attempt" | "settings" | "isUnderWay">): Promise<Attempt> {
  const { target, base, baseBackup, flags, isOwnSnapshot } = voyage;
  return beginAttempt(request.stateDir, { verb: "backup", name: request.dataset }, request.settings, {
    storeUrl: request.store.url,
    backup: target.name,
    send: {
      guid: String(target.guid),
      baseGuid: base === null ? null : String(base.guid),
      baseName: base === null ? null : base.name,
      baseBackup,
      flags: [...flags],
      isOwnSnapshot,
    },
  });
}

/**
 * The voyage an earlier run left unfinished, when it can be gone on with. `none`: there is no such thing. `settled`: it
 * was brought to its end just now, one way or the other, and the scene is not what it was.
 */
export async function takeUp(request: BackupRequest, scene: Scene): Promise<Voyage | "none" | "settled"> {
  const { store, stateDir, dataset } = request;
  if (request.isDryRun) return "none";
  const journal = await Journal.find(stateDir, store.url, { verb: "backup", name: dataset }, (setAside) => {
    tellGarbage(setAside, request, scene);
  });
  if (journal === null) return (await takeBack(request, scene, null)) ? "settled" : "none";
  try {
    await takeBack(request, scene, journal.header.backup);
    const found = endingOf(journal.header, scene) ?? (await matching(journal, scene, request));
    if (!("kind" in found)) return await goOn(journal, found, request);
    await settle(journal, found, request, scene);
    return "settled";
  } catch (error) {
    await journal.close();
    throw error;
  }
}

async function goOn(journal: Journal, found: Found, { store, settings, progress, signal }: BackupRequest): Promise<Voyage> {
  const { backup, attempt, send } = journal.header;
  await removeUnfinished(store, attemptPrefix(backup, attempt), { warn: progress.warn, signal });
  const storedCount = journal.progress.chunks.size;
  const reason = `goes on with an unfinished upload, ${storedCount} ${storedCount === 1 ? "chunk" : "chunks"} of which are stored`;
  const plan = { ...found.plan, reason };
  progress.onPlan(plan);
  const isOwnSnapshot = send?.isOwnSnapshot ?? false;
  return { ...found, plan, flags: send?.flags ?? [], isOwnSnapshot, settings, isUnderWay: true, attempt: attemptOf(journal) };
}

/** Where the intents of runs like this one stand. */
export function intentOf({ stateDir, store, dataset }: Pick<BackupRequest, "stateDir" | "store" | "dataset">): IntentPlace {
  return { stateDir, storeUrl: store.url, dataset };
}

/**
 * Destroys the snapshots of runs that ended before they could store them: nothing was sent, and nothing names them.
 * What was taken for this very run stays, and what the journal of an unfinished one names (`journaled`).
 *
 * @returns whether there was anything to take back
 */
async function takeBack(request: BackupRequest, { dataset, catalog }: Scene, journaled: SnapshotName | null): Promise<boolean> {
  const own = request.isOwnSnapshot ? request.snapshot : null;
  const stays = new Set([own]);
  const intended = (await intentsOf(intentOf(request))).filter(({ name }) => name !== own);
  for (const intent of intended.filter((one) => one.name !== journaled)) {
    const { name } = intent;
    const snapshot = dataset.snapshots.find((one) => isMeant(intent, one));
    if (snapshot === undefined || catalog.backups.some(({ backup }) => backup === name)) continue;
    request.progress.warn(`a run ended before it had stored its snapshot "${name}", which is destroyed now`);
    if (!(await letGo(request, [name], snapshot))) stays.add(name); // it is still nobody's
  }
  if (intended.length > 0) await keepIntents(intentOf(request), (name) => stays.has(name));
  return intended.length > 0;
}

/** What the journal speaks of, found again on the pool and in the store. */
type Found = Pick<Voyage, "plan" | "target" | "base" | "baseBackup">;

/** The same, or what is missing. */
async function matching(journal: Journal, { dataset, catalog, flags }: Scene, { settings, isAbandoning }: BackupRequest): Promise<Found | Ending> {
  const { backup, send } = journal.header;
  if (isAbandoning) return givenUp("it was asked to");
  if (send === null) return givenUp("it does not say what was sent");
  const target = dataset.snapshots.find(({ name, guid }) => name === backup && String(guid) === send.guid);
  if (target === undefined) return givenUp("its snapshot is gone");
  const misfit = await misfitOf(journal, settings);
  if (misfit !== null) return givenUp(misfit);
  if (send.flags.join(" ") !== flags.join(" ")) return givenUp("zfs send would be given other flags");
  if (send.baseGuid === null) return { plan: { kind: "full", reason: "" }, target, base: null, baseBackup: null };
  const base = baseOf(send, dataset);
  const anchor = catalog.backups.find((entry) => entry.backup === send.baseBackup && String(entry.guid) === send.baseGuid);
  if (base === null) return givenUp("its base is gone from the pool");
  if (anchor === undefined) return givenUp("its anchor is gone from the store");
  return { plan: { kind: "incremental", reason: "", anchor, base }, target, base, baseBackup: anchor.backup };
}

function givenUp(reason: string): Ending {
  return { kind: "given-up", reason };
}

function baseOf(send: NonNullable<JournalHeader["send"]>, { snapshots, bookmarks }: DatasetFacts): BaseCandidate | null {
  const isBase = ({ name, guid }: { name: string; guid: bigint }): boolean => name === send.baseName && String(guid) === send.baseGuid;
  const snapshot = snapshots.find(isBase);
  if (snapshot !== undefined) return { kind: "snapshot", ...pick(snapshot) };
  const bookmark = bookmarks.find(isBase);
  return bookmark === undefined ? null : { kind: "bookmark", ...pick(bookmark) };
}

function pick({ name, guid, createTxg }: Omit<BaseCandidate, "kind">): Omit<BaseCandidate, "kind"> {
  return { name, guid, createTxg };
}
