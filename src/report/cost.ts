/**
 * What the backups of a dataset would cost with each provider, at the list prices of `bench/scale-prices.ts`. Pure. Each
 * dataset is counted as if it were alone in the account, and what was removed before its time is not counted at all.
 */
import { type PriceList, priceLists, priceOf } from "../bench/scale-prices.ts";
import { costOf, shapeOf } from "../bench/scale.ts";
import { defaultSettings } from "../config/schema.ts";
import type { Chapter } from "./evidence.ts";

export interface Estimate {
  readonly list: PriceList;
  /** Whether the store is there. */
  readonly isOwn: boolean;
  /** US dollars, of all backups that are there now. */
  readonly storageUsdPerMonth: number;
  /** Of the newest backup and what it is received after, over the internet; null where none can be restored. */
  readonly restoreUsd: number | null;
}

/** In the order of the lists; where the store's provider is known, its own first. */
export function estimatesOf({ backups, provider }: Pick<Chapter, "backups" | "provider">): readonly Estimate[] {
  const storedBytes = backups.reduce((sum, { entry }) => sum + entry.messageBytes, 0);
  const newest = backups.findLast(({ trouble }) => trouble === null);
  const restoreBytes = newest?.chain.reduce((sum, { messageBytes }) => sum + messageBytes, 0) ?? null;
  const estimates = priceLists.map((list) => ({
    list,
    isOwn: list === priceLists.find((one) => one.provider === provider), // of several classes the standard one, which is what zferry writes
    storageUsdPerMonth: priceOf(storedBytes / list.gbBytes, list.storage),
    restoreUsd: restoreBytes === null ? null : costOf(shapeOf(restoreBytes, defaultSettings), list).restoreUsd,
  }));
  return estimates.sort((a, b) => Number(b.isOwn) - Number(a.isOwn));
}
