/** Reads everything back, as a restore would, and says what is wrong. */
import { type Keyring, type Store, verify } from "zferry";

export async function problems(store: Store, keyring: Keyring, stateDir: string, signal: AbortSignal): Promise<string[]> {
  const { backups, findings } = await verify({
    store,
    scope: { kind: "all" },
    level: "stream",
    budgetBytes: null,
    scratch: null,
    stateDir,
    now: () => new Date(),
    onBackup: ({ backup, findings: found }) => {
      console.log(`${backup}: ${String(found.length)} findings`);
    },
    keyring,
    allowUnauthenticated: false,
    concurrency: 2,
    onFetched: () => undefined,
    warn: console.warn,
    signal,
  });
  const obstacles = backups.flatMap(({ obstacle }) => obstacle ?? []);
  return [...findings, ...backups.flatMap((one) => one.findings), ...obstacles].map(({ message }) => message);
}
