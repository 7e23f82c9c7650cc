/**
 * The stores a restore reads from: those of the flags, or that of the dataset's job and then its copies.
 */
import { selectDatasets } from "../config/globs.ts";
import { jobsOfStreams } from "../config/jobs.ts";
import type { Config, StoreSettings } from "../config/config.ts";
import { type FallOver, fallOverText, isAway, Sources } from "../fall-over.ts";
import { absentStore } from "../store/absent.ts";
import type { Store } from "../store/store.ts";
import type { DatasetName } from "../zfs/names.ts";
import type { SharedFlags } from "./options.ts";
import { counted, type Report } from "./report.ts";
import { openStoreAt, type Session } from "./session.ts";
import { impatient, storeSettings } from "./settings.ts";

/** Lines of the summary about single objects; stderr has had all of them. */
const maxTold = 10;

/** In the order in which they are asked. */
type WantedStores = readonly [StoreSettings, ...StoreSettings[]];

/**
 * The stores to ask, none twice; each that another one follows is given less time.
 *
 * @param named - names or URLs; when there are none, the configuration decides
 * @throws ZferryError `usage` when nothing names a store
 */
export function sourceSettings(flags: SharedFlags, config: Config, named: readonly string[], dataset: DatasetName): WantedStores {
  const settingsOf = (store: string): StoreSettings => storeSettings({ ...flags, store }, config, null);
  const all = (named.length > 0 ? named : namesFor(config, dataset)).map(settingsOf);
  const [first = storeSettings(flags, config, null), ...others] = all.filter(({ url }, at) => all.findIndex((one) => one.url === url) === at);
  if (others.length === 0) return [first];
  return [impatient(flags, first), ...others.map((one, at) => (at === others.length - 1 ? one : impatient(flags, one)))];
}

/** The store and then the copies of every job that means the dataset, whether or not it is there; else those of the defaults. */
function namesFor({ jobs, defaults }: Config, dataset: DatasetName): readonly string[] {
  const own = jobsOfStreams(jobs.values()).filter((job) => selectDatasets(job, [dataset]).datasets.includes(dataset));
  const places = own.length > 0 ? own : defaults.store === null ? [] : [{ store: defaults.store, copies: defaults.copies }];
  return places.flatMap(({ store, copies }) => [store, ...copies.map((copy) => copy.store)]);
}

/** What is said of stores that stood in for others. */
export class FallOvers {
  readonly all: FallOver[] = [];
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  readonly tell = (fallOver: FallOver): void => {
    this.all.push(fallOver);
    this.#report.event({ event: "fell-over", ...fallOver }, { level: "warn", text: fallOverText(fallOver) });
  };

  /** None when nothing is to be said. */
  get summary(): string[] {
    const { length } = this.all;
    if (length === 0) return [];
    const stores = [...new Set(this.all.map(({ store }) => `"${store}"`))];
    return [
      `${counted(length, "time")} another store stood in; look at ${stores.join(" and ")} with zferry verify:`,
      ...this.all.slice(0, maxTold).map((one) => `  ${fallOverText(one)}`),
      ...(length > maxTold ? [`  and ${length - maxTold} more`] : []),
    ];
  }
}

/**
 * Opens the stores, and closes them when `work` has ended. One of several that cannot be opened fails whatever is asked of
 * it.
 */
export async function useSources<T>(
  session: Session,
  { wanted, fallOvers }: { readonly wanted: WantedStores; readonly fallOvers: FallOvers },
  work: (sources: Sources) => Promise<T>,
): Promise<T> {
  const opened: Store[] = [];
  try {
    for (const settings of wanted) {
      const store = await openStoreAt(session, settings, "read").catch((error: unknown) => {
        if (wanted.length === 1 || !isAway(error)) throw error;
        return absentStore(settings.url, error);
      });
      opened.push(store);
    }
    return await work(new Sources(opened, fallOvers.tell));
  } finally {
    await Promise.all(opened.map((store) => store.close()));
  }
}
