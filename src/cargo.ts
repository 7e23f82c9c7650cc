/**
 * What a run carries: the stream and the name it is stored under, how it is stored, and who hears of it.
 */
import type { ByteSource } from "./bytes.ts";
import type { Tell } from "./events.ts";
import type { PacketName } from "./format/layout.ts";
import type { Recipients } from "./openpgp/session.ts";
import type { KnownManifest } from "./state.ts";
import type { BeginFacts } from "./stream/inspect.ts";
import type { Pressure } from "./stream/pressure.ts";
import type { Guid, SnapshotName } from "./zfs/names.ts";

/** What is to be stored, and under which name. */
export interface Cargo {
  readonly backup: SnapshotName;
  /** Opens the stream; must obey the signal, and throw unless the stream is whole. */
  readonly open: (signal: AbortSignal) => ByteSource;
  /** What the stream must be; a member left out is not checked. */
  readonly expect: { readonly toGuid?: Guid; readonly fromGuid?: Guid | null };
  /** Looks at the BEGIN record before anything is sent; throws to refuse the stream. */
  readonly onBegin: (begin: BeginFacts) => Promise<void>;
  /** The last question before the commit; throws when it must not happen. */
  readonly beforeCommit: () => Promise<void>;
  /** Told of the manifest as the store has it now. Never throws. */
  readonly onCommitted?: (known: KnownManifest) => Promise<void>;
  /** Asked when the run ended as `locked`: whether nobody else has begun, so that it can be gone on with. Never throws. */
  readonly isStillAlone: () => Promise<boolean>;
  /** The backup in this store that holds the snapshot the stream starts from. */
  readonly baseBackup: (guid: Guid) => SnapshotName | null;
  readonly createTxg: bigint | null;
  readonly flags: readonly string[] | null;
}

/** How it is stored. A run can be taken up again only with the sizes, the packet and the recipients it began with. */
export interface FerrySettings {
  readonly packet: PacketName;
  readonly recipients: Recipients;
  readonly chunkBytes: number;
  /** Size of a part and distance of the marks; `chunkBytes` is a multiple of it. */
  readonly partBytes: number;
  /** Worker threads for ciphers and hashes, 0 (the default) to 2 (`packing.ts`). */
  readonly threads?: number;
}

/** What the run tells while it goes on. Both count since the last call. */
export interface FerryProgress {
  readonly onRead: (bytes: number) => void;
  readonly onStored: (bytes: number) => void;
  readonly warn: (text: string) => void;
  /** Told which end holds the other up. */
  readonly pressure?: Pressure;
  /** Each step as it is done, for whoever wants to know. */
  readonly tell?: Tell;
}

/** What opens a backup: its session key, and the packets in which every holder of a key finds it. */
export interface Lock {
  readonly sessionKey: Buffer;
  readonly packets: Buffer;
}
