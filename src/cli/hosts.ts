/** Which hosts a command with `--all-hosts` looks at: a host is a store of its own (`docs/pull.md`). */
import type { StoreSettings } from "../config/config.ts";
import { ZferryError } from "../errors.ts";
import { hostsBelow } from "../hosts.ts";
import { urlBelow } from "../store/url.ts";
import { type Session, useStoreAt } from "./session.ts";
import { impatient, storeSettings } from "./settings.ts";

/** A host by the name it is shown under. */
export interface HostStore {
  readonly host: string;
  readonly settings: StoreSettings;
}

/**
 * With `--store` every folder right below it that has backups, by its name; otherwise every store of the configuration, by its
 * name there, and one place once.
 *
 * @throws ZferryError `usage` when neither is given, `store-…` when the place cannot be listed
 */
export async function hostStores(session: Session): Promise<readonly HostStore[]> {
  const { flags, settings, terminal } = session;
  if (flags.store !== undefined) {
    const root = impatient(flags, storeSettings(flags, settings.config, null));
    const hosts = await useStoreAt(session, root, "read", ({ store }) => hostsBelow(store, { signal: terminal.signal }));
    return hosts.map((host) => ({ host, settings: { ...root, url: urlBelow(root.url, host) } }));
  }
  const all = [...settings.config.stores.keys()].map((host) => ({ host, settings: impatient(flags, storeSettings(flags, settings.config, host)) }));
  if (all.length > 0) return all.filter(({ settings: { url } }, index) => all.findIndex((other) => other.settings.url === url) === index);
  throw new ZferryError("usage", "there is no store to look for hosts in", {
    hint: "name the hosts' stores in the configuration, or give --store the place they have their folders in",
  });
}
