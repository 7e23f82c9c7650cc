/**
 * zferry as a library: the verbs of a backup and of a restore, what they take and give, and the stores. Whole nights of jobs,
 * and being told of them, are the command line's.
 */
export { backup } from "./backup.ts";
export type { BackupOutcome, BackupProgress, BackupRequest } from "./voyage.ts";
export { type ByteSource, formatSize, parseSize } from "./bytes.ts";
export type { FerryProgress, FerrySettings } from "./cargo.ts";
export { type Catalog, type CatalogOptions, type DamagedEntry, openBackup, type OpenedBackup, readCatalog } from "./catalog.ts";
export { type Config, parseConfig } from "./config/config.ts";
export { download, type DownloadRequest } from "./download.ts";
export { drill, type DrillOutcome, type DrillPlan, type DrillRequest } from "./drill/drill.ts";
export type { Place as DrillPlace } from "./drill/place.ts";
export type { DrillReport } from "./drills.ts";
export { type ErrorCode, exitStatus, exitStatusOf, isZferryError, ZferryError } from "./errors.ts";
export type { Event, Tell } from "./events.ts";
export { type FallOver, type Search, type Sought, Sources } from "./fall-over.ts";
export type { BackupEntry } from "./format/entry.ts";
export type { PacketName } from "./format/layout.ts";
export type { ChunkEntry, Manifest } from "./format/manifest.ts";
export { get, type ReadOptions } from "./get.ts";
export { list, type ListedBackup, type Listing } from "./list.ts";
export type { PrivateKeyEntry } from "./openpgp/candidates.ts";
export type { Keyring, Recipients } from "./openpgp/session.ts";
export type { BaseCandidate, Plan, PlanPolicy } from "./plan.ts";
export type { KeepPolicy } from "./config/keep.ts";
export type { Reason, RuleName } from "./keep-rules.ts";
export { prune } from "./prune/prune.ts";
export type { Fate, Pruned, PruneOutcome, PruneRequest } from "./prune/request.ts";
export { put, type PutRequest } from "./put.ts";
export type { HookSettings } from "./config/hooks.ts";
export type { QuiesceLimits } from "./quiesce/stack.ts";
export { quiesced, type Quiesced, type QuiesceRequest, type QuiesceSubject, type Settled } from "./quiesce/quiesce.ts";
export { type Recovered, recoverOwed, type RecoverRequest } from "./quiesce/recover.ts";
export { restore, type RestoreRequest, type RestoreStep, type Wanted } from "./restore.ts";
export { rebuildState, type RebuildRequest, type Rebuilt } from "./state-rebuild.ts";
export type { Credentials, Environment } from "./store/credentials.ts";
export type { BucketRules, DefaultLock, Expiry, Look, ObjectLock } from "./store/rules.ts";
export { MemoryStore } from "./store/memory.ts";
export { type OpenOptions, openStore } from "./store/open.ts";
export { defaultRetryPolicy, type Outage, type RetryClock, type RetryNotice, type RetryPolicy } from "./store/retry.ts";
export type { ByteRange, GetOptions, ListOptions, PutOptions, Store, StoredObject, StoreLimits, UnfinishedPut } from "./store/store.ts";
export { type Brake, Pressure } from "./stream/pressure.ts";
export type { Scratch } from "./verify/receive.ts";
export type { Sample, SampledFile, SampleRequest } from "./verify/sample.ts";
export { verify, type Verification, type VerifiedBackup, type VerifyRequest, type VerifyScope } from "./verify/verify.ts";
export { type LastVerified, type VerifyLevel, verifyLevels } from "./verified.ts";
export type { Finding, FindingKind } from "./verify/findings.ts";
export { version } from "./version.ts";
export type { SnapshotFacts } from "./zfs/inventory.ts";
export { type Zfs, type ZfsCommand, zfsThrough } from "./zfs/command.ts";
export {
  type BookmarkName,
  type DatasetName,
  type Guid,
  parseDatasetName,
  parseSnapshotName,
  type SnapshotName,
} from "./zfs/names.ts";
export { defaultReceiveOptions, type ReceiveOptions } from "./zfs/receive.ts";
