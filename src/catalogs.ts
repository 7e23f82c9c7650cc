/**
 * The backups of several stores as one list to choose from.
 *
 * Backups are the same when their manifests are, byte for byte. Stores that hold different ones under one name are listed
 * with each of them: what is chosen must be authentic, and what is not may be taken out (`drop`) as long as another store
 * has something under that name. So a store that lies about a backup can neither hide the true one nor stand in for it,
 * and no backup is passed over without a word.
 */
import { readCatalog, type Catalog, type CatalogOptions, type DamagedEntry } from "./catalog.ts";
import type { ZferryError } from "./errors.ts";
import type { FallOver, Sources } from "./fall-over.ts";
import { type BackupEntry, byAge, isSameManifest } from "./format/entry.ts";
import { manifestKey } from "./format/layout.ts";
import type { Store } from "./store/store.ts";
import type { SnapshotName } from "./zfs/names.ts";

export class Catalogs {
  readonly #sources: Sources;
  readonly #catalogs: ReadonlyMap<Store, Catalog>;
  /** Keys of manifests, each behind the URL of its store: about one of a store one word is enough. */
  readonly #told = new Set<string>();
  /** Ascending by the time of the snapshot; of equals, those of earlier stores first. */
  backups: readonly BackupEntry[];

  constructor(sources: Sources, catalogs: ReadonlyMap<Store, Catalog>) {
    this.#sources = sources;
    this.#catalogs = catalogs;
    const each: BackupEntry[] = [];
    const byName = new Map<SnapshotName, BackupEntry[]>();
    for (const { backups } of catalogs.values()) {
      for (const entry of backups) {
        const same = byName.get(entry.backup) ?? [];
        if (same.some((other) => isSameManifest(other, entry))) continue;
        each.push(entry);
        byName.set(entry.backup, [...same, entry]);
      }
    }
    this.backups = each.sort(byAge);
  }

  /** Manifests that cannot be used, of every store. */
  get damaged(): readonly DamagedEntry[] {
    return [...this.#catalogs.values()].flatMap(({ damaged }) => damaged);
  }

  /** The stores that list this very manifest, in their order. */
  holding(entry: BackupEntry): readonly Store[] {
    const has = ({ backups }: Catalog): boolean => backups.some((other) => other.backup === entry.backup && isSameManifest(other, entry));
    return [...this.#catalogs].filter(([, catalog]) => has(catalog)).map(([store]) => store);
  }

  /** Tells which of the stores asked before `chosen` would have been taken if they had the manifest. */
  tellPassedOver(entry: BackupEntry, chosen: Store): void {
    const key = manifestKey(entry.backup);
    const holding = this.holding(entry);
    for (const [store, { backups, damaged }] of this.#catalogs) {
      if (store === chosen) return;
      if (holding.includes(store)) continue; // that it failed was told when it did
      const broken = damaged.find((one) => one.key === key)?.error;
      const other = backups.some(({ backup }) => backup === entry.backup) ? `it holds another backup under the name "${entry.backup}"` : null;
      const why = broken?.message ?? other ?? `there is no backup "${entry.backup}"`;
      this.#tell({ backup: entry.backup, chunk: null, key, store: store.url, next: chosen.url, code: broken?.code ?? "backup-not-found", why });
    }
  }

  /**
   * Takes out a backup whose manifest `error` speaks against, when another store has a backup under that name.
   *
   * @throws `error` when there is none
   */
  drop(entry: BackupEntry, error: ZferryError): void {
    const left = this.backups.filter((other) => other !== entry);
    const other = left.find(({ backup }) => backup === entry.backup);
    const [[from], [to]] = [this.holding(entry), other === undefined ? [] : this.holding(other)];
    if (from === undefined || to === undefined) throw error;
    this.backups = left;
    const { code, message: why } = error;
    this.#tell({ backup: entry.backup, chunk: null, key: manifestKey(entry.backup), store: from.url, next: to.url, code, why });
  }

  #tell(fallOver: FallOver): void {
    const about = `${fallOver.store} ${fallOver.key ?? ""}`;
    if (!this.#told.has(about)) this.#sources.tell(fallOver);
    this.#told.add(about);
  }
}

/** @throws ZferryError the codes of `readCatalog` for a store alone, and for several when none can be read */
export async function readCatalogs(sources: Sources, options: CatalogOptions): Promise<Catalogs> {
  return new Catalogs(sources, await sources.askAll((store) => readCatalog(store, options)));
}
