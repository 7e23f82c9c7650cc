/**
 * What a service may not do (systemd.exec(5)), as far as zfs, Node and the commands of the configuration still work.
 *
 * Never set: PrivateDevices= (it hides /dev/zfs), MemoryDenyWriteExecute= (V8 compiles to memory), DynamicUser= and a bounded
 * set of capabilities (zfs needs CAP_SYS_ADMIN, and hooks are whatever they are). ProtectKernelModules= keeps `zfs` from
 * loading its module, which is loaded at boot where there is a pool.
 */
import { type Setting, word } from "./unit-text.ts";

/** What holds for every service: nothing a backup, a hook or a notifier has a use for. */
const everywhere: readonly Setting[] = [
  ["NoNewPrivileges", "yes"],
  ["ProtectClock", "yes"],
  ["ProtectHostname", "yes"],
  ["ProtectKernelLogs", "yes"],
  ["ProtectKernelModules", "yes"],
  ["ProtectKernelTunables", "yes"],
  ["LockPersonality", "yes"],
  ["RestrictRealtime", "yes"],
  ["RestrictSUIDSGID", "yes"],
  ["SystemCallArchitectures", "native"],
];

/** For a service that runs no command but zfs. */
const alone: readonly Setting[] = [
  ["ProtectSystem", "strict"],
  ["ProtectHome", "read-only"],
  ["ProtectControlGroups", "yes"],
  ["PrivateTmp", "yes"],
  ["DevicePolicy", "closed"],
  ["DeviceAllow", "/dev/zfs rw"],
  ["RestrictNamespaces", "yes"],
  ["RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"],
];

/**
 * @param runsOthers - the configuration has it run commands of its user's own (hooks, a mail program, …), which write where
 * they must: only /usr, /boot and /etc are closed to it then
 * @param writable - folders that are written to, absolute
 */
export function confinement({ runsOthers, writable }: { runsOthers: boolean; writable: readonly string[] }): readonly Setting[] {
  const own: readonly Setting[] = runsOthers ? [["ProtectSystem", "full"]] : alone;
  // "-": what is not there yet does not keep the service from starting; it says itself what is missing.
  return [...everywhere, ...own, ["ReadWritePaths", writable.map((folder) => word(`-${folder}`))]];
}
